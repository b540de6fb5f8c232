"""The training scripts are no package: their folder is on the path while these tests run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TRAINING = Path(__file__).resolve().parents[2] / "extras" / "training"


@pytest.fixture(scope="package", autouse=True)
def training_on_path() -> Iterator[None]:
    sys.path.insert(0, str(TRAINING))
    yield
    sys.path.remove(str(TRAINING))
