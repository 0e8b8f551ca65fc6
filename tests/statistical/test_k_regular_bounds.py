"""The bounds of the (k, t) finder against rings drawn by the library, at failure probabilities that can be observed.

Each count of failures is compared with the binomial distribution under the bound: it is exceeded by chance with probability below 1e-7,
and there are 30 comparisons, so that the file raises a false alarm with probability below 1e-5 / 3; the seeds are fixed besides.
"""

from __future__ import annotations

import dataclasses
import functools
import random
from fractions import Fraction
from math import comb

import numpy as np
import pytest

from securefl.errors import UnsafePlanError
from securefl.secagg.graph import Neighbourhoods, draw
from securefl.secagg.k_regular import Degree, choose_degree, connected
from securefl.secagg.parameters import choose
from securefl.types import Graph, ServerModel
from unit.secagg.harness import context_of

pytestmark = pytest.mark.statistical

DRAWS = 2_000
FALSE_ALARM = 1e-7
CASES = [  # n, A, D, sigma, eta
    (20, 3, 3, 4, 4),
    (24, 5, 4, 4, 5),
    (30, 6, 3, 5, 4),
    (30, 3, 6, 5, 6),
    (40, 10, 4, 4, 4),
    (40, 8, 8, 6, 5),
    (40, 12, 10, 4, 4),
    (50, 10, 5, 7, 7),
    (60, 15, 6, 5, 5),
    (60, 6, 15, 7, 4),
]


class Seeded:
    """A source that can be repeated."""

    def __init__(self, seed):
        self._random = random.Random(seed)

    def below(self, bound):
        return self._random.randrange(bound)


def most_by_chance(draws: int, rate: Fraction) -> int:
    """The greatest count that draws at this rate exceed with probability FALSE_ALARM or more."""
    probability, rest = float((1 - rate) ** draws), 1.0
    for count in range(draws):
        rest -= probability
        if rest < FALSE_ALARM:
            return count
        probability *= (draws - count) / (count + 1) * float(rate / (1 - rate))
    return draws


@dataclasses.dataclass
class Observed:
    """How often something went wrong in DRAWS rings."""

    disconnected: int = 0
    opened: int = 0
    opened_below: int = 0
    stuck: int = 0
    stuck_above: int = 0


@functools.cache
def observed(case) -> tuple[Degree, Observed]:
    n, colluders, lost, sigma, eta = case
    degree = choose_degree(n, colluders, lost, sigma=sigma, eta=eta)
    plan = dataclasses.replace(choose(n, ServerModel.SEMI_HONEST), parties=n)
    context = dataclasses.replace(context_of(plan), graph=Graph.K_REGULAR, neighbours=degree.neighbours)
    source, seen = Seeded(f"{case}"), Observed()
    for _ in range(DRAWS):
        places = np.argsort(draw(context, range(n), source).order)
        # Who colludes and who drops is fixed before the ring is drawn: then any choice is as good as this one.
        corrupted, dropped = places[:colluders], places[colluders : colluders + lost]
        seen.disconnected += parts(n, degree.neighbours, np.sort(places[colluders + lost :])) > 1
        bad = around(n, degree.neighbours, corrupted)[places[colluders:]]
        seen.opened += (bad >= degree.threshold).any()
        seen.opened_below += (bad >= degree.least - 1).any()
        staying = degree.neighbours - around(n, degree.neighbours, dropped)
        seen.stuck += (staying < degree.threshold).any()
        seen.stuck_above += (staying < degree.most + 1).any()
    return degree, seen


def around(n: int, k: int, places: np.ndarray) -> np.ndarray:
    """How many of those who stand at `places` are neighbours of each place on the ring."""
    there, reach = np.zeros(n, int), k // 2
    there[places] = 1
    running = np.cumsum(np.concatenate([[0], there[n - reach :], there, there[:reach]]))
    return running[2 * reach + 1 :] - running[:n] - there


def parts(n: int, k: int, places: np.ndarray) -> int:
    """Into how many parts those who stand at these places, in order, fall: a gap wider than k/2 parts them, two gaps make two parts."""
    gaps = np.count_nonzero(np.diff(places, append=places[0] + n) > k // 2)
    return max(1, gaps)


def test_parts_and_neighbours_are_those_of_the_library_s_graph():
    """By walking the graph, for 300 rings with many gaps."""
    numbers = random.Random(5)
    several = 0
    for _ in range(300):
        n, k = numbers.randrange(8, 25), numbers.choice([2, 4, 6])
        order = numbers.sample(range(n), n)
        graph = Neighbourhoods(order, k)
        stay = set(numbers.sample(range(n), numbers.randrange(2, n)))
        left, walked = set(stay), 0
        while left:
            walked += 1
            edge = {left.pop()}
            while edge:
                edge = {other for party in edge for other in graph.of(party)} & left
                left -= edge
        places = np.argsort(order)
        assert parts(n, k, np.sort(places[sorted(stay)])) == walked
        counted = around(n, k, places[sorted(stay)])[places]
        assert counted.tolist() == [len(graph.of(party) & stay) for party in range(n)]
        several += walked > 1
    assert several > 50


@pytest.mark.parametrize("case", CASES, ids=str)
def test_honest_parties_that_stay_fall_apart_no_more_often_than_bounded(case):
    *_, sigma, _ = case
    _, seen = observed(case)
    assert seen.disconnected <= most_by_chance(DRAWS, Fraction(1, 2 ** (sigma + 1)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_somebody_has_a_threshold_of_colluding_neighbours_no_more_often_than_bounded(case):
    *_, sigma, _ = case
    _, seen = observed(case)
    assert seen.opened <= most_by_chance(DRAWS, Fraction(1, 2 ** (sigma + 1)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_somebody_keeps_fewer_than_a_threshold_of_neighbours_no_more_often_than_bounded(case):
    *_, eta = case
    _, seen = observed(case)
    assert seen.stuck <= most_by_chance(DRAWS, Fraction(1, 2**eta))


def tail(n: int, special: int, k: int, values: range) -> Fraction:
    """Pr[Hyp(n, special, k) in values]."""
    return Fraction(sum(comb(special, x) * comb(n - special, k - x) for x in values if k >= x), comb(n, k))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_bounds_are_not_vacuous(case):
    """One share less is not secure, one more does not live, and two neighbours less have no threshold at all, by the formulas."""
    n, colluders, lost, sigma, eta = case
    degree, seen = observed(case)
    k, bound = degree.neighbours, Fraction(1, 2 ** (sigma + 1) * n)
    assert tail(n, colluders, k, range(degree.least, k + 1)) <= bound
    assert tail(n, colluders, k, range(degree.least - 1, k + 1)) > bound
    assert tail(n, n - lost, k, range(degree.most)) <= Fraction(1, 2**eta * n)
    assert degree.most == k or tail(n, n - lost, k, range(degree.most + 1)) > Fraction(1, 2**eta * n)
    assert seen.opened_below > seen.opened or degree.threshold < degree.least
    assert seen.stuck_above > seen.stuck or degree.most == k
    if k > 2:
        with pytest.raises(UnsafePlanError):
            choose_degree(n, colluders, lost, neighbours=k - 2, sigma=sigma, eta=eta)


def test_a_graph_far_below_its_bound_does_fall_apart():
    """The control: with two neighbours on the ring the simulation sees what the bound is against."""
    n, lost = 40, 10
    assert not connected(n, lost, 2, 4)
    numbers = np.random.default_rng(2)
    fallen = sum(parts(n, 2, np.sort(numbers.permutation(n)[lost:])) > 1 for _ in range(200))
    assert fallen > 150
