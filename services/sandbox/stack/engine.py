"""What is asked of the Docker engine beside running containers: does it answer, has it the images, what is left."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
from docker.constants import DEFAULT_UNIX_SOCKET
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.utils import kwargs_from_env

from services.common.errors import ConfigurationError

KAFKA_IMAGE = "apache/kafka:4.3.1"
POSTGRES_IMAGE = "postgres:15"
# Its value is a server's mark.
LABEL = "coursepay.stack"
_PING_S = 5
_CALL_S = 60
_PULL_S = 60


def engine_answers() -> bool:
    if not _listens():
        return False
    try:
        with _engine(_PING_S) as engine:
            return bool(engine.ping())
    except (DockerException, OSError):
        return False


def _listens() -> bool:
    """Asked before the library, which leaves a socket open when nobody listens on the local one."""
    address = str(kwargs_from_env().get("base_url") or DEFAULT_UNIX_SOCKET)
    path = address.partition("unix:")[2]
    if not path:
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PING_S)
        try:
            probe.connect("/" + path.lstrip("/"))
        except OSError:
            return False
    return True


def missing_images() -> list[str]:
    return [image for image in (KAFKA_IMAGE, POSTGRES_IMAGE) if not _is_local(image)]


def require_images() -> None:
    """Pulls what is missing. Raises ConfigurationError when no engine answers or an image is not to be had."""
    if not engine_answers():
        raise ConfigurationError("COURSEPAY_STACK=docker, but no Docker engine answers; start one, or unset it")
    for image in missing_images():
        try:
            _pull(image)
        except (DockerException, OSError) as error:
            raise ConfigurationError(
                f"COURSEPAY_STACK=docker, but the image {image} could not be pulled ({error}); pull it, or unset it"
            ) from None


def any_runs(mark: str) -> bool:
    """Whether a container with that mark runs."""
    with _engine(_CALL_S) as engine:
        return bool(engine.containers.list(filters={"label": f"{LABEL}={mark}"}))


def remove_containers(mark: str) -> None:
    """With their data. Nothing happens when there are none, or no engine any more."""
    if not engine_answers():
        return
    with _engine(_CALL_S) as engine:
        for container in engine.containers.list(all=True, filters={"label": f"{LABEL}={mark}"}):
            try:
                container.remove(force=True, v=True)
            except NotFound:
                continue
            except APIError as error:
                # 409: somebody else is removing it.
                if error.status_code != 409:
                    raise


def _pull(image: str) -> None:
    """Raises DockerException also when it takes too long: the library's limit is for one read, a slow line has many."""
    deadline = time.monotonic() + _PULL_S
    name, _, tag = image.partition(":")
    with _engine(_PULL_S) as engine:
        for step in engine.api.pull(name, tag=tag, stream=True, decode=True):
            if "error" in step:
                raise DockerException(step["error"])
            if time.monotonic() > deadline:
                raise DockerException(f"not within {_PULL_S} s")


def _is_local(image: str) -> bool:
    try:
        with _engine(_CALL_S) as engine:
            engine.images.get(image)
    except ImageNotFound:
        return False
    return True


@contextmanager
def _engine(timeout_s: int) -> Iterator[Any]:
    client = docker.from_env(timeout=timeout_s)
    try:
        yield client
    finally:
        client.close()
