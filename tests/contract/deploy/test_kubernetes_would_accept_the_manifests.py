"""Every resource of Kubernetes' own against its published schema, strictly: an unknown field is a misspelt one.

Of the operators' resources (Strimzi, KEDA, Prometheus) no schema is at hand; test_kubernetes_runs_what_the_code_is.py
holds them against the code.
"""

import kubernetes_validate
import pytest

from tests.support.manifests import KUBERNETES, Manifest, manifests

# The oldest that is looked after.
VERSION = "1.34"
OPERATORS = {"kafka.strimzi.io", "keda.sh", "monitoring.coreos.com"}
PRODUCTION = list(manifests(KUBERNETES / "overlays" / "production"))
OWN = [one for one in PRODUCTION if one["apiVersion"].partition("/")[0] not in OPERATORS]


def named(manifest: Manifest) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


@pytest.mark.parametrize("manifest", OWN, ids=named)
def test_a_resource_has_the_shape_that_the_cluster_wants(manifest: Manifest) -> None:
    kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_a_misspelt_field_is_found() -> None:
    (gateway,) = [one for one in OWN if named(one) == "Deployment-gateway"]
    misspelt = {**gateway, "spec": {**gateway["spec"], "replica": 2}}

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(misspelt, VERSION, strict=True)


def test_most_of_what_is_deployed_is_checked() -> None:
    assert {one["kind"] for one in OWN} == {
        "ConfigMap",
        "Deployment",
        "Job",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
    }
