"""A broker that wants TLS: one listener asks for a client's certificate, one for a password.

Its certificate is for 127.0.0.1 and not for localhost. Inside itself it talks in plain text, on a port of its own.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.common.settings import Settings
from services.common.topic_admin import broker_answers
from services.sandbox.ports import free_ports
from services.sandbox.stack.artifacts import fetch_artifacts
from services.sandbox.stack.broker import BEHAVIOUR
from services.sandbox.stack.java import find_java
from services.sandbox.stack.process import ServerProcess
from services.sandbox.stack.server import KAFKA, ORDERLY
from services.sandbox.stack.waiting import wait_until
from tests.support.certificates import Authority

USER, PASSWORD = "coursepay", "correct-horse"
_START_S = 90.0
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
_SERVER = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=CONTROLLER://127.0.0.1:{controller},INSIDE://127.0.0.1:{inside},CERTIFICATES://127.0.0.1:{certificates},\
PASSWORDS://127.0.0.1:{passwords}
advertised.listeners=INSIDE://127.0.0.1:{inside},CERTIFICATES://127.0.0.1:{certificates},\
PASSWORDS://127.0.0.1:{passwords}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT,CERTIFICATES:SSL,PASSWORDS:SASL_SSL
inter.broker.listener.name=INSIDE
ssl.keystore.type=PEM
ssl.keystore.location={directory}/broker-keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location={ca}
listener.name.certificates.ssl.client.auth=required
listener.name.passwords.ssl.client.auth=none
listener.name.passwords.sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.passwords.scram-sha-512.sasl.jaas.config={scram} required;
listener.name.passwords.plain.sasl.jaas.config={plain} required user_{user}="{password}";
log.dirs={directory}/data
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureKafka:
    """`inside` is for the test's own eyes."""

    certificates: str
    passwords: str
    inside: str


@contextmanager
def secure_kafka(directory: Path, authority: Authority) -> Iterator[SecureKafka]:
    certificate, key = authority.issue("broker", "127.0.0.1")
    (directory / "broker-keystore.pem").write_text(key.read_text() + certificate.read_text())
    names = ("controller", "inside", "certificates", "passwords")
    ports = dict(zip(names, free_ports(4), strict=True))
    properties = directory / "server.properties"
    places = _SERVER.format(
        **ports, directory=directory, ca=authority.ca, scram=_SCRAM, plain=_PLAIN, user=USER, password=PASSWORD
    )
    properties.write_text(places + "".join(f"{name}={value}\n" for name, value in BEHAVIOUR.items()))
    java = [find_java(), "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-XX:TieredStopAtLevel=1", "-Xmx384m"]
    java += ["-XX:+UseSerialGC", "-cp", f"{fetch_artifacts(Settings.from_environment()).jars}/*"]
    user = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
    format_storage = [
        "kafka.tools.StorageTool",
        "format",
        "--cluster-id",
        "c2VjdXJlLWthZmthLTAwMA",
        "--add-scram",
        user,
    ]
    subprocess.run([*java, *format_storage, "--config", str(properties)], check=True, capture_output=True, timeout=90)
    broker = ServerProcess(
        [*java, "kafka.Kafka", str(properties)], log=directory / "kafka.log", stop_signal=ORDERLY[KAFKA]
    )
    broker.start()
    try:
        inside = f"127.0.0.1:{ports['inside']}"
        assert wait_until(lambda: broker_answers(inside, 2.0), within_s=_START_S), broker.last_lines()
        yield SecureKafka(
            certificates=f"127.0.0.1:{ports['certificates']}",
            passwords=f"127.0.0.1:{ports['passwords']}",
            inside=inside,
        )
    finally:
        broker.stop()
