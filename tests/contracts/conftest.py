"""A fresh chain for each test."""

from __future__ import annotations

import pytest

from tests.contracts.worlds import World


@pytest.fixture
def world() -> World:
    """People and BTCD."""
    return World()


@pytest.fixture
def odd_world() -> World:
    """People and a token that can be made to misbehave."""
    return World(odd=True)
