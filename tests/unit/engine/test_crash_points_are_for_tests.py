import pytest

from services.common.errors import ConfigurationError
from services.common.runtime import ENGINE_POINTS, arm
from services.common.settings import Settings


@pytest.mark.parametrize("point", ["nowhere", "after-commit:0", "after-commit:x", "after-commit:-1"])
def test_only_a_point_that_exists_can_be_armed(point: str) -> None:
    with pytest.raises(ConfigurationError, match="COURSEPAY_CRASH_POINT"):
        arm(Settings(crash_point=point))


def test_none_in_production() -> None:
    with pytest.raises(ConfigurationError, match="production"):
        arm(Settings(crash_point=ENGINE_POINTS[0], environment="production"))


def test_none_unless_asked() -> None:
    arm(Settings(crash_point=None, environment="production"))
