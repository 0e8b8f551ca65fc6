"""The mask graph: k neighbours on a ring in uniformly random order, or everybody (Bell et al. 2020, section 3)."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks.harness import chi_square
from securefl.crypto.random import OS
from securefl.secagg.graph import Neighbourhoods, draw, shuffle
from securefl.secagg.parameters import choose
from securefl.types import Graph, ServerModel
from unit.secagg.harness import context_of

COMPLETE = context_of(choose(12, ServerModel.SEMI_HONEST))
RING = dataclasses.replace(COMPLETE, graph=Graph.K_REGULAR, neighbours=4)


class Script:
    """A source whose `below` answers are given, and whose bounds are noted."""

    def __init__(self, answers):
        self.answers = list(answers)
        self.bounds = []

    def below(self, bound):
        self.bounds.append(bound)
        return self.answers.pop(0)


@st.composite
def rings(draw_):
    order = draw_(st.permutations(draw_(st.lists(st.integers(0, 99), min_size=3, max_size=30, unique=True))))
    return order, 2 * draw_(st.integers(1, 20))


@given(rings())
def test_everybody_has_the_degree_nobody_itself_and_neighbours_are_mutual(case):
    order, degree = case
    graph = Neighbourhoods(order, degree)
    assert graph.parties == frozenset(order)
    assert graph.order == tuple(order)
    for party in order:
        assert len(graph.of(party)) == min(degree, len(order) - 1)
        assert party not in graph.of(party)
        assert graph.of(party) <= graph.parties
        assert all(party in graph.of(other) for other in graph.of(party))


@given(rings())
def test_neighbours_are_those_within_half_the_degree_on_the_ring(case):
    order, degree = case
    graph, n = Neighbourhoods(order, degree), len(order)
    for i, j in itertools.permutations(range(n), 2):
        distance = min((i - j) % n, (j - i) % n)
        assert (order[j] in graph.of(order[i])) is (distance <= degree / 2)


@pytest.mark.parametrize("attending", [3, 4, 5])
def test_where_no_more_than_the_degree_came_everybody_is_a_neighbour_and_no_order_is_drawn(attending):
    graph = draw(RING, range(attending), Script([]))
    assert graph.order == tuple(range(attending))
    assert all(graph.of(party) == frozenset(range(attending)) - {party} for party in range(attending))


def test_the_complete_graph_is_drawn_without_chance():
    graph = draw(COMPLETE, [5, 2, 9], Script([]))
    assert graph.order == (2, 5, 9)
    assert graph.of(5) == {2, 9}


def test_the_ring_is_of_those_who_came_in_the_order_drawn():
    came = [11, 0, 3, 5, 7, 8, 9]
    script = Script([0] * 6)
    graph = draw(RING, came, script)
    assert graph.parties == frozenset(came)
    assert script.bounds == [7, 6, 5, 4, 3, 2]
    assert graph.order != tuple(sorted(came))
    assert all(len(graph.of(party)) == 4 for party in came)


def test_every_outcome_of_the_source_gives_another_order():
    """n! equally likely outcomes, n! orders: the order is exactly as uniform as the source."""
    orders = set()
    for answers in itertools.product(range(5), range(4), range(3), range(2)):
        order = list(range(5))
        shuffle(order, Script(answers))
        orders.add(tuple(order))
    assert orders == set(itertools.permutations(range(5)))


@pytest.mark.statistical
def test_the_order_of_the_ring_is_uniform():
    """24 000 rings of 5 parties over the 120 orders; false alarm below 1e-9 (chi square beyond 6 standard deviations)."""
    context = dataclasses.replace(RING, parties=5, neighbours=2)
    counts = Counter(draw(context, range(5), OS).order for _ in range(24_000))
    assert chi_square(np.array([counts[order] for order in itertools.permutations(range(5))])) < 6


@pytest.mark.statistical
def test_every_pair_is_as_likely_to_be_neighbours_as_any_other():
    """4 000 rings of 12 with k = 4, 66 pairs at rate 4/11; false alarm below 2e-7 (each pair beyond 6 standard deviations)."""
    draws, rate = 4_000, 4 / 11
    together = np.zeros((12, 12), int)
    for _ in range(draws):
        graph = draw(RING, range(12), OS)
        for party in range(12):
            together[party, list(graph.of(party))] += 1
    pairs = together[np.triu_indices(12, 1)]
    assert (together == together.T).all()
    assert abs(pairs - draws * rate).max() < 6 * (draws * rate * (1 - rate)) ** 0.5
