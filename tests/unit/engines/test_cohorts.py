"""Cohorts: what each promises on its own, and what their sum says."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

import securefl as sfl
from securefl.crypto.random import OS
from securefl.engines.cohorts import split
from securefl.errors import EncodingError
from securefl.secagg.k_regular import SIGMA
from securefl.session.disclosure import disclosures
from securefl.types import Step

NAMES = tuple(f"clinic-{i:02}" for i in range(11))
UPDATES = {name: {"w": np.array([i, -i, 1000 - i], np.int32)} for i, name in enumerate(NAMES)}
TEMPLATE = {"w": ((3,), "int32")}
BOTH = pytest.mark.parametrize("server", list(sfl.ServerModel))


class InOrder:
    """Randomness that leaves every list as it was, so that a test knows who is in which cohort; all else is the system's."""

    def token(self, size: int) -> bytes:
        return OS.token(size)

    def below(self, bound: int) -> int:
        return bound - 1


def plan_of(server="semi-honest", parties=5, threshold=None, **fields):
    protocol = sfl.SecAgg(server=server, threshold=threshold, max_colluders=1)
    return sfl.Plan(template=TEMPLATE, parties=parties, protocol=protocol, **fields)


def exact(result, weights=None):
    total = sum((weights or {}).get(name, 1) * UPDATES[name]["w"].astype(int) for name in result.survivors)
    return total.tolist() == result.sum["w"].tolist()


@BOTH
def test_each_party_is_in_one_cohort_and_their_sums_add_up(server):
    result = sfl.aggregate_cohorts(UPDATES, plan_of(server))
    assert sorted(result.survivors) == sorted(NAMES)
    assert sorted(map(len, result.members.values())) == [5, 6]
    assert exact(result)
    assert result.failed == {}
    assert result.smallest == 5


def test_bytes_are_those_of_the_cohorts():
    result = sfl.aggregate_cohorts(UPDATES, plan_of())
    assert result.bytes_up == sum(part.bytes_up for part in result.results.values()) > 0
    assert result.bytes_down == sum(part.bytes_down for part in result.results.values()) > 0


def test_weights_and_metrics_are_added_over_cohorts():
    weights = {name: i + 1 for i, name in enumerate(NAMES)}
    metrics = {name: {"loss": i / 10} for i, name in enumerate(NAMES)}
    plan = plan_of(max_weight=20, metrics={"loss": (0.0, 2.0)})
    result = sfl.aggregate_cohorts(UPDATES, plan, weights, metrics=metrics)
    assert result.weight_sum == sum(weights.values())
    assert exact(result, weights)
    mean = sum(weights[name] * metrics[name]["loss"] for name in NAMES) / sum(weights.values())
    assert result.metrics["loss"] == pytest.approx(mean, abs=1e-3)
    assert result.mean["w"].tolist() == np.rint(result.sum["w"] / result.weight_sum).tolist()


# The split.


@pytest.mark.parametrize(
    ("parties", "size", "sizes"), [(9, 3, [3, 3, 3]), (11, 3, [4, 4, 3]), (5, 5, [5]), (9, 5, [9])]
)
def test_cohorts_are_as_equal_as_can_be_and_none_is_smaller_than_the_plan(parties, size, sizes):
    members = split([f"p{i}" for i in range(parties)], size)
    assert sorted(map(len, members.values()), reverse=True) == sizes


def test_cohorts_bear_numbers_of_one_width_in_order():
    assert list(split([str(i) for i in range(36)], 3))[:2] == ["cohort-00", "cohort-01"]
    assert list(split([str(i) for i in range(30)], 3)) == [f"cohort-{i}" for i in range(10)]


def test_a_split_takes_the_random_source_that_is_given():
    members = split(NAMES, 5, InOrder())
    assert members == {"cohort-0": NAMES[0::2], "cohort-1": NAMES[1::2]}


def test_fewer_parties_than_a_cohort_are_refused():
    with pytest.raises(sfl.UnsafePlanError, match=r"too few parties for one cohort: got 11, needs >= 12"):
        sfl.aggregate_cohorts(UPDATES, plan_of(parties=12))


@pytest.mark.statistical
def test_every_pair_of_parties_meets_as_often_as_any_other():
    """Six parties in two cohorts of three, 4000 times: a pair shares one with probability 2/5.

    Hoeffding's bound for a deviation of 0.05 from 0.4 in either direction is 2 exp(-2 * 4000 * 0.05^2) = 4.2e-9, for 15 pairs
    together a false alarm in 1.6e7 runs.
    """
    rounds = 4000
    assert 15 * 2 * math.exp(-2 * rounds * 0.05**2) < 1e-7
    met: Counter[tuple[str, str]] = Counter()
    for _ in range(rounds):
        for members in split("abcdef", 3).values():
            met.update((one, other) for one in members for other in members if one < other)
    assert len(met) == 15
    assert all(abs(count / rounds - 0.4) < 0.05 for count in met.values())


@pytest.mark.statistical
def test_every_party_is_in_every_cohort_as_often_as_any_other():
    """Seven parties in two cohorts, 4000 times: the first has four of them, so each party is there with probability 4/7.

    Hoeffding's bound as above, for 7 parties: a false alarm in 3.4e7 runs.
    """
    rounds = 4000
    there: Counter[str] = Counter()
    for _ in range(rounds):
        there.update(split("abcdefg", 3)["cohort-0"])
    assert all(abs(there[party] / rounds - 4 / 7) < 0.05 for party in "abcdefg")


# Floors, and cohorts that fail.


@BOTH
def test_a_cohort_below_its_floor_fails_by_name_and_the_others_go_on(server):
    plan = plan_of(server)
    members = split(NAMES, 5, InOrder())
    gone = members["cohort-1"][: 5 - plan.parameters.quorum + 1]
    result = sfl.aggregate_cohorts(UPDATES, plan, drop=dict.fromkeys(gone, Step.SHARE_KEYS), random=InOrder())
    assert result.failed.keys() == {"cohort-1"}
    assert isinstance(result.failed["cohort-1"], sfl.BelowThresholdError)
    assert not set(members["cohort-1"]) & set(result.survivors)
    assert all(name in str(result.failed["cohort-1"]) for name in gone)
    assert result.results.keys() == {"cohort-0"}
    assert result.survivors == members["cohort-0"]
    assert exact(result)
    assert result.weight_sum == len(members["cohort-0"])


def test_the_floor_counts_in_each_cohort_and_not_over_all():
    """Ten of eleven stay, twice the floor of one cohort; the cohort that lost one of its five has too few all the same."""
    plan = sfl.Plan(template=TEMPLATE, parties=5, protocol=sfl.SecAgg(threshold=3, max_colluders=1, min_survivors=5))
    last = split(NAMES, 5, InOrder())["cohort-1"][-1]
    result = sfl.aggregate_cohorts(UPDATES, plan, drop={last: "masked_input"}, random=InOrder())
    assert list(result.failed) == ["cohort-1"]
    assert "5 are needed" in str(result.failed["cohort-1"])


@BOTH
@pytest.mark.parametrize("step", list(Step))
def test_a_party_may_drop_at_any_step_and_the_sum_is_that_of_the_survivors(server, step):
    result = sfl.aggregate_cohorts(UPDATES, plan_of(server), drop={NAMES[4]: step}, random=InOrder())
    left_before_masking = step in {Step.ADVERTISE, Step.SHARE_KEYS, Step.MASKED_INPUT}
    assert (NAMES[4] not in result.survivors) == left_before_masking
    assert result.failed == {}
    assert exact(result)


def test_too_few_cohorts_end_the_round_and_each_is_named_with_its_reason():
    members = split(NAMES, 5, InOrder())
    drop = dict.fromkeys(members["cohort-1"], "advertise")
    with pytest.raises(sfl.BelowThresholdError, match=r"1 of 2 cohorts ended well, 2 are needed; cohort-1: 0 parties"):
        sfl.aggregate_cohorts(UPDATES, plan_of(), drop=drop, min_cohorts=2, random=InOrder())
    with pytest.raises(sfl.BelowThresholdError, match=r"0 of 2 .* cohort-0: .*cohort-1: "):
        sfl.aggregate_cohorts(UPDATES, plan_of(), drop=dict.fromkeys(NAMES, "advertise"))
    assert sfl.aggregate_cohorts(UPDATES, plan_of(), min_cohorts=2).failed == {}


def test_a_cohort_of_lies_fails_alone_and_names_its_suspects():
    members = split(NAMES, 5, InOrder())
    lie = sfl.faults.Equivocate(members["cohort-0"][:3], members["cohort-0"][3:4])
    result = sfl.aggregate_cohorts(UPDATES, plan_of("active"), faults=[lie], random=InOrder())
    assert list(result.failed) == ["cohort-0"]
    assert result.survivors == members["cohort-1"]
    assert exact(result)


# Plans that are not safe for the cohorts.


def test_a_larger_cohort_holds_all_that_the_plan_holds():
    """t = 4 holds for 5 parties and one colluder (2t > 6), and no longer for 9 (2t > 10 fails): there it grows."""
    plan = plan_of("active", threshold=4)
    nine = {name: UPDATES[name] for name in NAMES[:9]}
    (only,) = sfl.aggregate_cohorts(nine, plan).results.values()
    agreed, held = plan.parameters, only.plan.parameters
    assert (held.parties, held.graph, held.max_colluders) == (9, agreed.graph, agreed.max_colluders)
    assert held.threshold > agreed.threshold
    assert held.min_survivors >= agreed.min_survivors


def test_a_cohort_for_which_the_plan_is_not_safe_is_refused_and_named():
    tight = plan_of("active", ring_bits=plan_of("active").ring.bits)
    nine = {name: UPDATES[name] for name in NAMES[:9]}
    with pytest.raises(sfl.UnsafePlanError, match=r"cohort-0 has 9 parties: .* would overflow"):
        sfl.aggregate_cohorts(nine, tight)


def test_a_computed_threshold_grows_with_the_cohort():
    nine = {name: UPDATES[name] for name in NAMES[:9]}
    result = sfl.aggregate_cohorts(nine, plan_of("active"))
    (only,) = result.results.values()
    assert only.plan.parties == 9
    assert 2 * only.plan.parameters.threshold > 9 + 1


def test_a_total_that_would_not_fit_64_bits_is_refused_although_each_cohort_fits():
    plan = sfl.Plan(
        template={"w": ((1,), "float64")},
        parties=5,
        protocol=sfl.SecAgg(threshold=3),
        encoding=sfl.FixedPoint(value_bits=32, bound=1.0),
        max_weight=2**28,
    )
    assert plan.ring.bits <= 63
    many = {f"p{i}": {"w": np.zeros(1)} for i in range(20)}
    with pytest.raises(sfl.UnsafePlanError, match=r"20 values .* may overflow"):
        sfl.aggregate_cohorts(many, plan)


# What does not fit the parties.


@pytest.mark.parametrize("what", ["weights", "metrics"])
def test_weights_and_metrics_of_others_are_refused(what):
    with pytest.raises(sfl.ConfigError, match=f"{what} are not those of the parties"):
        sfl.aggregate_cohorts(UPDATES, plan_of(), **{what: {NAMES[0]: 1}})


def test_faults_of_strangers_are_refused():
    with pytest.raises(sfl.ConfigError, match="nobody, not among the parties"):
        sfl.aggregate_cohorts(UPDATES, plan_of(), drop={"nobody": "unmask"})


def test_a_lie_to_parties_of_two_cohorts_is_refused():
    members = split(NAMES, 5, InOrder())
    lie = sfl.faults.Equivocate(members["cohort-0"][:1], members["cohort-1"][:1])
    with pytest.raises(sfl.ConfigError, match="names parties of more than one cohort"):
        sfl.aggregate_cohorts(UPDATES, plan_of("active"), faults=[lie], random=InOrder())


def test_an_update_that_does_not_fit_names_its_party():
    spoiled = {**UPDATES, NAMES[7]: {"w": np.zeros(4, np.int32)}}
    with pytest.raises(EncodingError, match=NAMES[7]):
        sfl.aggregate_cohorts(spoiled, plan_of())


# Reports.


def test_the_report_says_that_the_server_learns_each_cohorts_sum_and_how_few_a_party_hides_among():
    members = split(NAMES, 5, InOrder())
    drop = {members["cohort-0"][0]: "masked_input", members["cohort-0"][1]: "masked_input"}
    plan = sfl.Plan(template=TEMPLATE, parties=5, protocol=sfl.SecAgg(threshold=2, min_survivors=3))
    report = sfl.aggregate_cohorts(UPDATES, plan, drop=drop, random=InOrder()).report()
    assert "The server learns the sum of every cohort" in report
    assert "at least 4." in report
    assert "cohort-0: 4 of 6 parties" in report
    assert "cohort-1: 5 of 5 parties" in report
    assert "Who learned what:" in report


def test_the_report_names_failed_cohorts_and_why():
    members = split(NAMES, 5, InOrder())
    drop = dict.fromkeys(members["cohort-0"], "advertise")
    report = sfl.aggregate_cohorts(UPDATES, plan_of(), drop=drop, random=InOrder()).report()
    assert "Sum of 5 vectors in 1 cohorts, 1 cohorts failed" in report
    assert "cohort-0: 6 parties, failed: 0 parties completed advertise" in report


# The k-regular graph: what a plan says about it.


def k_regular(parties=60, **fields):
    protocol = sfl.SecAgg(server="semi-honest", graph="k-regular", max_colluders=3, min_survivors=57)
    return sfl.Plan(template=TEMPLATE, parties=parties, protocol=protocol, **fields)


def test_a_k_regular_plan_discloses_the_condition_on_places_and_its_failure_probability():
    said = {row.what: row.who for row in disclosures(k_regular())}
    assert said["one party's vector"] == (
        "nobody: hidden from a server that follows the protocol, together with at most 3 parties who do not choose their place on "
        f"the graph, except with probability 2^-{SIGMA}"
    )
    assert said["the roster, and how many advertised"] == "the server and every party"
    assert said["who advertised, and who shares masks with whom"] == "the server; each party knows its own neighbours"
    assert "the roster, and who advertised" not in said
    assert said["the sum over the survivors"] == "the server; it holds at least 57 vectors"
    assert "all of the above" in said


def test_a_complete_plan_discloses_no_failure_probability():
    said = {row.what: row.who for row in disclosures(plan_of())}
    assert "2^-" not in said["one party's vector"]
    assert said["the roster, and who advertised"] == "the server and every party"
    assert not any("neighbours" in who for who in said.values())


def test_a_k_regular_plan_discloses_weights_and_metrics_as_any_other():
    said = {row.what for row in disclosures(k_regular(max_weight=9, metrics={"loss": (0.0, 1.0)}))}
    assert {"the sum of the weights", "the weighted means of loss"} <= said


def test_the_report_of_a_k_regular_sum_says_the_same():
    updates = {f"p{i:02}": {"w": np.full(3, i, np.int32)} for i in range(60)}
    result = sfl.aggregate(updates, k_regular(), drop={"p07": "masked_input"})
    assert result.sum["w"].tolist() == [60 * 59 // 2 - 7] * 3
    report = result.report()
    assert "k-regular graph with" in report.splitlines()[0]
    for row in disclosures(result.plan):
        assert f"{row.what}: {row.who}" in report


def test_cohorts_may_be_k_regular_too():
    updates = {f"p{i:03}": {"w": np.full(3, i, np.int32)} for i in range(125)}
    result = sfl.aggregate_cohorts(updates, k_regular())
    assert sorted(len(part.survivors) for part in result.results.values()) == [62, 63]
    assert result.sum["w"].tolist() == [125 * 124 // 2] * 3
    assert "k-regular" in result.report()
