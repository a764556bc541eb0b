from pathlib import Path

import pytest

from tests.support.small_children import Children


@pytest.fixture
def children(tmp_path: Path) -> Children:
    return Children(tmp_path)
