"""Every fault that there is, as a deck of cards. A seed deals some; `seeds_for_all` consecutive seeds deal each at
least once, so that twenty seeds are the whole matrix and not a matter of luck.
"""

import math
import random
from dataclasses import dataclass
from typing import Final

from services.common.runtime import AFTER_OFFSETS, BEFORE_OFFSETS, ENGINE_POINTS, GATEWAY_POINTS, IN_TRANSACTION
from services.processes.catalogue import SERVICES

WORKERS: Final = ("purchase-worker", "assignment-worker", "notifier")
KAFKA: Final = "kafka"
POSTGRESQL: Final = "postgresql"
# How long something is down or paused. A worker that is stopped for longer than its session has lost its partitions.
DOWN_S: Final = 2.0
STOPPED_S: Final = 12.0
SERVER_AWAY_S: Final = 5.0
WEATHER_S: Final = 5.0
# In a hand, when seeds are asked for.
FAULTS: Final = 4


@dataclass(frozen=True, slots=True)
class Card:
    """`what` happens to `target`, a service or a server; `how` tells more."""

    what: str
    target: str
    how: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.target, self.how) if part)


@dataclass(frozen=True, slots=True)
class Fault:
    """`at`: as a share of the load's duration."""

    card: Card
    at: float


def _all_cards() -> tuple[Card, ...]:
    cards = [Card("kill", service) for service in SERVICES]
    cards += [Card("stop", service) for service in SERVICES]
    cards += [Card("crash", "gateway", point) for point in GATEWAY_POINTS]
    # The notifier handles without a transaction of the engine's.
    cards += [
        Card("crash", worker, point)
        for worker in WORKERS
        for point in ENGINE_POINTS
        if (worker, point) != ("notifier", IN_TRANSACTION)
    ]
    for server in (KAFKA, POSTGRESQL):
        cards += [Card("restart", server), Card("kill-server", server), Card("pause", server)]
        cards += [Card(what, server, "connections") for what in ("cut", "reset", "slow", "part")]
    cards += [Card("kill-in-commit", POSTGRESQL)]
    cards += [Card("rebalance", worker, "storm") for worker in WORKERS]
    cards += [Card("rewind", worker, "to offset 0") for worker in WORKERS]
    cards += [Card("repeat", KAFKA, "records out of order"), Card("poison", KAFKA)]
    cards += [Card("outside", service, how) for service in ("push", "course") for how in ("dead", "slow")]
    return tuple(cards)


CARDS: Final = _all_cards()


def seeds_for_all(faults: int) -> int:
    return math.ceil(len(CARDS) / faults)


def deal(seed: int, *, faults: int) -> tuple[Fault, ...]:
    """The faults of a seed, from 1 on, in the order of their times."""
    game, turn = divmod(seed - 1, seeds_for_all(faults))
    deck = list(CARDS)
    random.Random(f"deck {game}").shuffle(deck)
    # The last hand takes from the top what the deck no longer has.
    hand = (deck + deck)[turn * faults : (turn + 1) * faults]
    dice = random.Random(f"times {seed}")
    return tuple(sorted((Fault(card, dice.uniform(0.1, 0.6)) for card in hand), key=lambda fault: fault.at))


def times_of(card: Card, dice: random.Random) -> int:
    """At which passage of a crash point to die: offsets are committed once a second, the others come per batch."""
    return dice.randint(1, 2) if card.how in {BEFORE_OFFSETS, AFTER_OFFSETS} else dice.randint(1, 5)
