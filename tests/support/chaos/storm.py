"""Applies the faults of a seed while payments flow, then mends everything."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from services.sandbox.demo.system import System
from services.sandbox.stack import Stack
from tests.support.chaos import outside, processes, records, servers
from tests.support.chaos.deck import KAFKA, POSTGRESQL, Card, Fault, times_of
from tests.support.chaos.proxy import Proxy


@dataclass(slots=True, kw_only=True)
class Storm:
    """`proxies` by server; `diary`: what happened when, for whoever has to understand a failure; `unexplained`: what
    the faults that were dealt do not account for, so that it fails the seed.
    """

    stack: Stack
    proxies: Mapping[str, Proxy]
    seed: int
    diary: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    _started: float = field(default_factory=time.monotonic)
    # One fault at a time for a target; others may overlap.
    _turns: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def rage(self, system: System, faults: tuple[Fault, ...], *, duration_s: float) -> None:
        """Returns when all faults are over and every service is ready again."""
        self._started = time.monotonic()
        dice = random.Random(f"storm {self.seed}")
        async with asyncio.TaskGroup() as tasks:
            for fault in faults:
                own_dice = random.Random(dice.random())
                tasks.create_task(self._strike(system, fault.card, fault.at * duration_s, own_dice))
        for child in system.children.values():
            await self._explained(processes.mend(child))
        await asyncio.gather(*(child.wait_until_ready() for child in system.children.values()))
        self._note("all ready")

    async def _strike(self, system: System, card: Card, after_s: float, dice: random.Random) -> None:
        await asyncio.sleep(after_s)
        async with self._turns[card.target]:
            self._note(f"{card} begins")
            if card.target in system.children:
                await self._explained(processes.mend(system.children[card.target]))
            told = await self._explained(self._apply(system, card, dice))
            self._note(f"{card} is over{': ' if told else ''}{told}")

    async def _explained(self, action: Awaitable[str]) -> str:
        try:
            return await action
        except processes.UnexplainedError as error:
            self.unexplained.append(str(error))
            return str(error)

    async def _apply(self, system: System, card: Card, dice: random.Random) -> str:
        """What there is to tell about it."""
        settings, children = system.settings, system.children
        server = self.stack.kafka if card.target == KAFKA else self.stack.postgres
        proxy = self.proxies.get(card.target, self.proxies[POSTGRESQL])
        actions: Mapping[str, Callable[[], Awaitable[str]]] = {
            "kill": lambda: processes.kill(children[card.target]),
            "stop": lambda: processes.stop(children[card.target]),
            "crash": lambda: processes.crash(
                children[card.target],
                f"{card.how}:{times_of(card, dice)}",
                lambda: records.cause_work(system, card.target, dice),
            ),
            "rebalance": lambda: processes.rebalance(children[card.target]),
            "rewind": lambda: records.rewind(settings, children[card.target]),
            "repeat": lambda: records.repeat(settings, dice),
            "poison": lambda: records.poison(settings, dice),
            "restart": lambda: servers.restart(server),
            "kill-server": lambda: servers.kill(server),
            "pause": lambda: servers.pause(server),
            "kill-in-commit": lambda: servers.kill_in_commit(server, proxy, dice),
            "cut": proxy.cut,
            "reset": proxy.reset,
            "slow": proxy.slow_down,
            "part": proxy.part,
            "outside": lambda: outside.fail(system.sandbox_url, card.target, slow=card.how == "slow"),
        }
        return await actions[card.what]()

    def _note(self, text: str) -> None:
        self.diary.append(f"{time.monotonic() - self._started:6.1f} s  {text}")
