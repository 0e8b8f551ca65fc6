"""The rules of protocol.md, "Parameters", written a second time and compared with `choose` over every small case."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.errors import UnsafePlanError
from securefl.secagg.parameters import Parameters, choose
from securefl.types import ServerModel


def accepted(n, server, **given_):
    try:
        return choose(n, server, **given_)
    except UnsafePlanError as refused:
        error = refused
    assert str(error) == f"{error.message}. Remedy: {error.remedy}"
    assert error.message.endswith(f"got {error.value}, needs {error.bound}")
    return None


def safe(n, server, t, c, floor, staying):
    """Page "protocol.md", section Parameters; t + 1 because nobody holds a share of its own secret."""
    if n < 3 or not 2 <= t <= n - 1 or not 0 <= c <= n - 2:
        return False
    hidden = 2 * t > n + c if server is ServerModel.ACTIVE else t > c
    return hidden and floor >= 3 and floor >= c + 2 and n >= floor and staying >= t + 1 and staying >= floor


def stays(n, dropout):
    """The parties that remain when the fraction is lost: n less the whole parties in it."""
    return n - int(Fraction(dropout) * n)


@pytest.mark.parametrize("server", ServerModel)
def test_every_threshold_and_number_of_colluders_is_accepted_exactly_if_safe(server):
    for n in range(2, 21):
        for t, c in itertools.product(range(n + 2), range(-1, n + 1)):
            floor = max(3, t, c + 2)
            chosen = accepted(n, server, threshold=t, max_colluders=c)
            assert (chosen is not None) is safe(n, server, t, c, floor, n), (n, t, c)
            if chosen:
                assert (chosen.threshold, chosen.max_colluders, chosen.min_survivors) == (t, c, floor)
                assert chosen.quorum == max(t + 1, floor)
                assert chosen.max_dropouts == n - chosen.quorum


@pytest.mark.parametrize("server", ServerModel)
def test_every_floor_is_accepted_exactly_if_nobody_stands_alone(server):
    for n in range(3, 11):
        for t, c, floor in itertools.product(range(2, n), range(n - 1), range(n + 2)):
            chosen = accepted(n, server, threshold=t, max_colluders=c, min_survivors=floor)
            assert (chosen is not None) is safe(n, server, t, c, floor, n), (n, t, c, floor)


@pytest.mark.parametrize("server", ServerModel)
def test_with_the_threshold_alone_the_most_colluders_are_assumed(server):
    for n in range(3, 21):
        for t in range(n + 2):
            chosen = accepted(n, server, threshold=t)
            c = min(2 * t - n - 1, t - 2) if server is ServerModel.ACTIVE else t - 2
            assert (chosen is not None) is safe(n, server, t, c, max(3, t), n), (n, t)
            if chosen:
                assert chosen.max_colluders == c
                assert chosen.min_survivors == max(3, t)


@pytest.mark.parametrize("server", ServerModel)
@pytest.mark.parametrize("dropout", ["0", "0.1", "0.25", "0.5"])
def test_with_colluders_and_dropouts_the_smallest_safe_threshold_is_taken(server, dropout):
    for n in range(3, 21):
        for c in range(n):
            staying = stays(n, dropout)
            possible = [t for t in range(n + 1) if safe(n, server, t, c, max(3, t, c + 2), staying)]
            chosen = accepted(n, server, max_colluders=c, dropout=float(dropout))
            assert (chosen is not None) is bool(possible), (n, c)
            if chosen:
                assert chosen.threshold == possible[0]


@pytest.mark.parametrize("server", ServerModel)
def test_with_nothing_given_something_safe_is_chosen_for_every_n(server):
    for n in range(3, 201):
        chosen = choose(n, server)
        c, floor = chosen.max_colluders, chosen.min_survivors
        assert safe(n, server, chosen.threshold, c, floor, n)
        assert n < 10 or chosen.max_dropouts >= n // 10


@given(
    n=st.integers(3, 2000),
    server=st.sampled_from(ServerModel),
    percent=st.integers(0, 99),
    c=st.none() | st.integers(0, 2000),
    t=st.none() | st.integers(2, 2000),
)
def test_what_is_accepted_bears_the_dropouts_it_promises(n, server, percent, c, t):
    chosen = accepted(n, server, threshold=t, max_colluders=c, dropout=percent / 100)
    if chosen is None:
        return
    lost = int(Fraction(percent, 100) * n)
    assert n - lost >= chosen.quorum
    assert chosen.max_dropouts >= lost
    assert safe(n, server, chosen.threshold, chosen.max_colluders, chosen.min_survivors, n - lost)


@given(n=st.integers(3, 200), server=st.sampled_from(ServerModel))
def test_two_survivor_sets_never_gather_enough_honest_answers(n, server):
    """Why 2t > n + c: each honest party signs one set, each colluder both."""
    chosen = choose(n, server)
    honest = n - chosen.max_colluders
    if server is ServerModel.ACTIVE:
        assert 2 * (chosen.threshold - chosen.max_colluders) > honest
    assert chosen.min_survivors - chosen.max_colluders >= 2


def test_every_value_is_explained():
    for server in ServerModel:
        lines = choose(20, server).explanation
        for word in ("threshold", "max_colluders", "min_survivors", "liveness"):
            assert any(word in line for line in lines), word
        given_ = choose(20, server, threshold=15, max_colluders=2, min_survivors=15).explanation
        assert len(given_) == 1, "what was given needs no reasons"
        assert "liveness" in given_[0]


def test_the_explanation_is_no_part_of_equality():
    chosen = choose(10, ServerModel.ACTIVE)
    again = choose(
        10,
        ServerModel.ACTIVE,
        threshold=chosen.threshold,
        max_colluders=chosen.max_colluders,
        min_survivors=chosen.min_survivors,
    )
    assert isinstance(again, Parameters)
    assert chosen == again
    assert chosen.explanation != again.explanation
