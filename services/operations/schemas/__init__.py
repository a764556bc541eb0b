"""The events' schemas as released: none is edited, and every version reads every other.

files.py   what stands in schemas/;  shapes.py  what a schema contains
check.py   whether every reader understands every writer;  release.py  a new version
"""
