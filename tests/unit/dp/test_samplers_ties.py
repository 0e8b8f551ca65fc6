"""Comparisons that are undecided at first, and at second: scripted lanes put the random number exactly on the bound."""

import dataclasses
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

from securefl.dp.samplers.cells import CellTable
from securefl.dp.samplers.discrete_gaussian import _sampler as gaussian
from securefl.dp.samplers.discrete_laplace import _sampler as laplace
from securefl.dp.samplers.lanes import Lanes
from securefl.dp.samplers.skellam import _sampler as of_skellam
from unit.dp import samplers_reference as reference


class Script:
    """A lane that gives these bytes again and again, and counts them."""

    def __init__(self, data=b""):
        self.data, self.used = data, 0

    def token(self, size):
        if size and not self.data:
            raise AssertionError("nothing should be drawn from this lane")
        start, self.used = self.used % max(1, len(self.data)), self.used + size
        return (self.data * (2 + size // max(1, len(self.data))))[start : start + size]


def scripted(**lanes):
    """Lanes of (value, bytes) pairs, or lists of them; the others must not be read."""
    filled = {field.name: Script() for field in dataclasses.fields(Lanes)}
    for name, (size, *values) in lanes.items():
        filled[name] = Script(b"".join(value.to_bytes(size, "little") for value in values))
    return Lanes(**filled)


def split(number):
    """192 bits as the lanes give them: 16, 48 at the top of 64, 128."""
    return number >> 176, (number >> 128 & 2**48 - 1) << 16 | 0xABCD, number & 2**128 - 1


WEIGHTS = [
    [5, 1, 3],
    [1, 2**100, 2**180, 1, 1, 1],  # several bounds share a bucket
    [2**190, 1, 1, 1, 2**190],  # several bounds share their high word
    [1] * 300,
]


@pytest.mark.parametrize("weights", WEIGHTS, ids=len)
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_a_number_on_the_bound_of_two_cells_belongs_to_the_upper_one(weights, off):
    table = CellTable(weights)
    for bound in table.bounds:
        number = bound + off
        if not 0 <= number < 2**192:
            continue
        first, more, rest = split(number)
        lanes = scripted(cell=(2, first), refine=(8, more), cell_tie=(16, rest))
        assert table.draw(3, lanes).tolist() == [sum(start <= number for start in table.bounds)] * 3
        tied = any(start >> 128 == number >> 128 for start in table.bounds)
        refined = any(start >> 176 == number >> 176 for start in table.bounds)
        assert [lanes.refine.used, lanes.cell_tie.used] == [24 * refined, 48 * tied]


def test_no_more_bits_are_drawn_than_a_cell_needs():
    table = CellTable([3, 4])
    assert table.draw(2, scripted(cell=(2, 0, 65535))).tolist() == [0, 1]
    boundary = table.bounds[0] >> 176
    lanes = scripted(cell=(2, boundary), refine=(8, 0, 2**64 - 1))
    assert table.draw(4, lanes).tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("name", "build", "parameter", "block", "step"),
    [
        ("gaussian", gaussian, 40_000, 70, 1),
        ("gaussian", gaussian, 10**8, 0, 100),
        ("gaussian", gaussian, 2**100, 200, 2**43 + 1),
        ("laplace", laplace, 10**4, 5, 100),
        ("skellam", of_skellam, 2**14, 150, 1),
        ("skellam", of_skellam, 2**18, 3, 5),
    ],
)
@pytest.mark.parametrize("rounds", [0, 1, 3])
@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("right", [True, False])
def test_a_chance_that_equals_the_ratio_is_settled_by_further_bits(
    name, build, parameter, block, step, rounds, side, right
):
    """It agrees with the ratio in 32 + 64 rounds bits; then 64 bits are one less, and the draw is kept, or one more, and it is not."""
    sampler = build(Fraction(parameter))
    with localcontext() as context:
        context.prec = 150
        f, _, bits = reference.distribution(name, Fraction(parameter))
        ratio = int(f((block << bits) + step) / f(block << bits) * Decimal(2) ** (32 + 64 * (rounds + 1)))
    known = 64 * (rounds + 1)
    chance, rest = ratio >> known, (ratio & (1 << known) - 1) + side
    assert 0 <= rest < 1 << known, "choose another case"
    words = [rest >> 64 * i & 2**64 - 1 for i in reversed(range(rounds + 1))]
    lanes = scripted(accept_tie=(8, *words))
    cell = sampler._cells + block if right else sampler._cells - 1 - block
    place = step if right else (1 << bits) - step
    keep = sampler._decide(np.array([cell]), np.array([place]), np.array([chance]), lanes)
    assert keep.tolist() == [side < 0]
    assert lanes.accept_tie.used == 8 * (rounds + 1)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_draw_whose_every_comparison_is_undecided_at_first(side):
    """Cell and acceptance at once, through the public path: each candidate, kept or not, takes its own further bits."""
    sampler, block, step = gaussian(Fraction(40_000)), 70, 1
    bound = sampler.table.bounds[sampler._cells + block - 1]
    first, more, rest = split(bound)
    low, high = sampler._ratio(block, step, 96)
    assert low + 4 >= high
    chance, tie = low >> 64, (low & 2**64 - 1) + 8 * side
    lanes = scripted(
        cell=(2, first),
        refine=(8, more),
        cell_tie=(16, rest),
        offset=(1, step << 7),
        accept=(4, chance, 0),  # every second candidate is kept at once
        accept_tie=(8, tie),
    )
    assert sampler.draw(5, lanes).tolist() == [2 * block + step] * 5
    candidates = 5 + 16  # of which 10 or more are kept
    assert lanes.cell_tie.used == 16 * candidates
    assert lanes.accept_tie.used == 8 * -(-candidates // 2)


def test_a_block_s_near_end_is_always_kept_and_its_far_end_is_on_the_left_only():
    sampler = gaussian(Fraction(40_000))
    cells = np.array([sampler._cells, sampler._cells - 1])
    keep = sampler._decide(cells, np.array([0, 0]), np.array([2**32 - 1, 2**32 - 1]), scripted(accept_tie=(8, 0)))
    assert keep.tolist() == [True, False]  # 0 has ratio 1; -2, two away from the end of its block, does not
