"""Payment providers: one small file each behind one protocol. A provider without secrets is switched off."""

from typing import Protocol


class Provider(Protocol):
    name: str
