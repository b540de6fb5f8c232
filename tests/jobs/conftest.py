"""What the tests of the line of work share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .shop import Shop, new_shop


@pytest.fixture
def shop(tmp_path: Path, assets_folder: Path) -> Iterator[Shop]:
    shop = new_shop(tmp_path, assets_folder)
    yield shop
    shop.close()
