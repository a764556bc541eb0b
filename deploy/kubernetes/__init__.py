"""Manifests for kustomize. What repeats or follows from the code is made by generate.py; the rest is by hand."""
