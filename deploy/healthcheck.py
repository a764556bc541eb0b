"""Whether the service in this container says that it is ready: `healthcheck.py URL`, exit code 0 or 1.

The standard library alone, because it runs every few seconds and the image has no curl.
"""

import sys
from urllib.request import urlopen

_ANSWER_S = 2.0


def is_healthy(url: str) -> bool:
    try:
        with urlopen(url, timeout=_ANSWER_S) as answer:  # noqa: S310 - the address stands in the image
            return bool(answer.status == 200)
    except OSError as error:
        # Docker keeps it; `docker inspect` shows why a container is not healthy.
        sys.stderr.write(f"{url}: {error}\n")
        return False


if __name__ == "__main__":
    sys.exit(0 if is_healthy(sys.argv[1]) else 1)
