"""Which services there are: the name in `coursepay run NAME` -> the package whose `__main__` serves it. In the order in
which a payment meets them, which is the order of starting and stopping, and of their metrics ports.
"""

from collections.abc import Mapping

SERVICES: Mapping[str, str] = {
    "gateway": "services.gateway_api",
    "purchase-worker": "services.purchase_worker",
    "assignment-worker": "services.assignment_worker",
    "notifier": "services.notifier",
    "operations": "services.operations",
}
# The gateway serves its metrics on its own port.
WITH_METRICS_PORT = tuple(name for name in SERVICES if name != "gateway")


def metrics_ports(first: int) -> dict[str, int]:
    """Counted up from the setting METRICS_PORT; 0 is any free one for each."""
    return {name: first + number if first else 0 for number, name in enumerate(WITH_METRICS_PORT)}
