"""The (k, t) finder against every cell of the published table."""

import collections
import itertools
import math
import re
from fractions import Fraction
from pathlib import Path

import pytest

from securefl.errors import UnsafePlanError
from securefl.plan import SecAgg
from securefl.secagg.k_regular import choose_degree, connected, live_threshold, refit, secure_threshold

TABLE = {
    (100, 0.05, 0.05): (12, 6),
    (100, 0.1, 0.1): (22, 11),
    (100, 0.2, 0.1): (32, 21),
    (1_000, 0.05, 0.05): (34, 18),
    (1_000, 0.1, 0.1): (52, 28),
    (1_000, 0.2, 0.1): (76, 47),
    (10_000, 0.05, 0.05): (38, 21),
    (10_000, 0.1, 0.1): (60, 32),
    (10_000, 0.2, 0.1): (90, 55),
    (100_000, 0.05, 0.05): (40, 22),
    (100_000, 0.1, 0.1): (66, 35),
    (100_000, 0.2, 0.1): (98, 59),
}


@pytest.mark.parametrize(("case", "expected"), TABLE.items())
def test_finder_gives_every_cell_of_the_table(case, expected):
    parties, corrupted, dropped = case
    degree = choose_degree(parties, math.floor(corrupted * parties), math.floor(dropped * parties))
    assert (degree.neighbours, degree.threshold) == expected


def test_infeasible_parameters_are_refused_by_name():
    with pytest.raises(UnsafePlanError, match="no k-regular graph on 10 parties"):
        choose_degree(10, 5, 4)


def pairs_of_cuts(parties, lost, neighbours):
    """The expected number of pairs of gaps of k/2 lost parties, survivors or not between them, over all sets of lost parties."""
    reach, pairs, sets = neighbours // 2, 0, 0
    for gone in itertools.combinations(range(parties), lost):
        sets += 1
        gaps = [start for start in range(parties) if all((start + i) % parties in gone for i in range(reach))]
        pairs += sum(reach < (other - one) % parties < parties - reach for one in gaps for other in gaps if one < other)
    return Fraction(pairs, sets)


@pytest.mark.parametrize("parties", range(4, 10))
def test_formula_1_is_the_expected_number_of_pairs_of_cuts(parties):
    for neighbours, lost in itertools.product(range(2, parties, 2), range(parties - 1)):
        expected = pairs_of_cuts(parties, lost, neighbours)
        assert neighbours <= lost or expected == 0
        for sigma in range(8):
            safe = neighbours > lost or expected < Fraction(1, 2 ** (sigma + 1))
            assert connected(parties, lost, neighbours, sigma) is safe, (neighbours, lost, sigma)


def some_neighbourhoods(parties, special, neighbours):
    """How often each number of special parties is among the first k/2 on either side of a party, over all places of the special ones."""
    counts = collections.Counter()
    reach = neighbours // 2
    for places in itertools.combinations(range(parties), special):
        for party in range(parties):
            around = {(party + step) % parties for step in range(-reach, reach + 1) if step}
            counts[len(around & set(places))] += 1
    total = math.comb(parties, special)
    return {number: Fraction(count, total) for number, count in counts.items()}


@pytest.mark.parametrize("parties", range(3, 10))
def test_formulas_2_and_3_are_the_expected_numbers_of_parties_with_too_many_or_too_few(parties):
    for neighbours, special in itertools.product(range(2, parties, 2), range(parties + 1)):
        expected = some_neighbourhoods(parties, special, neighbours)
        for bits in range(9):
            bound = Fraction(1, 2 ** (bits + 1))
            secure = [
                t for t in range(1, neighbours + 2) if sum(expected.get(x, 0) for x in range(t, parties)) <= bound
            ]
            assert secure_threshold(parties, special, neighbours, bits) == secure[0]
            lives = [t for t in range(neighbours + 1) if sum(expected.get(x, 0) for x in range(t)) <= 2 * bound]
            assert live_threshold(parties, special, neighbours, bits) == lives[-1]


@pytest.mark.parametrize("parties", [20, 33, 50])
@pytest.mark.parametrize(("sigma", "eta"), [(4, 4), (7, 5), (40, 30)])
def test_the_finder_takes_the_first_even_degree_and_the_first_threshold(parties, sigma, eta):
    for corrupted, dropped in itertools.product(range(0, parties // 4, 4), repeat=2):
        possible = [
            (k, t)
            for k in range(2, parties, 2)
            for t in range(2, k + 1)
            if connected(parties, corrupted + dropped, k, sigma)
            and secure_threshold(parties, corrupted, k, sigma)
            <= t
            <= live_threshold(parties, parties - dropped, k, eta)
        ]
        try:
            found = choose_degree(parties, corrupted, dropped, sigma=sigma, eta=eta)
        except UnsafePlanError:
            assert not possible
        else:
            assert (found.neighbours, found.threshold) == possible[0]


def test_a_given_degree_or_threshold_is_checked_and_not_changed():
    assert choose_degree(100, 5, 5, neighbours=16).neighbours == 16
    assert choose_degree(100, 5, 5, neighbours=16, threshold=11).threshold == 11
    assert choose_degree(100, 5, 5, threshold=8).neighbours > 12
    for neighbours, threshold in ((10, None), (12, 5), (12, 8), (None, 97)):
        with pytest.raises(UnsafePlanError, match="no k-regular graph on 100 parties with"):
            choose_degree(100, 5, 5, neighbours=neighbours, threshold=threshold)


def k_regular(parties, colluders, lost, **given):
    protocol = SecAgg(graph="k-regular", max_colluders=colluders, min_survivors=parties - lost, **given)
    return protocol.resolve(parties, identities=False)


def tried(remedy, parties, colluders, lost):
    """Follow every piece of advice in a remedy; returns how many there were."""
    advice = 0
    if "the complete graph" in remedy:
        advice += 1
        for noisy in (False, True):
            protocol = SecAgg(graph="complete", max_colluders=colluders, min_survivors=parties - lost)
            assert protocol.resolve(parties, identities=False, noisy=noisy).max_dropouts >= lost
    if found := re.search(r"at most (\d+) dropouts beside (\d+) colluders, with min_survivors=(\d+)", remedy):
        advice += 1
        fewer = int(found[1])
        assert (fewer < lost, int(found[2]), int(found[3])) == (True, colluders, parties - fewer)
        assert k_regular(parties, colluders, fewer).max_dropouts == fewer
        assert fewer + 1 == lost or not _works(parties, colluders, fewer + 1)
    if found := re.search(r"at most (\d+) colluders beside (\d+) dropouts", remedy):
        advice += 1
        fewer = int(found[1])
        assert (fewer < colluders, int(found[2])) == (True, lost)
        assert k_regular(parties, fewer, lost).max_dropouts == lost
        assert fewer + 1 == colluders or not _works(parties, fewer + 1, lost)
    if "assume fewer colluders and fewer dropouts" in remedy:
        advice += 1
        assert min(colluders, lost) > 0
        assert not any(_works(parties, fewer, lost) for fewer in range(colluders))
        assert not any(_works(parties, colluders, fewer) for fewer in range(lost))
        assert _works(parties, 0, 0)
    if "leave k and t out" in remedy:
        advice += 1
        assert "computed, or you are told what would serve" in remedy
        if not _works(parties, colluders, lost):
            with pytest.raises(UnsafePlanError) as told:
                choose_degree(parties, colluders, lost)
            assert tried(told.value.remedy, parties, colluders, lost)
    return advice


def _works(parties, colluders, lost):
    try:
        return bool(k_regular(parties, colluders, lost))
    except UnsafePlanError:
        return False


@pytest.mark.parametrize("parties", [6, 8, 14, 20])
def test_every_remedy_for_an_infeasible_graph_is_true(parties):
    refused = 0
    for colluders, lost in itertools.product(range(parties), repeat=2):
        if parties - lost < max(3, colluders + 2) or _works(parties, colluders, lost):
            continue
        with pytest.raises(UnsafePlanError) as caught:
            k_regular(parties, colluders, lost)
        refused += 1
        assert f"{colluders} colluders and lives with {lost} dropouts" in str(caught.value)
        assert tried(caught.value.remedy, parties, colluders, lost), caught.value.remedy
    assert refused


def k_regular_or_none(parties, colluders, lost):
    """A degree that is safe by the three formulas alone."""
    try:
        return choose_degree(parties, colluders, lost)
    except UnsafePlanError:
        return None


@pytest.mark.parametrize("parties", [3, 6, 11])
def test_every_remedy_is_true_where_too_few_honest_parties_would_stay_for_any_graph(parties):
    """`choose` refuses these before; who asks for the degree alone is not sent to a complete graph that refuses as well."""
    for colluders, lost in itertools.product(range(parties), repeat=2):
        if parties - lost < max(3, colluders + 2):
            if k_regular_or_none(parties, colluders, lost):
                continue
            with pytest.raises(UnsafePlanError) as caught:
                choose_degree(parties, colluders, lost)
            assert tried(caught.value.remedy, parties, colluders, lost), caught.value.remedy


def test_who_gives_a_degree_where_none_serves_is_not_told_that_one_would_be_found():
    """The remedy of the second refusal is followed, and works."""
    assert not _works(20, 4, 14)
    with pytest.raises(UnsafePlanError) as caught:
        k_regular(20, 4, 14, neighbours=8)
    assert "and they are computed" not in caught.value.remedy
    assert tried(caught.value.remedy, 20, 4, 14) == 1


@pytest.mark.parametrize(("parties", "odd", "even"), [(100, 21, 22), (100, 99, 98), (1000, 511, 512), (512, 511, 510)])
def test_the_even_number_advised_for_an_odd_degree_is_one_that_may_be_given(parties, odd, even):
    with pytest.raises(UnsafePlanError, match="both sides of a party") as caught:
        k_regular(parties, 0, 1, neighbours=odd)
    assert f"use {even}, or leave it out" in caught.value.remedy
    assert k_regular(parties, 0, 1, neighbours=even).neighbours == even
    assert k_regular(parties, 0, 1).neighbours


@pytest.mark.parametrize(("server", "advised"), [("active", False), ("semi-honest", True)])
def test_the_k_regular_graph_is_advised_only_where_it_is_not_refused(server, advised):
    with pytest.raises(UnsafePlanError, match="everybody's neighbour") as caught:
        SecAgg(server=server, graph="complete", neighbours=4).resolve(10, identities=True)
    assert ("k-regular" in caught.value.remedy) is advised
    assert "leave neighbours out" in caught.value.remedy


@pytest.mark.parametrize("given", [{"neighbours": 8}, {"neighbours": 12, "threshold": 5}, {"threshold": 97}])
def test_the_remedy_for_a_bad_degree_or_threshold_is_true(given):
    with pytest.raises(UnsafePlanError) as caught:
        k_regular(100, 5, 5, **given)
    assert tried(caught.value.remedy, 100, 5, 5) == 1


@pytest.mark.parametrize(("parties", "came", "raised"), [(1000, 1000, 28), (1000, 950, 29)])
def test_refit_keeps_the_colluders_short_of_a_threshold_where_fewer_came(parties, came, raised):
    assert refit(came, 100, came - 900, 52, 28) == raised == max(28, secure_threshold(came, 100, 52, 40))
    assert refit(came, 100, came - 900, 52, 30) == 30


def test_where_t_rises_for_those_who_came_a_round_may_fail_to_open_more_often_than_planned():
    """The example of SECURITY.md: the bound of 2^-30 is of the n invited, and is not computed again."""
    text = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")
    assert "2^-30 if all n advertised" in text
    found = re.search(
        r"Of (\d+) parties with A = (\d+) and D = (\d+).*? (\d+) advertise.* from (\d+) to (\d+).*below 2\^-(\d+)", text
    )
    n, colluders, lost, came, planned, raised, bits = map(int, found.groups())
    plan = choose_degree(n, colluders, lost)
    k, staying = plan.neighbours, n - lost
    assert live_threshold(n, staying, k, 30) >= plan.threshold == planned
    assert refit(came, colluders, came - staying, k, planned) == raised
    assert live_threshold(came, staying, k, bits) >= raised > live_threshold(came, staying, k, bits + 1)


def test_refit_refuses_a_graph_that_may_fall_apart():
    with pytest.raises(UnsafePlanError, match="unsafe for the 20 parties that advertised") as caught:
        refit(20, 10, 5, 8, 4)
    assert caught.value.remedy
    with pytest.raises(UnsafePlanError, match="unsafe"):
        refit(20, 6, 0, 6, 6)
