"""The Java that runs Kafka and Maven."""

import re
import shutil
import subprocess

from services.common.errors import ConfigurationError

JAVA_MIN = 17
_CALL_S = 30.0
_INSTEAD = (
    "or set COURSEPAY_KAFKA_BOOTSTRAP_SERVERS and COURSEPAY_DATABASE_URL to servers that you have, or start Docker"
)


def find_java() -> str:
    """The path of `java`. Raises ConfigurationError when there is none, or an old one."""
    found = shutil.which("java")
    if found is None:
        raise ConfigurationError(
            f"Java {JAVA_MIN} or newer is needed for Kafka and was not found; install it, {_INSTEAD}"
        )
    shown = subprocess.run([found, "-version"], capture_output=True, text=True, check=False, timeout=_CALL_S)  # noqa: S603
    version = re.search(r'version "(?:1\.)?(\d+)', shown.stderr + shown.stdout)
    if version is None or int(version[1]) < JAVA_MIN:
        which = f"version {version[1]}" if version else "of an unknown version"
        raise ConfigurationError(
            f"Java {JAVA_MIN} or newer is needed for Kafka, {found} is {which}; install it, {_INSTEAD}"
        )
    return found


def find_maven() -> str:
    """The path of `mvn`. Raises ConfigurationError when there is none."""
    found = shutil.which("mvn")
    if found is None:
        raise ConfigurationError(
            f"Maven is needed to fetch Kafka and PostgreSQL and was not found; install it, {_INSTEAD}"
        )
    return found
