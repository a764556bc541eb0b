"""Writes the dashboards as JSON: `make dashboards`. The files are committed, and a test compares them with this.

What they show stands in pages/ and shared.py; panels.py draws it.
"""

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.pages import PAGES
from deploy.grafana.panels import Page, draw

DIRECTORY = Path(__file__).resolve().parent / "dashboards"


def render(page: Page) -> str:
    return JSONEncoder(sort_keys=True, indent=2).encode(draw(page).build()) + "\n"


def path_of(page: Page) -> Path:
    return DIRECTORY / f"{page.uid}.json"


def main() -> None:
    DIRECTORY.mkdir(exist_ok=True)
    for page in PAGES:
        path_of(page).write_text(render(page), encoding="utf-8")


if __name__ == "__main__":
    main()
