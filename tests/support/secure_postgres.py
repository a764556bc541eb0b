"""A PostgreSQL that takes encrypted connections only; who shows a certificate of its authority needs no password.

Its certificate is for 127.0.0.1 and not for localhost.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from services.common.settings import Settings
from services.sandbox.stack.artifacts import fetch_artifacts
from services.sandbox.stack.postgres import PostgresProcess
from services.sandbox.stack.waiting import wait_until
from tests.support.certificates import Authority

# The login whose certificate is enough.
MACHINE = "machine"
_WHO_MAY = f"""\
hostssl all {MACHINE} 127.0.0.1/32 cert
hostssl all all 127.0.0.1/32 scram-sha-256
"""
_RELOADED_S = 20.0


@contextmanager
def secure_postgres(directory: Path, authority: Authority) -> Iterator[str]:
    """The address of its superuser, which says nothing of TLS."""
    server = PostgresProcess(fetch_artifacts(Settings.from_environment()).postgres, directory)
    server.start()
    try:
        asyncio.run(_secure(server.address, authority))
        assert wait_until(lambda: not asyncio.run(_takes_plain_text(server.address)), within_s=_RELOADED_S)
        yield server.address
    finally:
        server.stop()


async def _secure(address: str, authority: Authority) -> None:
    certificate, key = authority.issue("postgres", "127.0.0.1")
    connection = await asyncpg.connect(address, timeout=20)
    try:
        data = Path(str(await connection.fetchval("SHOW data_directory")))
        files = {"ssl_cert_file": certificate, "ssl_key_file": key, "ssl_ca_file": authority.ca}
        for setting, source in files.items():
            _copy(source, data)
            await connection.execute(f"ALTER SYSTEM SET {setting} = '{source.name}'")
        await connection.execute("ALTER SYSTEM SET ssl = on")
        await connection.execute(f"CREATE ROLE {MACHINE} LOGIN SUPERUSER")
        (data / "pg_hba.conf").write_text(_WHO_MAY)
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close(timeout=5)


def _copy(source: Path, data: Path) -> None:
    """For the server's eyes alone: it refuses a key that others may read."""
    target, owner = data / source.name, data.stat()
    shutil.copyfile(source, target)
    target.chmod(0o600)
    os.chown(target, owner.st_uid, owner.st_gid)


async def _takes_plain_text(address: str) -> bool:
    try:
        connection = await asyncpg.connect(address, ssl=False, timeout=20)
    except asyncpg.InvalidAuthorizationSpecificationError:
        return False
    await connection.close(timeout=5)
    return True
