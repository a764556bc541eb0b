"""Writes the manifests that follow from the code: `make kubernetes`. They are committed, and a test compares."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import yaml

from deploy.kubernetes.cluster import keda_scalers, prometheus_rules, strimzi_topics
from deploy.kubernetes.workloads import Manifest, migration_job, workloads

DIRECTORY = Path(__file__).resolve().parent
_NOTE = "# This file is made from the code by `make kubernetes`.\n"
MADE: Mapping[str, Callable[[], Iterable[Manifest]]] = {
    "base/workloads.yaml": workloads,
    "base/migrate.yaml": migration_job,
    "overlays/strimzi/topics.yaml": strimzi_topics,
    "overlays/keda/scalers.yaml": keda_scalers,
    "overlays/monitoring/rules.yaml": prometheus_rules,
}


class _Plain(yaml.SafeDumper):
    """Without anchors: what is the same in two places is written twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def render(name: str) -> str:
    return _NOTE + yaml.dump_all(MADE[name](), Dumper=_Plain, sort_keys=False, width=1000, explicit_start=True)


def main() -> None:
    for name in MADE:
        (DIRECTORY / name).write_text(render(name), encoding="utf-8")


if __name__ == "__main__":
    main()
