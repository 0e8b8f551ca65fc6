from fractions import Fraction

import numpy as np
import pytest

from securefl.crypto.random import OS
from securefl.crypto.seeded import SeededRandom
from securefl.dp.samplers import blocks, discrete_gaussian, discrete_laplace, gaussian_variance, skellam
from securefl.errors import UnsafePlanError

SEED = bytes(range(32))
SAMPLERS = [discrete_gaussian, discrete_laplace, skellam]
CASES = [
    (discrete_gaussian, 100),
    (discrete_gaussian, 40_000),
    (discrete_gaussian, 2**100),
    (discrete_laplace, Fraction(31, 3)),
    (discrete_laplace, 10**4),
    (skellam, 100),
    (skellam, 20_000),
]


def named(value):
    return getattr(value, "__name__", None) or str(value)


def draws(sampler, parameter, count):
    return sampler(parameter, count, SeededRandom(SEED)).tolist()


class Counting:
    """A source that counts what is drawn from it."""

    def __init__(self):
        self.sizes = []

    def token(self, size):
        self.sizes.append(size)
        return OS.token(size)


@pytest.mark.parametrize(("sampler", "parameter"), CASES, ids=named)
def test_fewer_draws_are_the_beginning_of_more(sampler, parameter):
    many = draws(sampler, parameter, 3000)
    assert len(many) == 3000
    for count in (0, 1, 2, 1000, 2999):
        assert draws(sampler, parameter, count) == many[:count]


@pytest.mark.parametrize(("sampler", "parameter"), CASES, ids=named)
@pytest.mark.parametrize("tile", [1, 7, 100])
def test_draws_do_not_depend_on_how_the_work_is_cut(sampler, parameter, tile, monkeypatch):
    whole = draws(sampler, parameter, 300)
    monkeypatch.setattr(blocks, "TILE", tile)
    assert draws(sampler, parameter, 300) == whole


@pytest.mark.parametrize("sampler", SAMPLERS, ids=named)
@pytest.mark.parametrize("parameter", [100, 10**6])
def test_a_call_takes_one_seed_whatever_its_length(sampler, parameter):
    source = Counting()
    for count in (0, 1, 5000):
        drawn = sampler(parameter, count, source)
        assert (drawn.dtype, drawn.shape) == (np.int64, (count,))
        assert drawn.flags.writeable
    assert source.sizes == [32] * 3


@pytest.mark.parametrize("sampler", SAMPLERS, ids=named)
def test_calls_on_one_source_differ_and_the_system_is_the_default(sampler):
    source = SeededRandom(SEED)
    # False-alarm rate of the calls on the system: below 2^-200.
    assert len({tuple(drawn.tolist()) for drawn in (sampler(10**4, 100, source), sampler(10**4, 100, source))}) == 2
    assert sampler(10**4, 100).tolist() != sampler(10**4, 100).tolist()


@pytest.mark.parametrize("sampler", SAMPLERS, ids=named)
@pytest.mark.parametrize(
    "parameter",
    [
        0,
        -1,
        Fraction(-1, 3),
        Fraction(1, 17),
        2**101,
        1.0,
        float("nan"),
        float("inf"),
        np.float64(4),
        True,
        "4",
        None,
        1j,
    ],
    ids=repr,
)
def test_a_parameter_that_is_no_rational_in_range_is_refused(sampler, parameter):
    with pytest.raises(UnsafePlanError, match="Remedy") as refused:
        sampler(parameter, 10)
    assert refused.value.bound


@pytest.mark.parametrize("count", [-1, 2.0, None, "3"], ids=repr)
@pytest.mark.parametrize("sampler", SAMPLERS, ids=named)
def test_a_count_that_is_no_natural_number_is_refused(sampler, count):
    with pytest.raises(UnsafePlanError, match="number of draws"):
        sampler(4, count)


@pytest.mark.parametrize(
    ("sampler", "most"), [(discrete_gaussian, 2**100), (discrete_laplace, 2**47), (skellam, 2**100)]
)
def test_the_largest_parameter_leaves_room_for_a_thousand_summands(sampler, most):
    drawn = sampler(most, 10_000, SeededRandom(SEED))
    assert np.abs(drawn).max() < 2**54
    assert np.abs(drawn).max() > 2**45
    with pytest.raises(UnsafePlanError):
        sampler(most + Fraction(1, 2), 1)


@pytest.mark.parametrize("same", [Fraction(100), np.int64(100), np.uint8(100)])
def test_equal_numbers_give_equal_draws(same):
    assert draws(discrete_gaussian, same, 50) == draws(discrete_gaussian, 100, 50)


def test_equal_parameters_share_one_table():
    from securefl.dp.samplers.discrete_gaussian import _sampler

    assert _sampler(Fraction(2, 4)) is _sampler(Fraction(1, 2))
    assert _sampler.cache_info().maxsize


def test_the_true_variance_of_the_discrete_gaussian():
    assert gaussian_variance(Fraction(1, 4)) == pytest.approx(0.2150127, abs=5e-8)
    weights = {x: np.exp(-x * x / (2 / 16)) for x in range(-40, 41)}
    direct = sum(x * x * w for x, w in weights.items()) / sum(weights.values())
    assert gaussian_variance(Fraction(1, 16)) == pytest.approx(direct, rel=1e-14)
    assert gaussian_variance(16) == pytest.approx(16, rel=1e-13)
    assert gaussian_variance(17) == 17
    assert gaussian_variance(2**100) == 2.0**100
    below = [gaussian_variance(Fraction(k, 16)) * 16 / k for k in range(1, 17)]
    assert below == sorted(below)
    assert below[-1] < 1
    with pytest.raises(UnsafePlanError):
        gaussian_variance(0)
