from __future__ import annotations

import numpy as np
import pytest

from securefl.encoding.fixed_point import FixedPoint
from securefl.encoding.ring import Ring
from securefl.errors import EncodingError, LayoutMismatchError, NonFiniteError, RoundAbortedError, SaturationError
from securefl.pipeline import check_update, decode_sum, encode_update, integer_sum
from securefl.plan import Plan


def plan(template=None, **fields):
    fields = {"encoding": FixedPoint(16, 4.0), **fields}
    return Plan(template=template or {"w": ((3,), "float64"), "n": ((), "int32")}, parties=5, **fields)


GOOD = {"w": np.array([1.0, -2.0, 0.25]), "n": np.int32(7)}


def centred(made, update, **options):
    return made.ring.centre(encode_update(made, update, **options).vector).tolist()


def test_the_vector_holds_values_in_layout_order_then_the_weight_then_metrics_by_name():
    made = plan({"b": ((2,), "int32"), "a": ((1,), "int32")}, max_weight=9, metrics={"z": (-1, 1), "y": (-1, 1)})
    top = made.encoding.max_value
    update = {"a": np.array([5], np.int32), "b": np.array([-6, 7], np.int32)}
    # The ends of a range lie on the grid, where rounding has nothing to decide.
    assert centred(made, update, weight=3, metrics={"y": 1, "z": -1}) == [15, -18, 21, 3, 3 * top, -3 * top]
    assert len(encode_update(made, update, weight=3, metrics={"y": 1, "z": -1}).vector) == made.length == 6


def test_without_weights_there_is_no_weight_coordinate():
    made = plan({"a": ((1,), "int32")})
    assert centred(made, {"a": np.array([5], np.int32)}) == [5]


@pytest.mark.parametrize("size", [0, 1, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, (1 << 17) + 3])
def test_vectors_longer_than_a_block_are_encoded_like_short_ones(size):
    made = plan({"w": ((size,), "int32"), "x": ((2,), "int32")}, max_weight=3)
    values = (np.arange(size, dtype=np.int32) % 60_001) - 30_000
    update = {"w": values, "x": np.array([1, -1], np.int32)}
    assert centred(made, update, weight=2) == [*(2 * values).tolist(), 2, -2, 2]


def test_arrays_that_are_not_contiguous_are_encoded_in_their_own_order():
    made = plan({"w": ((3, 2), "int32")})
    values = np.arange(12, dtype=np.int32).reshape(2, 6)[:, ::2].T
    assert not values.flags.c_contiguous
    assert centred(made, {"w": values}) == values.reshape(-1).tolist()


def test_the_update_itself_is_left_as_it_was():
    made = plan(max_weight=9)
    update = {"w": np.array([9.0, -9.0, 0.1]), "n": np.int32(7)}
    before = update["w"].copy()
    assert encode_update(made, update, weight=9).saturated == 2
    np.testing.assert_array_equal(update["w"], before)


def test_saturation_is_counted_over_all_leaves():
    made = plan({"w": ((3,), "float64"), "n": ((2,), "int64")})
    update = {"w": np.array([4.0, 4.000001, -5.0]), "n": np.array([1 << 15, 1 << 14])}
    encoded = encode_update(made, update)
    assert encoded.saturated == 3
    top = made.encoding.max_value
    assert made.ring.centre(encoded.vector).tolist() == [top, 1 << 14, top, top, -top]
    strict = made.replace(encoding=FixedPoint(16, 4.0, "refuse"))
    with pytest.raises(SaturationError, match="tensor 'n'"):
        encode_update(strict, update)


@pytest.mark.parametrize(
    ("change", "error", "tensor"),
    [
        ({"w": np.array([0, np.nan, 0])}, NonFiniteError, "w"),
        ({"w": np.array([0, 0, np.inf])}, NonFiniteError, "w"),
        ({"w": np.zeros(2)}, LayoutMismatchError, "w"),
        ({"w": np.zeros((3, 1))}, LayoutMismatchError, "w"),
        ({"w": np.zeros(3, np.float32)}, LayoutMismatchError, "w"),
        ({"n": 7}, LayoutMismatchError, "n"),
        ({"v": np.zeros(1)}, LayoutMismatchError, "v"),
        ({"w": [1.0, 2.0, 3.0]}, LayoutMismatchError, "w"),
        ({"w": np.ma.masked_array([1.0, 2.0, 3.0], mask=[1, 0, 0])}, EncodingError, "w"),
        ({"w": None}, EncodingError, "w"),
    ],
    ids=str,
)
def test_an_update_that_does_not_fit_is_refused_and_its_tensor_named(change, error, tensor):
    for act in (check_update, encode_update):
        with pytest.raises(error) as caught:
            act(plan(), {**GOOD, **change})
        assert caught.value.tensor == tensor
        assert tensor in str(caught.value)


def test_the_place_of_the_first_bad_value_is_named_and_no_value():
    made = plan({"w": ((300, 300), "float32")})
    update = np.full((300, 300), 0.123456, np.float32)
    update[250, 7] = np.nan
    update[299, 0] = np.inf
    with pytest.raises(NonFiniteError, match=f"flat index {250 * 300 + 7}") as caught:
        check_update(made, {"w": update})
    assert "0.123" not in str(caught.value)


def test_missing_and_surplus_trees_are_refused():
    for update in ({"w": GOOD["w"]}, {}, GOOD["w"], [GOOD["w"], GOOD["n"]], None):
        with pytest.raises(EncodingError):
            check_update(plan(), update)


@pytest.mark.parametrize("weight", [0, 10, -1, 1.0, True, None, "1", np.float64(1)])
def test_a_weight_outside_the_plan_is_refused(weight):
    with pytest.raises(EncodingError, match=r"not a whole number in 1\.\.9"):
        encode_update(plan(max_weight=9), GOOD, weight=weight)


@pytest.mark.parametrize("weight", [1, 9, np.int64(9), np.uint8(9)])
def test_a_whole_weight_of_any_type_is_taken(weight):
    made = plan(max_weight=9)
    assert centred(made, GOOD, weight=weight)[-1] == int(weight)


def sum_of(made, vectors):
    total = made.ring.zeros(made.length)
    for vector in vectors:
        made.ring.add_into(total, vector)
    return total


def test_a_sum_decodes_to_total_mean_weight_and_metrics():
    made = plan(max_weight=9, metrics={"loss": (0, 2)})
    weights = (1, 9, 3)
    vectors = [
        encode_update(made, {"w": np.array([4.0, -4.0, 0.0]), "n": np.int32(i)}, weight=w, metrics={"loss": 2.0}).vector
        for i, w in enumerate(weights)
    ]
    decoded = decode_sum(made, integer_sum(made, sum_of(made, vectors), 3), 3)
    assert decoded.weight_sum == 13
    np.testing.assert_allclose(decoded.total["w"], [52, -52, 0], rtol=1e-14)
    assert decoded.total["n"] == 15
    np.testing.assert_allclose(decoded.mean["w"], [4, -4, 0], rtol=1e-14)
    assert (decoded.mean["n"], decoded.mean["n"].dtype) == (1, np.int32)
    assert decoded.metrics == {"loss": pytest.approx(2.0)}


@pytest.mark.parametrize("weight_sum", [0, 2, 28, -1, -3])
def test_a_weight_sum_that_no_honest_parties_have_aborts_the_round(weight_sum):
    made = plan({"w": ((1,), "int32")}, max_weight=9)
    words = made.ring.reduce(np.array([5, weight_sum]))
    with pytest.raises(RoundAbortedError, match=f"add up to {weight_sum}, between 3 and 27"):
        integer_sum(made, words, 3)
    assert decode_sum(made, np.array([5, 3]), 3).weight_sum == 3
    assert decode_sum(made, np.array([5, 27]), 3).weight_sum == 27


def test_the_extremes_of_the_ring_decode_with_their_signs():
    made = plan({"w": ((2,), "int64")}, encoding=FixedPoint(16), max_weight=100)
    top = made.encoding.max_value
    vectors = [encode_update(made, {"w": np.array([top, -top])}, weight=100).vector for _ in range(made.parties)]
    decoded = decode_sum(made, integer_sum(made, sum_of(made, vectors), made.parties), made.parties)
    assert decoded.total["w"].tolist() == [500 * top, -500 * top]
    assert made.ring == Ring((2 * 500 * top).bit_length())
