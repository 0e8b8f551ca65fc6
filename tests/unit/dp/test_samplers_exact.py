"""What the proofs rest on: enclosures enclose, tables are the distribution, brackets hold, tails are as small as said."""

from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from math import asinh, log, sqrt

import numpy as np
import pytest

from securefl.dp.samplers import TV_BOUND
from securefl.dp.samplers.bessel import hankel, recurrence
from securefl.dp.samplers.blocks import RejectedBlocks, SingleCells
from securefl.dp.samplers.cells import CellTable
from securefl.dp.samplers.discrete_gaussian import _sampler as gaussian
from securefl.dp.samplers.discrete_laplace import _sampler as laplace
from securefl.dp.samplers.exact import exp_minus, log_ratio
from securefl.dp.samplers.skellam import _sampler as of_skellam
from unit.dp import samplers_reference as reference

BUILD = {"gaussian": gaussian, "laplace": laplace, "skellam": of_skellam}
SINGLE = [
    *(("gaussian", Fraction(p)) for p in ("1/16", "1/4", "2", "100", "12345/7", "16383")),
    *(("laplace", Fraction(p)) for p in ("1/16", "1/2", "31/3")),
    *(("skellam", Fraction(p)) for p in ("1/16", "2/3", "7", "100", "16383")),
]
BLOCKS = [
    *(("gaussian", Fraction(p)) for p in ("16384", "40000", "300001/4")),
    ("laplace", Fraction(64)),
    *(("skellam", Fraction(p)) for p in ("16384", "262145")),
]


@pytest.fixture(autouse=True)
def _digits():
    with localcontext() as context:
        context.prec = 130
        yield


def label(value):
    return str(value)


@pytest.mark.parametrize("bits", [1, 32, 64, 200, 400])
@pytest.mark.parametrize("x", ["0", "1/1000000007", f"1/{2**200}", "1/512", "1/3", "1", "8", "84", "355/113", "2999/7"])
def test_the_exponential_is_enclosed_closely(x, bits):
    low, high = exp_minus(Fraction(x), bits)
    exact = (-reference.decimal(Fraction(x))).exp() * 2**bits
    assert low <= exact <= high <= low + 2


@pytest.mark.parametrize("ratio", ["1", f"1/1{'0' * 30}", "1/1000", "1/5", "1/4", "1/2"])
def test_the_logarithm_is_enclosed(ratio):
    smaller = 2**256 // 3
    larger = int(smaller * (1 + Fraction(ratio))) if ratio != "1" else smaller
    low = log_ratio(larger, smaller)
    assert low <= (Decimal(larger) / Decimal(smaller)).ln() * 2**32 < low + 2


def pmf_of(name, parameter):
    """Probabilities of 0, 1, ..., far beyond the table, in decimals."""
    f, last, _ = reference.distribution(name, parameter)
    values = reference.bessel(parameter, last + 300) if name == "skellam" else [f(x) for x in range(2 * last + 50)]
    total = values[0] + 2 * sum(values[1:])
    return [value / total for value in values]


def cells_of(table):
    edges = [0, *table.bounds, 2**192]
    return [Fraction(b - a, 2**192) for a, b in pairwise(edges)]


def distance(pmf, drawn):
    """Total variation between a symmetric pmf of 0.. and what is drawn of each integer."""
    inside = sum(abs(pmf[abs(x)] - p) for x, p in drawn.items())
    outside = sum(p * (x != 0) for x, p in enumerate(pmf) if x not in drawn) + sum(
        p for x, p in enumerate(pmf) if x and -x not in drawn
    )
    return (inside + outside) / 2


@pytest.mark.parametrize(("name", "parameter"), SINGLE, ids=label)
def test_a_table_of_single_integers_is_the_distribution(name, parameter):
    """The probabilities that the integers of the table imply, exactly, against decimals of 130 digits."""
    sampler = BUILD[name](parameter)
    assert isinstance(sampler, SingleCells)
    cells = cells_of(sampler.table)
    drawn = {x: reference.decimal(p) for x, p in enumerate(cells, -(len(cells) // 2))}
    assert distance(pmf_of(name, parameter), drawn) < reference.decimal(TV_BOUND) / 2**18


@pytest.mark.parametrize(("name", "parameter"), BLOCKS, ids=label)
def test_a_table_of_blocks_with_exact_rejection_is_the_distribution(name, parameter):
    sampler = BUILD[name](parameter)
    assert isinstance(sampler, RejectedBlocks)
    cells, pmf = cells_of(sampler.table), pmf_of(name, parameter)
    size, half = 1 << reference.distribution(name, parameter)[2], len(cells) // 2
    drawn = {}
    for k, cell in enumerate(cells, -half):
        share = reference.decimal(cell) / pmf[size * (k if k >= 0 else -k - 1)]
        drawn |= {x: share * pmf[abs(x)] for x in range(k * size, (k + 1) * size)}
    kept = sum(drawn.values())
    assert distance(pmf, {x: p / kept for x, p in drawn.items()}) < reference.decimal(TV_BOUND) / 2**18
    assert kept / size > Decimal("0.95")


@pytest.mark.parametrize(("name", "parameter"), BLOCKS, ids=label)
def test_brackets_and_squeeze_never_decide_against_the_exact_ratio(name, parameter):
    """For each integer of each block, against decimals; and the bracket is as narrow as log-concavity allows."""
    sampler, (f, _, bits) = BUILD[name](parameter), reference.distribution(name, parameter)
    size, half = 1 << bits, sampler._cells
    steps = np.tile(np.arange(size + 1), half)
    blocks = np.repeat(np.arange(half), size + 1)
    low, high = (bound.tolist() for bound in sampler.bracket(blocks, steps))
    squeeze = sampler._squeeze[half:].tolist()
    assert sampler._squeeze[:half].tolist() == squeeze[::-1]
    assert sampler._slopes.max() < 2**30  # what the fixed-point exponential needs
    values = [f(x) * 2**32 for x in range((half + 1) * size)]
    for i, (j, d) in enumerate(zip(blocks.tolist(), steps.tolist(), strict=True)):
        ratio = values[j * size + d] / values[j * size] * 2**32
        assert low[i] <= ratio <= high[i]
        assert squeeze[j] <= ratio
    assert max(np.subtract(high, low)) < 2**32 / 64**2


@pytest.mark.parametrize(
    ("name", "parameter"), [("gaussian", 2**100), ("gaussian", 10**12 + 1), ("laplace", 2**47)], ids=label
)
def test_brackets_hold_in_wide_blocks(name, parameter):
    """Blocks of 2^14 to 2^44 integers: at the ends, beside them, and at random places."""
    sampler, (f, _, bits) = BUILD[name](Fraction(parameter)), reference.distribution(name, Fraction(parameter))
    size, numbers = 1 << bits, np.random.default_rng(1)
    for j in (0, 1, 50, sampler._cells - 1):
        steps = np.concatenate([[0, 1, size // 2, size - 1, size], numbers.integers(0, size, 40)])
        low, high = sampler.bracket(np.full(len(steps), j), steps)
        for d, least, most in zip(steps.tolist(), low.tolist(), high.tolist(), strict=True):
            ratio = f(j * size + d) / f(j * size) * 2**32
            assert least <= ratio <= most
            below, above = sampler._ratio(j, d, 100)
            assert below <= ratio * 2**68 <= above <= below + 2


def series(order, x, terms):
    """exp(-x) I_k(x), by the power series, in decimals."""
    half, term = reference.decimal(x) / 2, Decimal(1)
    for i in range(1, order + 1):
        term *= half / i
    total = term
    for m in range(1, terms):
        term *= half * half / (m * (m + order))
        total += term
    return total * (-reference.decimal(x)).exp()


@pytest.mark.parametrize(("x", "orders"), [("1/16", 20), ("2/3", 40), ("100", 190)])
def test_the_recurrence_gives_what_the_power_series_gives(x, orders):
    values = recurrence(Fraction(x), 1, orders + 1, 256)
    start = series(0, Fraction(x), 400)
    for k in range(0, len(values), 9):
        assert abs(series(k, Fraction(x), 400) / start * 2**256 - values[k]) < 2


@pytest.mark.parametrize("x", [2**14, 70_001, 10**9, 2**100])
@pytest.mark.parametrize("sigmas", ["0", "1/8", "1", "5", "14"])
@pytest.mark.parametrize("bits", [64, 256, 500])
def test_hankel_s_expansion_keeps_to_the_recurrence(x, sigmas, bits):
    """I_{k-1} - I_{k+1} = (2k/x) I_k, to within the enclosures."""
    k = 1 + int(Fraction(sigmas) * int(sqrt(x)))
    (a, b), (c, d), (e, f) = (hankel(order, Fraction(x), bits) for order in (k - 1, k, k + 1))
    assert all(high - low <= 4 for low, high in ((a, b), (c, d), (e, f)))
    assert Fraction(2 * k * c, x) <= b - e
    assert Fraction(2 * k * d, x) >= a - f


def test_hankel_s_expansion_is_scaled_as_said_and_agrees_with_miller():
    x = Fraction(2**14)
    direct = recurrence(x, 300, 7, 256)
    low, _ = hankel(0, x, 256)
    for i, value in enumerate(direct):
        at, over = hankel(300 * i, x, 256)
        assert at / (low + 4) - 2.0**-200 <= value / 2**256 <= over / low + 2.0**-200
        assert abs(Fraction(at, low) - Fraction(value, 2**256)) < Fraction(1, 2**250)
    special = pytest.importorskip("scipy.special")
    for x, k in ((2**14, 0), (2**14, 400), (10**6, 3000), (10**9, 5)):
        assert hankel(k, Fraction(x), 64)[0] / 2**64 == pytest.approx(
            sqrt(2 * np.pi * x) * special.ive(k, x), rel=1e-11
        )


def test_the_tails_that_are_left_out_are_below_2_to_the_minus_118():
    for exponent in range(-8, 201):
        mu = 2.0 ** (exponent / 2)
        y = (14 * sqrt(mu) + 60) / mu
        chernoff = mu * (y * asinh(y) - y * y / (sqrt(1 + y * y) + 1))
        assert 1 - chernoff / log(2) < -118, mu
    assert 13**2 / 2 / log(2) > 118
    assert 86 / log(2) - 1 > 118


def test_a_table_takes_as_many_cells_as_its_guide_can_number():
    table = CellTable([1] * 2**15)
    assert len(table.bounds) == 2**15 - 1
    with pytest.raises(ValueError, match="needs 32768 or fewer"):
        CellTable([1] * (2**15 + 1))
    most = (
        laplace(Fraction(64) - Fraction(1, 9)),
        laplace(Fraction(2**47 - 1)),
        gaussian(Fraction(2**14 - 1)),
        gaussian(Fraction(2**16 - 1)),
    )
    assert max(len(sampler.table.bounds) for sampler in most) < 2**14
