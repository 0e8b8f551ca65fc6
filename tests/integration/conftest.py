"""What runs of whole trainings and documents share."""

from __future__ import annotations

import random

import pytest

from securefl.crypto.random import SystemRandom


@pytest.fixture
def from_a_seed(monkeypatch):
    """The library draws the same each time: what a training comes to, or an audit, hangs on luck now and then."""
    drawn = random.Random(1)
    monkeypatch.setattr(SystemRandom, "token", lambda _, size: drawn.randbytes(size))
    monkeypatch.setattr(SystemRandom, "below", lambda _, bound: drawn.randrange(bound))
