from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest


class ScriptedSource:
    """A random source that says what it was told to, and notes what it was asked."""

    def __init__(self, *, tokens: Iterable[bytes] = (), integers: Iterable[int] = ()) -> None:
        self._tokens, self._integers = iter(tokens), iter(integers)
        self.sizes: list[int] = []
        self.bounds: list[int] = []

    def token(self, size: int) -> bytes:
        self.sizes.append(size)
        return next(self._tokens)

    def below(self, bound: int) -> int:
        self.bounds.append(bound)
        return next(self._integers)


@pytest.fixture
def scripted() -> Callable[..., ScriptedSource]:
    return ScriptedSource
