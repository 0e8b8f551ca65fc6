"""L2 clipping by example: the edges of float64, places in errors, sensitivities."""

import math
from fractions import Fraction

import numpy as np
import pytest

from securefl.dp.clipping import FlatClip, LayerClip, sqrt_up
from securefl.errors import EncodingError, NonFiniteError, UnsafePlanError


def squared(vector):
    return sum(Fraction(value) ** 2 for value in vector.tolist())


def test_a_zero_update_stays_zero():
    clipped = FlatClip(1.0).clip(np.zeros(5, dtype=np.float32))
    assert clipped.vector.tolist() == [0.0] * 5
    assert clipped.vector.dtype == np.float64
    assert not clipped.shrunk
    assert FlatClip(1.0).clip(np.zeros(0)).vector.size == 0


def test_what_is_short_enough_is_not_changed():
    vector = np.array([0.3, -0.4, 5e-324])
    clipped = FlatClip(0.5000001).clip(vector)
    assert clipped.vector.tolist() == vector.tolist()
    assert not clipped.shrunk


def test_what_is_longer_keeps_its_direction():
    clipped = FlatClip(1.0).clip(np.array([3.0, -4.0]))
    assert clipped.shrunk
    assert clipped.vector == pytest.approx([0.6, -0.8], rel=1e-11)


@pytest.mark.parametrize("bound", [1e-100, 1.0, 1e100])
@pytest.mark.parametrize("value", [5e-324, 2.5e-308, 1e-200, 1e-100, 1.0, 1e100, 1e160, 1.79e308])
def test_the_bound_holds_from_subnormals_to_the_largest_floats(bound, value):
    clipped = FlatClip(bound).clip(np.array([value, -value, value / 2, 0.0]))
    assert squared(clipped.vector) <= Fraction(bound) ** 2
    assert clipped.shrunk == (value * 1.5 > bound)
    if clipped.shrunk:
        assert float(squared(clipped.vector / bound)) > 1 - 1e-11
    else:
        assert clipped.vector[0] == value


def test_many_values_are_added_within_the_proven_error():
    vector = np.full(100_000, 0.1)
    for bound in (1.0, 7.0, math.sqrt(1000.0), 31.0):
        assert squared(FlatClip(bound).clip(vector).vector) <= Fraction(bound) ** 2


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_with_its_place_and_without_its_value(bad):
    vector = np.ones(9000)
    vector[8191] = bad
    with pytest.raises(NonFiniteError, match="flat index 8191") as caught:
        FlatClip(1.0).clip(vector)
    assert str(bad) not in str(caught.value).replace("infinity", "")
    with pytest.raises(NonFiniteError, match=r"tensor 1 .* flat index 191") as caught:
        FlatClip(1.0).clip_blocks([vector[:8000], vector[8000:]], 9000)
    assert caught.value.tensor == "1"
    with pytest.raises(NonFiniteError, match=r"tensor 2 .* flat index 91") as caught:
        LayerClip((1.0, 1.0, 1.0)).clip(vector, [slice(0, 100), slice(100, 8100), slice(8100, 9000)])
    assert caught.value.tensor == "2"


def test_a_weight_is_folded_in_before_the_norm_is_taken():
    vector = np.array([0.6, 0.8])
    assert FlatClip(1.1).clip(vector, weight=1).vector.tolist() == vector.tolist()
    heavy = FlatClip(1.1).clip(vector, weight=900)
    assert heavy.shrunk
    assert squared(heavy.vector) <= Fraction(1.1) ** 2
    assert FlatClip(1.0).clip(vector, weight=0.5).vector.tolist() == [0.3, 0.4]
    assert not FlatClip(1.0).clip(vector, weight=0).vector.any()
    blocks = FlatClip(1.1).clip_blocks([vector[:1], vector[1:]], 2, weight=900)
    assert blocks.vector.tolist() == heavy.vector.tolist()


def test_a_weight_that_overflows_the_update_is_refused():
    with pytest.raises(NonFiniteError, match="weight included"):
        FlatClip(1.0).clip(np.array([1e300]), weight=1e20)


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_a_weight_that_is_none_is_refused_and_not_quoted(weight):
    with pytest.raises(EncodingError, match="the weight is negative or not finite") as caught:
        FlatClip(1.0).clip(np.ones(2), weight=weight)
    assert str(weight) not in str(caught.value)


def test_the_result_is_the_partys_own_memory():
    vector = np.ones(4)
    clipped = FlatClip(10.0).clip(vector).vector
    vector *= 1000
    assert clipped.tolist() == [1.0] * 4


def test_blocks_may_share_one_buffer():
    def blocks():
        buffer = np.empty(2)
        for value in (1.0, 2.0, 3.0):
            buffer[:] = value
            yield buffer

    assert FlatClip(10.0).clip_blocks(blocks(), 6).vector.tolist() == [1, 1, 2, 2, 3, 3]


def test_blocks_are_tensors_of_any_shape():
    blocks = [np.ones((2, 2), dtype=np.float32), np.float16(2.0).reshape(()), np.zeros((0, 3))]
    assert FlatClip(10.0).clip_blocks(blocks, 5).vector.tolist() == [1, 1, 1, 1, 2]


@pytest.mark.parametrize("size", [3, 5])
def test_blocks_of_another_total_length_are_refused(size):
    with pytest.raises(EncodingError, match="the blocks have"):
        FlatClip(1.0).clip_blocks([np.ones(2), np.ones(2)], size)


@pytest.mark.parametrize(
    "vector", [np.ones(3, dtype=np.int64), np.ones(3, dtype=complex), np.ones(3, dtype=np.longdouble), np.ones((3, 1))]
)
def test_what_is_no_flat_vector_of_floats_is_refused(vector):
    with pytest.raises(EncodingError, match="flat vector"):
        FlatClip(1.0).clip(vector)


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan, math.inf, 1e-101, 1e101, True, "1"])
def test_a_bound_out_of_range_is_refused(bound):
    with pytest.raises(UnsafePlanError, match="clip out of range"):
        FlatClip(bound)
    with pytest.raises(UnsafePlanError, match="clip out of range"):
        LayerClip((1.0, bound))


def test_layers_without_bounds_or_with_too_large_a_total_are_refused():
    with pytest.raises(UnsafePlanError, match="no layer"):
        LayerClip(())
    with pytest.raises(UnsafePlanError, match="clip out of range"):
        LayerClip((1e100, 1e100))


def test_each_layer_keeps_its_own_bound():
    clip = LayerClip((1.0, 2.0))
    clipped = clip.clip(np.array([30.0, 40.0, 1.0, 1.0]), [slice(0, 2), slice(2, 4)])
    assert clipped.shrunk
    assert clipped.vector == pytest.approx([0.6, 0.8, 1.0, 1.0], rel=1e-11)
    assert clipped.vector[2:].tolist() == [1.0, 1.0]
    assert not clip.clip(np.array([0.5, 1.9]), [slice(0, 1), slice(1, 2)]).shrunk


@pytest.mark.parametrize(
    "layers",
    [
        [slice(0, 2)],
        [slice(0, 4)],
        [slice(0, 1), slice(2, 4)],
        [slice(0, 3), slice(2, 4)],
        [slice(1, 2), slice(2, 4)],
        [slice(0, 2), slice(2, 3)],
        [slice(0, 2), slice(2, 5)],
        [slice(0, 4), slice(4, 2)],
        [slice(0, 2, 2), slice(2, 4)],
        [slice(None, 2), slice(2, 4)],
    ],
)
def test_layers_that_leave_a_value_unclipped_are_refused(layers):
    with pytest.raises(EncodingError, match="layer"):
        LayerClip((1.0, 1.0)).clip(np.full(4, 9.0), layers)


def test_layers_that_go_back_are_refused():
    with pytest.raises(EncodingError, match="layer 1 is"):
        LayerClip((1.0, 1.0, 1.0)).clip(np.full(4, 9.0), [slice(0, 4), slice(4, 2), slice(2, 4)])


def test_sensitivity_is_the_clip_and_twice_that_for_replacing():
    for sensitivity in (FlatClip(3.0).sensitivity, LayerClip((3.0,)).sensitivity):
        assert (sensitivity.add_remove, sensitivity.zero_out, sensitivity.replace_one) == (3.0, 3.0, 6.0)
    total = LayerClip((0.1, 0.2, 0.3)).sensitivity.zero_out
    assert Fraction(total) ** 2 >= sum(Fraction(bound) ** 2 for bound in (0.1, 0.2, 0.3))
    assert total == pytest.approx(math.sqrt(0.14), rel=1e-15)


def test_roots_are_rounded_up_and_exact_where_they_can_be():
    assert sqrt_up(0) == 0
    assert sqrt_up(49) == 7
    assert sqrt_up(Fraction(0.1) ** 2) == 0.1
    assert Fraction(sqrt_up(2)) ** 2 > 2 > Fraction(math.nextafter(sqrt_up(2), 0)) ** 2
