"""What the tests of pretrained networks share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(private_cache: Path) -> Path:
    """Every test here has its own cache folder."""
    return private_cache
