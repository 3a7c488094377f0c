"""The share log on each database it can live in."""

from pathlib import Path

import pytest


@pytest.fixture
def sharelog_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/shares.db"
