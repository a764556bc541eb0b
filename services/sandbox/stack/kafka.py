"""Kafka as a local process: one node, KRaft, no automatic creation of topics."""

import base64
import subprocess
from pathlib import Path
from uuid import uuid4

from services.common.errors import ConfigurationError
from services.common.topic_admin import broker_answers
from services.sandbox.ports import free_ports
from services.sandbox.stack.broker import BEHAVIOUR
from services.sandbox.stack.java import find_java
from services.sandbox.stack.process import ServerProcess
from services.sandbox.stack.server import KAFKA, ORDERLY, Remains, mark_of
from services.sandbox.stack.waiting import wait_until

# A JVM on a machine with thirty busy processes for its two cores.
_START_S = 120.0
_FORMAT_S = 60.0
_ANSWER_S = 2.0
_PORT_TRIES = 3
_HOST = "127.0.0.1"
_PLACES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{advertised_port}
log.dirs={data}
"""


class KafkaProcess:
    """Data in `directory`, which must exist; it is kept between starts. `advertised_port`: where it tells its clients
    that it listens, for a proxy in front of it; None for its own.
    """

    name = KAFKA

    def __init__(self, jars: Path, directory: Path, *, advertised_port: int | None = None) -> None:
        self._class_path = f"{jars}/*"
        self._directory = directory
        self._advertised_port = advertised_port
        self._ports: tuple[int, int] | None = None
        self._process = ServerProcess(
            self._java(
                "-Xms256m",
                "-Xmx768m",
                # On few cores the collector with the fewest threads starts fastest.
                "-XX:+UseSerialGC",
                "-XX:+ExitOnOutOfMemoryError",
                # Nobody reads it; it tells on the command line whose server it is.
                f"-D{mark_of(directory)}",
                "kafka.Kafka",
                str(self._settings_file),
            ),
            log=directory / "kafka.log",
            stop_signal=ORDERLY[KAFKA],
        )

    @property
    def address(self) -> str:
        assert self._ports is not None
        return f"{_HOST}:{self._ports[0]}"

    def start(self) -> None:
        if self._ports is not None:
            self._start_on(self._ports)
            return
        for tries_left in reversed(range(_PORT_TRIES)):
            port, controller_port = free_ports(2)
            try:
                self._start_on((port, controller_port))
            except ConfigurationError as error:
                # Somebody else took one of the ports meanwhile.
                if tries_left == 0 or "Address already in use" not in str(error):
                    raise
            else:
                self._ports = (port, controller_port)
                return

    def stop(self) -> None:
        self._process.stop()

    def pause(self) -> None:
        self._process.pause()

    def resume(self) -> None:
        self._process.resume()

    def remains(self) -> Remains | None:
        pid = self._process.pid
        if pid is None:
            return None
        return Remains(name=self.name, kind="process", mark=mark_of(self._directory), pid=pid)

    @property
    def _settings_file(self) -> Path:
        return self._directory / "server.properties"

    def _start_on(self, ports: tuple[int, int]) -> None:
        data = self._directory / "data"
        places = _PLACES.format(
            host=_HOST,
            port=ports[0],
            advertised_port=self._advertised_port or ports[0],
            controller_port=ports[1],
            data=data,
        )
        behaviour = "".join(f"{name}={value}\n" for name, value in BEHAVIOUR.items())
        self._settings_file.write_text(places + behaviour)
        if not (data / "meta.properties").exists():
            self._format()
        self._process.start()
        address = f"{_HOST}:{ports[0]}"
        # Once is enough: a client that has heard of a proxy in front turns there, where nobody may be yet.
        answers = wait_until(lambda: self._process.pid is None or broker_answers(address, _ANSWER_S), within_s=_START_S)
        if self._process.pid is None or not answers:
            self._process.stop()
            raise ConfigurationError(f"Kafka did not start; the end of its log:\n{self._process.last_lines()}")

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid4().bytes).decode().rstrip("=").replace("-", "A")
        command = self._java(
            "-XX:TieredStopAtLevel=1",
            f"-D{mark_of(self._directory)}",
            "kafka.tools.StorageTool",
            "format",
            "--ignore-formatted",
            "--cluster-id",
            cluster,
            "--config",
            str(self._settings_file),
        )
        ended = subprocess.run(  # noqa: S603 - our own command line
            command, capture_output=True, text=True, check=False, timeout=_FORMAT_S
        )
        if ended.returncode != 0:
            raise ConfigurationError(f"Kafka's storage could not be prepared: {(ended.stderr or ended.stdout)[-500:]}")

    def _java(self, *arguments: str) -> list[str]:
        # Only warnings: an information line per topic and partition buries what matters.
        return [find_java(), "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", self._class_path, *arguments]
