"""The samplers' draws against their distributions: chi-square, moments, places within blocks, sums.

Each comparison is failed by chance with probability below 1e-7: chi-square tails by scipy, means by the normal tail at 6 standard
deviations, 2e-9, with room for skewness. There are fewer than 150, so that with fresh seeds the file raises a false alarm with
probability below 2e-5. The seeds are fixed besides: it cannot flake.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from securefl.crypto.seeded import SeededRandom
from securefl.dp.samplers import blocks, discrete_gaussian, discrete_laplace, gaussian_variance, skellam

stats = pytest.importorskip("scipy.stats")

pytestmark = pytest.mark.statistical

FALSE_ALARM = 1e-7
DRAWS = 400_000


def source(*label: object) -> SeededRandom:
    """A seed of its own for each test."""
    return SeededRandom(repr(label).encode().ljust(32)[-32:])


def pmf(sampler, parameter, x):
    """Probabilities in double precision, by formulas that the library does not use."""
    x = np.abs(np.asarray(x, dtype=float))
    parameter = float(parameter)
    if sampler is discrete_laplace:
        q = math.exp(-1 / parameter)
        return (1 - q) / (1 + q) * q**x
    if sampler is skellam:
        return stats.skellam.pmf(x, parameter / 2, parameter / 2)
    reach = np.arange(1, math.ceil(40 * math.sqrt(parameter)) + 2)
    return np.exp(-x * x / (2 * parameter)) / (1 + 2 * np.exp(-reach * reach / (2 * parameter)).sum())


def variance(sampler, parameter) -> float:
    if sampler is discrete_laplace:
        q = math.exp(-1 / float(parameter))
        return 2 * q / (1 - q) ** 2
    return gaussian_variance(parameter) if sampler is discrete_gaussian else float(parameter)


def chi_square(counts, expected) -> float:
    """The p-value, after neighbours were joined until 20 are expected of each."""
    joined, row = [], np.zeros(2)
    for pair in zip(counts, expected, strict=True):
        row += pair
        if row[1] >= 20:
            joined.append(row)
            row = np.zeros(2)
    joined[-1] += row
    seen, due = np.array(joined).T
    return float(stats.chi2.sf(((seen - due) ** 2 / due).sum(), len(due) - 1))


SMALL = [
    *((discrete_gaussian, Fraction(p)) for p in ("1/16", "1/4", "1", "100", "12345/7", "16384", "40000")),
    *((discrete_laplace, Fraction(p)) for p in ("1/4", "1", "31/3", "64")),
    *((skellam, Fraction(p)) for p in ("1/16", "2/3", "5", "100", "10000", "16384", "40000")),
]
LARGE = [
    *((discrete_gaussian, Fraction(p)) for p in (10**8, 10**12 + 1, 2**100)),
    *((discrete_laplace, Fraction(p)) for p in (10**4, 2**47)),
    *((skellam, Fraction(p)) for p in (10**6, 10**8, 10**12, 2**100)),
]


def named(value):
    return getattr(value, "__name__", None) or str(value)


@pytest.mark.parametrize(("sampler", "parameter"), SMALL, ids=named)
def test_counts_of_single_integers(sampler, parameter):
    drawn = sampler(parameter, DRAWS, source("single", sampler.__name__, parameter))
    reach = int(np.abs(drawn).max()) + 1
    counts = np.bincount(drawn + reach, minlength=2 * reach + 1)
    expected = DRAWS * pmf(sampler, parameter, np.arange(-reach, reach + 1))
    expected[[0, -1]] += (DRAWS - expected.sum()) / 2
    assert chi_square(counts, expected) > FALSE_ALARM


@pytest.mark.parametrize(("sampler", "parameter"), LARGE, ids=named)
def test_counts_of_intervals(sampler, parameter):
    """Of 400 intervals, equally likely in the continuous limit, which is less than 1e-6 away; Skellam against itself where it is more."""
    drawn = sampler(parameter, DRAWS, source("interval", sampler.__name__, parameter)).astype(float)
    limit = (
        stats.laplace(scale=float(parameter))
        if sampler is discrete_laplace
        else stats.norm(scale=float(parameter) ** 0.5)
    )
    shares = limit.cdf(drawn + 0.5)
    if sampler is skellam and parameter < 10**9:  # the excess kurtosis 1/mu can be seen
        edges = np.arange(401) / 400
        cdf = stats.skellam.cdf(np.floor(limit.ppf(edges[1:-1])), float(parameter) / 2, float(parameter) / 2)
        expected = np.diff([0, *cdf, 1]) * DRAWS
        counts = np.histogram(drawn, [-np.inf, *(np.floor(limit.ppf(edges[1:-1])) + 0.5), np.inf])[0]
    else:
        counts, expected = np.histogram(shares, 400, (0, 1))[0], np.full(400, DRAWS / 400)
    assert chi_square(counts, expected) > FALSE_ALARM


@pytest.mark.parametrize(("sampler", "parameter"), SMALL + LARGE, ids=named)
def test_mean_variance_and_symmetry(sampler, parameter):
    drawn = sampler(parameter, DRAWS, source("moments", sampler.__name__, parameter)).astype(float)
    true = variance(sampler, parameter)
    assert abs(drawn.mean()) < 6 * math.sqrt(true / DRAWS)
    squares = drawn * drawn
    assert abs(squares.mean() - true) < 6 * squares.std() / math.sqrt(DRAWS)
    positive, negative = np.count_nonzero(drawn > 0), np.count_nonzero(drawn < 0)
    assert abs(positive - negative) < 6 * math.sqrt(positive + negative)


def far_half(drawn, sampler, parameter, size) -> tuple[float, float]:
    """How many draws lie in the half of their block away from zero, less what is expected, in standard deviations; and the expectation."""
    place = np.where(drawn >= 0, drawn, -1 - drawn) % size
    if parameter <= 10**6:
        x = np.arange(20 * size * 128)
        p = pmf(sampler, parameter, x) + pmf(sampler, parameter, x + 1)  # x and -1 - x have the same place
        expected = p[x % size >= size // 2].sum() / p.sum()
    else:  # the midpoint rule on the density: quarters of a block, and a slope of the density that hardly changes within
        scale = float(parameter) if sampler is discrete_laplace else float(parameter) ** 0.5
        x = (np.arange(32 * 20 * 128) + 0.5) * size / 32 / scale
        p = np.exp(-x) if sampler is discrete_laplace else np.exp(-x * x / 2)
        expected = p[np.arange(len(x)) % 32 >= 16].sum() / p.sum()
    seen = np.count_nonzero(place >= size // 2)
    return (seen - expected * len(drawn)) / math.sqrt(len(drawn) / 4), expected


BLOCKED = [
    (discrete_gaussian, Fraction(40_000), 2),
    (discrete_gaussian, Fraction(10**12), 8192),
    (discrete_laplace, Fraction(10**4), 256),
    (skellam, Fraction(40_000), 2),
    (skellam, Fraction(10**12), 8192),
]


@pytest.mark.parametrize(("sampler", "parameter", "size"), BLOCKED, ids=named)
def test_places_within_blocks(sampler, parameter, size):
    """The half of a block that is nearer to zero is drawn a little more often, by what rejection takes from the other."""
    drawn = sampler(parameter, 4 * DRAWS, source("places", sampler.__name__, parameter))
    deviation, _ = far_half(drawn, sampler, parameter, size)
    assert abs(deviation) < 6
    if size > 16:  # finer places are uniform but for a sixteenth of that
        fine = size // 16
        counts = np.bincount(drawn % fine * 16 // fine, minlength=16)
        assert chi_square(counts, np.full(16, len(drawn) / 16)) > FALSE_ALARM


def test_without_rejection_the_places_are_seen_to_be_wrong(monkeypatch):
    """The control: with every candidate kept, the same comparison fails by far."""
    monkeypatch.setattr(blocks.RejectedBlocks, "_decide", lambda _self, cells, *_: np.ones(len(cells), bool))
    drawn = discrete_laplace(10**4, 4 * DRAWS, source("control"))
    deviation, expected = far_half(drawn, discrete_laplace, Fraction(10**4), 256)
    assert expected < 0.498
    assert deviation > 6


@pytest.mark.parametrize(
    ("parts", "what"), [(("1/2", "3/2", "3"), "5"), (("50", "20", "30"), "100"), (("9000", "20000", "11000"), "40000")]
)
def test_skellam_shares_add_up_to_skellam(parts, what):
    total = sum(skellam(Fraction(part), DRAWS, source("share", part)) for part in parts)
    reach = int(np.abs(total).max()) + 1
    expected = DRAWS * pmf(skellam, Fraction(what), np.arange(-reach, reach + 1))
    expected[[0, -1]] += (DRAWS - expected.sum()) / 2
    assert chi_square(np.bincount(total + reach, minlength=2 * reach + 1), expected) > FALSE_ALARM


def test_discrete_gaussian_shares_of_small_variance_do_not_add_up_to_one():
    """The control: at variance 1/4 a sum of four is visibly not N_Z(0, 1)."""
    total = sum(discrete_gaussian(Fraction(1, 4), DRAWS, source("no share", i)) for i in range(4))
    reach = int(np.abs(total).max()) + 1
    expected = DRAWS * pmf(discrete_gaussian, Fraction(1), np.arange(-reach, reach + 1))
    assert chi_square(np.bincount(total + reach, minlength=2 * reach + 1), expected) < FALSE_ALARM


@pytest.mark.parametrize(
    ("sampler", "parameter"), [(discrete_gaussian, 100), (discrete_laplace, 10), (skellam, 40_000)], ids=named
)
def test_neighbouring_draws_are_independent(sampler, parameter):
    drawn = sampler(parameter, DRAWS, source("lag", sampler.__name__)).astype(float)
    for lag in (1, 2, 17):
        products = drawn[:-lag] * drawn[lag:]
        assert abs(products.mean()) < 6 * products.std() / math.sqrt(len(products))


@pytest.mark.parametrize("scale", [0.5, 3.0, 20.0])
def test_opendp_draws_from_the_same_distribution(scale):
    """Two samples of discrete Gaussians, OpenDP's from the system's entropy: a false alarm in 1e7 runs. Skipped where opendp is missing."""
    dp = pytest.importorskip("opendp.prelude")
    dp.enable_features("contrib")
    count = 20_000
    space = dp.vector_domain(dp.atom_domain(T=int)), dp.l2_distance(T=int)
    theirs = np.array(dp.m.make_gaussian(*space, scale=scale)([0] * count))
    ours = discrete_gaussian(Fraction(scale) ** 2, count, source("opendp", scale))
    reach = int(max(np.abs(theirs).max(), np.abs(ours).max()))
    table = np.array([np.bincount(drawn + reach, minlength=2 * reach + 1) for drawn in (ours, theirs)])
    order = np.argsort(-table.sum(0), kind="stable")
    table = table[:, order]
    keep = table.sum(0) >= 40
    table = np.column_stack([table[:, keep], table[:, ~keep].sum(1) + 1])
    assert stats.chi2_contingency(table).pvalue > FALSE_ALARM
