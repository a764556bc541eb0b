"""The commands of a page of docs/, as a person types them."""

import asyncio
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from services.common.settings import child_environment
from tests.support.tidy import ROOT

_WITHIN_S = 120.0
_BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def commands_of(page: str, heading: str) -> list[str]:
    """Those in the `sh` blocks below this heading, a line each."""
    section = (ROOT / "docs" / page).read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [line.strip() for block in _BLOCK.findall(section) for line in block.splitlines() if line.strip()]


async def typed(command: str, *, directory: Path, environment: Mapping[str, str]) -> str:
    """What a shell prints, errors too. The console script is found as after `source .venv/bin/activate`."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-o", "pipefail", "-c", command),
        cwd=directory,
        env=child_environment({**environment, "PATH": path}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(_WITHIN_S):
        output, _ = await shell.communicate()
    return output.decode()
