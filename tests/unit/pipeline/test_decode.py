"""What the mean is when the sum is at the edge, or spoiled."""

from __future__ import annotations

import numpy as np
import pytest

import securefl as sfl
from securefl.pipeline import decode_sum, integer_sum


def decoded(dtype, total, *, encoding=None, parties=3):
    plan = sfl.Plan(template={"x": ((1,), dtype)}, parties=parties, encoding=encoding or sfl.FixedPoint(), ring_bits=40)
    words = plan.ring.reduce(np.array([total], dtype=np.int64))
    return decode_sum(plan, integer_sum(plan, words, parties), parties).mean["x"]


@pytest.mark.parametrize(
    ("dtype", "total", "mean"),
    [
        ("uint8", -9000, 0),
        ("uint8", 9000, 255),
        ("int8", 3 * 127, 127),
        ("int8", 3 * 128, 127),
        ("int8", -3 * 129, -128),
        ("int64", 3 * (1 << 36), 1 << 36),
        ("uint64", -3, 0),
        ("bool", 2, True),
        ("bool", 1, False),
        ("bool", -9, False),
    ],
)
def test_an_integer_mean_stays_in_its_dtype_and_never_wraps(dtype, total, mean):
    got = decoded(dtype, total)
    assert got.dtype == dtype
    assert got.tolist() == [mean]


def test_a_float16_mean_at_the_edge_is_finite():
    encoding = sfl.FixedPoint(value_bits=4, bound=1e5)
    assert decoded("float16", 3 * 7, encoding=encoding).tolist() == [65504.0]


def test_the_sum_over_the_weight_keeps_the_bound_and_the_cast_of_the_mean_comes_on_top():
    updates = {f"p{i}": {"x": np.full(50, 0.3 + i / 7, dtype=np.float16)} for i in range(3)}
    plan = sfl.Plan.for_updates(updates)
    result = sfl.aggregate(updates, plan)
    exact = np.mean([u["x"].astype(np.float64) for u in updates.values()], axis=0)
    assert np.abs(result.sum["x"] / result.weight_sum - exact).max() < plan.encoding.error_bound
    half_ulp = np.spacing(np.float16(0.5)) / 2
    assert np.abs(result.mean["x"].astype(np.float64) - exact).max() < plan.encoding.error_bound + half_ulp
