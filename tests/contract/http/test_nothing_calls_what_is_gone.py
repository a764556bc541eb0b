"""The enrollment routes answer 410. Before coursepay one of them was called on the way to a trainer, and its 410 ended
the chain.
"""

from tests.support.tidy import ROOT, service_modules

OF_THE_ROUTE = {
    "services/gateway_api/app",
    "services/gateway_api/routing/endpoints",
    "services/gateway_api/routing/enrollments",
}


def test_no_service_knows_the_enrollment_routes_but_the_one_that_refuses_them() -> None:
    naming = {module.name for module in service_modules() if "enrollment" in module.text.lower()}
    assert naming <= OF_THE_ROUTE
    assert naming, "the search finds what is there"
    assert not [path for path in (ROOT / "sql").glob("*.sql") if "enrollment" in path.read_text().lower()]
