"""Only fields of the allow-list pass; one that a call names and the list does not would be missing without a word."""

from services.common.telemetry.logs import LOG_FIELDS
from tests.support.tidy import calls, service_modules

_LOGS = {"log.debug", "log.info", "log.warning", "log.error", "log.exception"}
# It becomes `exception`.
_OF_STRUCTLOG = {"exc_info"}


def test_every_named_field_is_on_the_allow_list() -> None:
    left_out = {
        f"{module.at(call)} {field.arg}"
        for module in service_modules()
        for call, name in calls(module)
        if name in _LOGS
        for field in call.keywords
        if field.arg is not None and field.arg not in LOG_FIELDS | _OF_STRUCTLOG
    }
    assert left_out == set()
