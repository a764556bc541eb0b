"""Kafka's jars and PostgreSQL's binaries, fetched once by Maven into a cache named after deploy/local/pom.xml."""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.common.errors import ConfigurationError
from services.common.settings import Settings
from services.sandbox.stack.java import find_maven

POM = Path(__file__).resolve().parents[3] / "deploy" / "local" / "pom.xml"
_FETCH_S = 900.0
_PARTIAL = "partial-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    """`jars` holds Kafka's class path, `postgres` has bin/, lib/ and share/."""

    jars: Path
    postgres: Path


def fetch_artifacts(settings: Settings, pom: Path = POM) -> Artifacts:
    """From the cache, where Maven puts them first. Several processes may ask at once: one fetches, the others wait.

    Raises ConfigurationError when Maven is missing or fails.
    """
    if not pom.is_file():
        raise ConfigurationError(
            f"{pom} is missing: run from a checkout, or set the addresses of servers that you have"
        )
    cache = _cache(settings)
    # A home directory may be shared by machines of different kinds.
    kind = f"{sys.platform}-{platform.machine()}"
    complete = cache / f"servers-{kind}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    # It may be somebody else's, who filled it.
    if not complete.is_dir():
        with _locked(cache / "lock"):
            if not complete.is_dir():
                _fill(complete, pom)
    return Artifacts(jars=complete / "jars", postgres=complete / "postgres")


def _cache(settings: Settings) -> Path:
    """As root it is where an unprivileged user may read, since PostgreSQL refuses to run as root."""
    default = Path("/var/cache/coursepay") if os.geteuid() == 0 else Path.home() / ".cache" / "coursepay"
    cache = settings.cache_directory or default
    if not cache.is_dir():
        cache.mkdir(parents=True)
        # Whatever the umask is.
        cache.chmod(0o755)
    return cache


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fill(complete: Path, pom: Path) -> None:
    """Renamed when whole, so that an interrupted fetch leaves nothing that looks complete."""
    for interrupted in complete.parent.glob(f"{_PARTIAL}*"):
        shutil.rmtree(interrupted)
    with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=complete.parent) as name:
        partial = Path(name)
        partial.chmod(0o755)
        _run_maven(pom, partial / "jars")
        (packed,) = (partial / "jars").glob("embedded-postgres-binaries-*.jar")
        _unpack_postgres(packed, partial / "postgres")
        packed.unlink()
        partial.rename(complete)
        # What TemporaryDirectory removes on exit.
        partial.mkdir()


def _run_maven(pom: Path, jars: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="coursepay-maven-") as work:
        # Maven writes beside the pom, which may lie in a place that is not ours to write.
        shutil.copy(pom, work)
        command = [
            find_maven(),
            "-q",
            "-B",
            "-f",
            f"{work}/{pom.name}",
            f"-Dservers.directory={jars}",
            "process-resources",
        ]
        try:
            ended = subprocess.run(  # noqa: S603 - our own command line
                command, capture_output=True, text=True, check=False, timeout=_FETCH_S
            )
        except subprocess.TimeoutExpired:
            raise ConfigurationError(f"Maven did not fetch the servers within {_FETCH_S:.0f} s; try again") from None
    if ended.returncode != 0:
        raise ConfigurationError(f"Maven could not fetch the servers: {_reason(ended.stdout + ended.stderr)}")


def _reason(output: str) -> str:
    """What Maven says first; the rest is about how to learn more. It colours even what is captured."""
    lines = (re.sub(r"\x1b\[[0-9;]*m", "", line) for line in output.splitlines())
    errors = [line.removeprefix("[ERROR] ").partition(" -> [Help")[0] for line in lines if line.startswith("[ERROR] ")]
    return errors[0] if errors else "it does not say why"


def _unpack_postgres(packed: Path, target: Path) -> None:
    target.mkdir()
    target.chmod(0o755)
    with zipfile.ZipFile(packed) as jar:
        (name,) = (name for name in jar.namelist() if name.endswith(".txz"))
        with jar.open(name) as stream, tarfile.open(fileobj=stream, mode="r|xz") as archive:
            # The archive is pinned by its version; early releases of Python 3.11 know no filter.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(target)  # noqa: S202 - see above
