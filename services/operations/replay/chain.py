"""The chain of runs: each carries a SHA-256 over how it began and over the digest of the run before it, and another
over what it did. Taking a run out, or editing one, breaks a link that `coursepay dlq audit` names.

It makes tampering evident to whoever kept a digest (the closing line prints it); it cannot prevent it.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson

Facts = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One run as stored. `result` is None while it has not ended once."""

    run_id: str
    began: Facts
    previous_sha256: str
    sha256: str
    result: Facts
    result_sha256: str | None


def digest_of_facts(facts: Facts) -> str:
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()


def begin_digest(began: Facts, previous_sha256: str) -> str:
    return digest_of_facts({**began, "previous_sha256": previous_sha256})


def result_digest(sha256: str, result: Facts) -> str:
    return digest_of_facts({**result, "sha256": sha256})


def items_digest(items: Iterable[Sequence[object]]) -> str:
    """Of the records that a run has finished, in any order."""
    return digest_of_facts({"items": sorted([str(part) for part in item] for item in items)})


def broken_links(links: Sequence[Link]) -> list[str]:
    """One sentence per break; `links` in the order of the chain."""
    found, previous = [], ""
    for link in links:
        if link.previous_sha256 != previous:
            found.append(f"run {link.run_id} does not follow the run before it: one was taken out or added")
        if link.sha256 != begin_digest(link.began, link.previous_sha256):
            found.append(f"run {link.run_id} was edited: how it began does not match its digest")
        if link.result_sha256 is not None and link.result_sha256 != result_digest(link.sha256, link.result):
            found.append(f"run {link.run_id} was edited: what it did does not match its digest")
        previous = link.sha256
    return found
