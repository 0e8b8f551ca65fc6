"""A vector encoded in parts is the vector encoded at once."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from securefl.encoding.fixed_point import FixedPoint
from securefl.errors import NonFiniteError, SaturationError
from securefl.pipeline.encode import _BLOCK, EncodedParts, encode_update
from securefl.plan import Plan


class Repeatable:
    """A random source that gives the same bytes in the same order.

    Whether a value needs more than its first two bytes shows when its block is rounded: draws are the same for the same
    blocks, and these must not depend on the parts.
    """

    def __init__(self) -> None:
        # Few different bytes: of the clamped values, whole numbers on the grid, every fourth needs more.
        self._bytes = (
            np.random.Generator(np.random.PCG64(7)).choice([0, 128], 8 * 3 * _BLOCK).astype(np.uint8).tobytes()
        )
        self._place = 0

    def token(self, size: int) -> bytes:
        self._place += size
        assert self._place <= len(self._bytes)
        return self._bytes[self._place - size : self._place]

    def below(self, bound: int) -> int:
        raise NotImplementedError


def plan(size: int, **fields: object) -> Plan:
    template = {"a": ((size,), "float32"), "b": ((), "float64"), "c": ((4,), "int32"), "d": ((0,), "float32")}
    return Plan(template=template, parties=5, **{"encoding": FixedPoint(16, 1.0), **fields})


def update(size: int) -> dict[str, object]:
    return {
        "a": np.linspace(-1.1, 1.1, size, dtype=np.float32),
        "b": 0.3,
        "c": np.arange(4, dtype=np.int32),
        "d": np.zeros(0, np.float32),
    }


@pytest.mark.parametrize("length", [1, 2, 5, 11, 12, 13, 1000])
def test_parts_join_to_the_vector_encoded_at_once(length):
    made = plan(6, max_weight=9, metrics={"loss": (0, 1)})
    options = {"weight": 3, "metrics": {"loss": 0.123}}
    whole = encode_update(made, update(6), random=Repeatable(), **options)
    parts = EncodedParts(made, update(6), values_per_part=length, random=Repeatable(), **options)
    pieces = list(parts)
    assert [piece.size for piece in pieces[:-1]] == [length] * (len(pieces) - 1)
    assert 1 <= pieces[-1].size <= length
    assert np.array_equal(np.concatenate(pieces), whole.vector)
    assert parts.saturated == whole.saturated == 2


@pytest.mark.parametrize("length", [_BLOCK - 1, _BLOCK, _BLOCK + 1, 3 * _BLOCK])
def test_parts_and_blocks_need_not_end_together(length):
    made, given = plan(2 * _BLOCK + 5), update(2 * _BLOCK + 5)
    whole = encode_update(made, given, random=Repeatable())
    parts = EncodedParts(made, given, values_per_part=length, random=Repeatable())
    assert np.array_equal(np.concatenate(list(parts)), whole.vector)
    assert parts.saturated == whole.saturated > 0


def test_an_update_is_encoded_once():
    parts = EncodedParts(plan(6), update(6), values_per_part=4)
    assert iter(parts) is parts
    assert len(list(parts)) == 3
    assert list(parts) == []


def test_an_update_without_values_has_no_parts():
    made = Plan(template={"a": ((0,), "float32")}, parties=5)
    nothing = {"a": np.zeros(0, np.float32)}
    assert list(EncodedParts(made, nothing, values_per_part=4)) == []
    assert encode_update(made, nothing).vector.tolist() == []


def test_what_cannot_be_encoded_is_refused_before_the_first_part():
    bad = {**update(6), "b": float("nan")}
    with pytest.raises(NonFiniteError, match="'b'"):
        EncodedParts(plan(6), bad, values_per_part=4)
    with pytest.raises(ValueError, match="needs 1 or more"):
        EncodedParts(plan(6), update(6), values_per_part=0)


def test_saturation_ends_the_parts_where_the_plan_refuses_it():
    parts = EncodedParts(plan(6, encoding=FixedPoint(16, 1.0, "refuse")), update(6), values_per_part=4)
    with pytest.raises(SaturationError, match="'a'"):
        next(parts)
    assert list(parts) == []


def test_the_whole_vector_is_never_held():
    size = 40 * _BLOCK
    made, given = plan(size), update(size)
    EncodedParts(plan(6), update(6), values_per_part=4)
    tracemalloc.start()
    try:
        count = sum(part.size for part in EncodedParts(made, given, values_per_part=_BLOCK))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == made.length
    assert peak < 4 * size / 2
