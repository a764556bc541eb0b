"""A server that somebody else runs: its address is all that is known of it."""

from services.common.errors import ConfigurationError
from services.sandbox.stack.server import Remains


class GivenServer:
    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address

    def start(self) -> None:
        """It runs already."""

    def stop(self) -> None:
        raise self._foreign()

    def pause(self) -> None:
        raise self._foreign()

    def resume(self) -> None:
        raise self._foreign()

    def remains(self) -> Remains | None:
        return None

    def _foreign(self) -> ConfigurationError:
        return ConfigurationError(f"{self.name} was given by its address; whoever runs it can stop it")
