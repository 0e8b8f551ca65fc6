"""The grid of the distributed mechanisms: the paper's equation, the default k, the opt-in, and measured spreads."""

import math

import numpy as np
import pytest

from securefl.dp.conditional_rounding import RoundingBound
from securefl.dp.modular_grid import ModularGrid, Wrap, headroom, never_wraps
from securefl.dp.rotation import Rotation
from securefl.errors import UnsafePlanError

MODULAR = ModularGrid(16, Wrap.MODULAR, 2.0)


def test_reference_value_of_the_default_k():
    assert never_wraps(256) == pytest.approx(8.24, abs=0.005)
    assert ModularGrid().room(256) == never_wraps(256)
    assert 2 * 256 * math.exp(-(never_wraps(256) ** 2) / 2) == pytest.approx(2.0**-40)
    assert 2 * 2**20 * math.exp(-(never_wraps(2**20) ** 2) / 2) == pytest.approx(2.0**-40)
    assert never_wraps(250) == never_wraps(256) < never_wraps(257) == never_wraps(512)
    assert never_wraps(1) == pytest.approx(math.sqrt(2 * 41 * math.log(2)))


@pytest.mark.parametrize(
    "grid", [ModularGrid(), ModularGrid(24), MODULAR, ModularGrid(12, "modular", 4), ModularGrid(16, k=9)]
)
@pytest.mark.parametrize("noise", [0.0, 0.75, 20.0])
def test_the_radius_solves_the_papers_equation(grid, noise):
    n, d = 40, 256
    radius = grid.radius(noise=noise, parties=n, dimension=d)
    filled = 2 * grid.room(d) * math.sqrt(radius**2 * n**2 / d + n * (0.25 + noise**2))
    assert filled == pytest.approx(2.0**grid.ring_bits, rel=1e-12)
    assert headroom(grid.ring_bits, radius=radius, noise=noise, parties=n, dimension=d) == pytest.approx(grid.room(d))


@pytest.mark.parametrize("noise_real", [0.0, 0.3, 5.0])
def test_the_scale_solves_the_papers_equation_in_real_units(noise_real):
    n, d, c = 100, 256, 10.0
    s = MODULAR.scale(clip=c, noise_real=noise_real, parties=n, dimension=d)
    filled = 2 * 2.0 * s * math.sqrt(c**2 * n**2 / d + n * (1 / (4 * s**2) + noise_real**2))
    assert filled == pytest.approx(2.0**16, rel=1e-12)
    assert MODULAR.radius(noise=s * noise_real, parties=n, dimension=d) == pytest.approx(c * s, rel=1e-9)


def test_reference_value_of_the_norm_that_rounding_adds():
    """privacy.md: D2 / cs = 2.38 for n = 1000, b = 10 (d = 256, k = 2, epsilon 1, so sqrt(V) is about 4 D2)."""
    grid, n, d = ModularGrid(10, "modular", 2), 1000, 256
    low, high = 0.0, 8.0
    for _ in range(60):  # sqrt(V) / D2 rises with sigma, so bisection finds it
        noise = (low + high) / 2
        bound = RoundingBound(grid.radius(noise=noise, parties=n, dimension=d), d)
        low, high = (noise, high) if math.sqrt(n) * noise < 4 * bound.l2 else (low, noise)
    assert bound.l2 / bound.radius == pytest.approx(2.38, abs=0.01)


def test_more_noise_leaves_a_smaller_radius():
    radii = [ModularGrid().radius(noise=noise, parties=40, dimension=256) for noise in (0.75, 2.0, 50.0, 300.0)]
    assert radii == sorted(radii, reverse=True)


def test_noise_that_fills_the_ring_is_refused():
    with pytest.raises(UnsafePlanError, match="fill the ring of 16 bits") as caught:
        ModularGrid().radius(noise=1e4, parties=40, dimension=256)
    assert caught.value.value == pytest.approx(40 * (0.25 + 1e8))
    with pytest.raises(UnsafePlanError, match="fill the ring"):
        ModularGrid(8).radius(noise=0.0, parties=1000, dimension=256)
    with pytest.raises(UnsafePlanError, match="fill the ring"):
        ModularGrid(8).scale(clip=1.0, noise_real=0.0, parties=1000, dimension=256)


def test_a_k_that_lets_sums_wrap_needs_the_opt_in():
    with pytest.raises(UnsafePlanError, match="lets sums wrap"):
        ModularGrid(16, k=2.0).room(256)
    with pytest.raises(UnsafePlanError, match="lets sums wrap"):
        ModularGrid(16, k=8.24).radius(noise=1.0, parties=10, dimension=2**20)
    assert ModularGrid(16, k=9.0).room(256) == 9.0
    assert MODULAR.room(256) == 2.0


@pytest.mark.parametrize(
    "arguments",
    [
        {"ring_bits": 7},
        {"ring_bits": 33},
        {"ring_bits": 16.0},
        {"ring_bits": True},
        {"wrap": "sometimes"},
        {"wrap": None},
        {"wrap": "modular"},
        {"wrap": "modular", "k": 0.0},
        {"wrap": "modular", "k": -2.0},
        {"wrap": "modular", "k": math.nan},
        {"wrap": "modular", "k": 65.0},
        {"wrap": "modular", "k": True},
    ],
)
def test_an_unsafe_grid_is_never_constructed(arguments):
    with pytest.raises(UnsafePlanError, match="Remedy"):
        ModularGrid(**arguments)


@pytest.mark.parametrize(
    "wrong",
    [{"parties": 0}, {"parties": 2.5}, {"dimension": 0}, {"dimension": 2.0**8}, {"noise": -1.0}, {"noise": math.nan}],
)
def test_arguments_out_of_range_are_refused(wrong):
    arguments = {"noise": 1.0, "parties": 10, "dimension": 256} | wrong
    with pytest.raises(UnsafePlanError, match="out of range"):
        ModularGrid().radius(**arguments)
    with pytest.raises(UnsafePlanError, match="out of range"):
        headroom(16, radius=10.0, **arguments)
    arguments["noise_real"] = arguments.pop("noise")
    with pytest.raises(UnsafePlanError, match="out of range"):
        ModularGrid().scale(clip=1.0, **arguments)


def test_a_clip_out_of_range_is_refused():
    with pytest.raises(UnsafePlanError, match="clip out of range"):
        ModularGrid().scale(clip=0.0, noise_real=1.0, parties=10, dimension=256)


def test_wrap_is_an_enum_and_its_string():
    assert ModularGrid(16, "modular", 2) == MODULAR
    assert ModularGrid(16, "never").wrap is Wrap.NEVER


@pytest.mark.statistical
def test_the_spread_of_a_sum_is_what_the_grid_expects():
    """20 parties with one and the same vector, the worst case; 40 seeds by 256 values give it to 1.1 %, 5 % is 4.6 of that."""
    n, d, noise, rng = 20, 256, 3.0, np.random.default_rng(2)
    radius = ModularGrid(12, Wrap.MODULAR, 4.0).radius(noise=noise, parties=n, dimension=d)
    vector = rng.normal(size=d)
    vector *= radius / np.linalg.norm(vector)
    sums = []
    for _ in range(40):
        rotated = Rotation(rng.bytes(32), d).apply(vector)
        floors = np.floor(rotated) + (rng.random((n, d)) < rotated - np.floor(rotated))
        sums.append((floors + rng.normal(0, noise, (n, d))).sum(axis=0))
    k = headroom(12, radius=radius, noise=noise, parties=n, dimension=d)
    assert k == pytest.approx(4.0)
    assert np.sqrt(np.mean(np.square(sums))) * 2 * k == pytest.approx(2.0**12, rel=0.05)
