from dataclasses import replace

from services.operations.replay.chain import Link, begin_digest, broken_links, items_digest, result_digest


def chain(length: int) -> list[Link]:
    links: list[Link] = []
    for number in range(length):
        previous = links[-1].sha256 if links else ""
        began, result = {"id": f"run-{number}", "reason": "a test"}, {"state": "finished", "replayed": number}
        sha256 = begin_digest(began, previous)
        links.append(
            Link(
                run_id=f"run-{number}",
                began=began,
                previous_sha256=previous,
                sha256=sha256,
                result=result,
                result_sha256=result_digest(sha256, result),
            )
        )
    return links


def test_an_untouched_chain_holds() -> None:
    assert broken_links(chain(5)) == []
    assert broken_links([]) == []


def test_a_run_taken_out_shows() -> None:
    links = chain(4)
    assert broken_links([*links[:1], *links[2:]]) == [
        "run run-2 does not follow the run before it: one was taken out or added"
    ]


def test_an_edited_reason_shows() -> None:
    links = chain(3)
    links[1] = replace(links[1], began={**links[1].began, "reason": "another"})
    assert broken_links(links) == ["run run-1 was edited: how it began does not match its digest"]


def test_an_edited_count_shows() -> None:
    links = chain(3)
    links[2] = replace(links[2], result={**links[2].result, "replayed": 0})
    assert broken_links(links) == ["run run-2 was edited: what it did does not match its digest"]


def test_a_run_that_has_not_ended_is_no_break() -> None:
    links = chain(2)
    links[1] = replace(links[1], result={}, result_sha256=None)
    assert broken_links(links) == []


def test_the_order_of_items_does_not_matter() -> None:
    assert items_digest([("a", 1), ("b", 2)]) == items_digest([("b", 2), ("a", 1)])
    assert items_digest([("a", 1)]) != items_digest([("a", 2)])
