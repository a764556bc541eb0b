"""Kubernetes manifests as kustomize would gather them, without kustomize: only what our kustomizations use."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.tidy import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
_KNOWN = {"apiVersion", "kind", "resources", "namespace", "images", "generatorOptions", "configMapGenerator"}
Manifest = dict[str, Any]


def manifests(directory: Path) -> Iterator[Manifest]:
    """Every resource of a kustomization and of those that it names. Raises AssertionError for what is not understood
    or not there.
    """
    kustomization = yaml.safe_load((directory / "kustomization.yaml").read_text())
    assert set(kustomization) <= _KNOWN, f"{directory}: {set(kustomization) - _KNOWN}"
    for name in kustomization.get("resources", ()):
        path = directory / name
        assert path.exists(), f"{directory}: no {name}"
        if path.is_dir():
            yield from manifests(path.resolve())
        else:
            yield from yaml.safe_load_all(path.read_text())
    for made in kustomization.get("configMapGenerator", ()):
        files = {Path(name).name: (directory / name).read_text() for name in made["files"]}
        yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": made["name"]}, "data": files}


def of_kind(kind: str, directory: Path = KUBERNETES / "overlays" / "production") -> dict[str, Manifest]:
    """Name -> manifest."""
    return {one["metadata"]["name"]: one for one in manifests(directory) if one["kind"] == kind}


def pods() -> dict[str, Manifest]:
    """Name of a Deployment or Job -> the spec of its pods."""
    both = of_kind("Deployment") | of_kind("Job")
    return {name: one["spec"]["template"]["spec"] for name, one in both.items()}
