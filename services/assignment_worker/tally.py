"""How good the first decision about a purchase was, counted for the success rate.

A purchase for which no trainer existed is no failure of the assignment: the rate is assigned / (assigned + missed), and
what is infeasible has a figure of its own, by the filter that left nobody. A trainer existed if one was free, which is
assigned, or if moving one allocation that has not begun would free one: the reason of a pending then names the swap.
"""

import orjson

from services.assignment_worker.allocations import Decision
from services.common.metrics import Metrics


class Tally:
    def __init__(self, metrics: Metrics) -> None:
        self._assignments = metrics.assignments
        self._infeasible = metrics.infeasible_assignments

    def first_decision(self, decision: Decision) -> None:
        """Nothing is counted for a decision that stood already. One whose commit fails is counted, and made again."""
        if decision["revision"] != 1:
            return
        match decision["result"]:
            case "ok":
                self._assignments.labels("assigned").inc()
            case "pending" if orjson.loads(decision["reason"]).get("repairs"):
                self._assignments.labels("missed").inc()
            case "pending":
                self._assignments.labels("infeasible").inc()
                self._infeasible.labels(decision["filter"]).inc()
