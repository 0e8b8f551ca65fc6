"""Robust rules over updates in the clear, and over groups under secure aggregation."""

from __future__ import annotations

import numpy as np
import pytest

import securefl as sfl
from securefl.crypto.random import OS
from securefl.errors import (
    BelowThresholdError,
    ConfigError,
    EncodingError,
    PolicyRefusedError,
    RoundAbortedError,
    UnsafePlanError,
)
from securefl.federated.robust import GroupwiseRobust, Krum, Mean, Median, NormBound, RobustAverage
from securefl.types import Step

NAMES = tuple(f"p{i:02}" for i in range(13))
UPDATES = {name: {"w": np.array([1.0, i], np.float32)} for i, name in enumerate(NAMES)}
WEIGHTS = dict.fromkeys(NAMES, 2)
METRICS = {name: {"loss": 0.5, "own": 1.0} for name in NAMES}
MODEL = {"w": np.zeros(2, np.float32)}


class InOrder:
    """Randomness that leaves every list as it was, so that a test knows who is in which group."""

    def token(self, size: int) -> bytes:
        return OS.token(size)

    def below(self, bound: int) -> int:
        return bound - 1


def plan_of(**fields):
    chosen = {"parties": 13, "max_weight": 10, "metrics": {"loss": (0.0, 1.0)}} | fields
    return sfl.Plan(
        template={"w": ((2,), "float32")},
        encoding=sfl.FixedPoint(value_bits=24, bound=64.0),
        **{"protocol": sfl.SecAgg(max_colluders=1), **chosen},
    )


def groupwise(rule=None, **arguments):
    chosen = {"plan": plan_of(), "parties": NAMES, "rule": rule or Median(), "group_size": 3} | arguments
    return GroupwiseRobust(
        chosen.pop("plan"), chosen.pop("parties"), chosen.pop("rule"), **{"random": InOrder(), **chosen}
    )


def round_of(aggregator, updates=None, drop=None, model=None):
    own = UPDATES if updates is None else updates
    return aggregator.round(
        own,
        weights={name: WEIGHTS[name] for name in own},
        metrics={name: METRICS[name] for name in own},
        model=MODEL if model is None else model,
        drop=drop or {},
    )


# In the clear.


def test_in_the_clear_the_rule_is_given_all_updates_that_arrived():
    outcome = round_of(RobustAverage(Median()), drop={"p00": Step.MASKED_INPUT, "p12": Step.UNMASK})
    assert outcome.mean["w"].tolist() == [1.0, 6.5]
    assert outcome.survivors == NAMES[1:]
    assert outcome.weight_sum == 24
    assert outcome.metrics == {"loss": 0.5, "own": 1.0}
    assert outcome.bytes_up == 12 * 2 * 4


def test_in_the_clear_what_is_not_finite_is_left_out_and_named():
    spoiled = {**UPDATES, "p03": {"w": np.array([np.nan, 0], np.float32)}}
    outcome = round_of(RobustAverage(Median()), spoiled)
    assert "p03" not in outcome.survivors
    assert outcome.dropped == {"p03": Step.MASKED_INPUT}
    assert np.isfinite(outcome.mean["w"]).all()


def test_in_the_clear_too_few_updates_end_the_round():
    with pytest.raises(RoundAbortedError, match=r"8 finite updates arrived of 13, Krum\(f=3\) needs 9"):
        round_of(RobustAverage(Krum(3)), drop=dict.fromkeys(NAMES[:5], Step.ADVERTISE))
    with pytest.raises(RoundAbortedError):
        round_of(RobustAverage(Mean()), drop=dict.fromkeys(NAMES, Step.ADVERTISE))


# In groups.


@pytest.mark.parametrize("server", list(sfl.ServerModel))
def test_the_rule_is_applied_to_the_means_of_the_groups(server):
    outcome = round_of(groupwise(plan=plan_of(protocol=sfl.SecAgg(server=server, max_colluders=0))))
    assert sorted(map(len, outcome.members.values())) == [3, 3, 3, 4]
    means = [np.mean([UPDATES[p]["w"] for p in group], axis=0) for group in outcome.members.values()]
    np.testing.assert_allclose(outcome.mean["w"], np.median(means, axis=0), atol=1e-4)
    for name, group in outcome.members.items():
        np.testing.assert_allclose(
            outcome.results[name].mean["w"], np.mean([UPDATES[p]["w"] for p in group], axis=0), atol=1e-4
        )
    assert sorted(outcome.survivors) == list(NAMES)
    assert (outcome.weight_sum, outcome.dropped, outcome.failed, outcome.rejected) == (26, {}, {}, ())
    assert outcome.metrics == {"loss": pytest.approx(0.5, abs=1e-3)}
    assert outcome.smallest == 3


def test_bytes_and_seconds_are_those_of_the_groups_together():
    outcome = round_of(groupwise())
    parts = outcome.results.values()
    assert outcome.bytes_up == sum(part.bytes_up for part in parts) > 0
    assert outcome.bytes_down == sum(part.bytes_down for part in parts) > 0
    for step, (up, down) in outcome.bytes_by_step.items():
        assert (up, down) == tuple(sum(part.bytes_by_step[step][i] for part in parts) for i in (0, 1))
    assert sum(up for up, _ in outcome.bytes_by_step.values()) == outcome.bytes_up
    assert sum(clients for clients, _ in outcome.seconds_by_step.values()) > 0


def test_a_spoiled_group_does_not_move_the_median_as_it_moves_the_mean():
    attacked = {**UPDATES, "p00": {"w": np.array([-60.0, -60.0], np.float32)}}
    robust, plain = (round_of(groupwise(rule), attacked).mean["w"] for rule in (Median(), Mean()))
    means = [5.0, 6.0, 7.0]  # groups 1, 2 and 3, of parties i, i + 4, i + 8
    assert min(means) - 1e-3 <= robust[1] <= max(means) + 1e-3
    assert robust[0] == pytest.approx(1.0, abs=1e-3)
    assert plain[0] < -1


def test_a_group_that_fails_is_left_out_and_told():
    outcome = round_of(groupwise(), drop={"p01": Step.SHARE_KEYS, "p00": Step.SHARE_KEYS})
    # Of three parties none may be missing; the first group has four, and bears one.
    assert list(outcome.failed) == ["group-1"]
    assert isinstance(outcome.failed["group-1"], RoundAbortedError)
    assert not set(outcome.members["group-1"]) & set(outcome.survivors)
    assert outcome.dropped == {"p00": Step.SHARE_KEYS, "p01": Step.SHARE_KEYS}
    assert len(outcome.survivors) == 9
    assert outcome.smallest == 3
    assert "failed: " in outcome.report()


def test_too_few_groups_end_the_round_and_each_is_told_why():
    with pytest.raises(
        BelowThresholdError, match=r"2 of 4 groups.* 3 are needed; group-1: .*; group-2: .*for more dropouts"
    ):
        round_of(groupwise(), drop={"p01": Step.ADVERTISE, "p02": Step.ADVERTISE})


def test_a_group_whose_mean_is_too_long_is_left_out():
    own = {name: {"w": np.array([0.6, 0.8], np.float32)} for name in NAMES}
    attacked = {**own, "p02": {"w": np.array([-30.0, 0.0], np.float32)}}
    outcome = round_of(groupwise(Mean(), max_norm=1.0), attacked)
    assert outcome.rejected == ("group-2",)
    assert not set(outcome.members["group-2"]) & set(outcome.survivors)
    np.testing.assert_allclose(outcome.mean["w"], [0.6, 0.8], atol=1e-4)
    assert "group-2: 3 of 3 parties, its mean too long" in outcome.report()
    with pytest.raises(BelowThresholdError, match=r"group-2: its mean is longer than 1.*use smaller groups"):
        round_of(groupwise(Mean(), max_norm=1.0, min_groups=4), attacked)


@pytest.mark.parametrize("seed", range(5))
def test_no_group_of_parties_that_keep_the_bound_is_left_out(seed):
    rng = np.random.default_rng(seed)
    bound = NormBound(0.01)
    direction = rng.normal(size=2)  # all at the bound and alike, so that the means are as long as they can be
    same = bound({"w": (100 * direction).astype(np.float32)})
    outcome = round_of(groupwise(max_norm=0.01, plan=plan_of()), dict.fromkeys(NAMES, same))
    assert outcome.rejected == ()


def test_groups_are_drawn_anew_each_round_from_the_systems_randomness():
    aggregator = groupwise(random=OS)
    drawn = {tuple(round_of(aggregator, model={"w": np.full(2, i, np.float32)}).members.values()) for i in range(5)}
    # There are 13! / (4! 3!^3) = 1.2e6 divisions: two of five alike once in 10^5 runs, fewer than four different once in 10^10.
    assert len(drawn) >= 4


def test_a_round_that_is_tried_again_has_the_same_groups():
    """New groups for the same updates would let the server solve for single ones."""
    aggregator = groupwise(random=OS)
    with pytest.raises(BelowThresholdError):
        round_of(aggregator, drop=dict.fromkeys(NAMES, Step.ADVERTISE))
    first = round_of(aggregator).members
    assert round_of(aggregator).members == first
    others = [round_of(aggregator, model={"w": np.full(2, i, np.float32)}).members for i in (1, 2)]
    assert any(other != first for other in others)  # both the same by chance: once in 10^12 runs


def test_groups_can_be_kept():
    aggregator = groupwise(random=OS, regroup=False)
    drawn = [round_of(aggregator, model={"w": np.full(2, i, np.float32)}).members for i in range(3)]
    assert drawn[0] == drawn[1] == drawn[2]


def test_of_a_sample_the_groups_are_of_those_in_it():
    chosen = {name: UPDATES[name] for name in NAMES[:9]}
    outcome = round_of(groupwise(), chosen)
    assert sorted(outcome.survivors) == list(NAMES[:9])
    with pytest.raises(UnsafePlanError, match="too few parties"):
        round_of(groupwise(), {name: UPDATES[name] for name in NAMES[:2]})


@pytest.fixture
def ran(monkeypatch):
    """The models that groups' rounds were bound to, one a group that ran."""
    from securefl.engines.memory import MemorySession

    models, unwatched = [], MemorySession.round

    def watched(session, updates, **arguments):
        models.append(arguments.get("model"))
        return unwatched(session, updates, **arguments)

    monkeypatch.setattr(MemorySession, "round", watched)
    return models


def test_every_groups_round_is_bound_to_the_model(ran):
    model = {"w": np.array([3.0, 4.0], np.float32)}
    round_of(groupwise(), model=model)
    assert [id(bound) for bound in ran] == [id(model)] * 4


def test_the_parties_of_every_group_look_at_the_model_by_the_floors_that_are_given():
    layer = {"w": np.arange(12, dtype=np.float32).reshape(4, 3)}
    plan = sfl.Plan(
        template={"w": ((4, 3), "float32")}, parties=13, protocol=sfl.SecAgg(max_colluders=1), max_weight=10,
        metrics={"loss": (0.0, 1.0)},
    )  # fmt: skip
    updates = {name: {"w": np.ones((4, 3), np.float32)} for name in NAMES}
    assert round_of(groupwise(plan=plan), updates, model=layer).survivors
    with pytest.raises(PolicyRefusedError, match=r"6.494, this party allows 0.5"):
        round_of(groupwise(plan=plan, floors=sfl.ModelFloors(max_weight_rms=0.5)), updates, model=layer)


def test_no_group_has_begun_when_an_update_does_not_fit(ran):
    with pytest.raises(EncodingError, match="party 'p12'"):
        round_of(groupwise(), {**UPDATES, "p12": {"w": np.zeros(3, np.float32)}})
    with pytest.raises(ConfigError, match="updates are not those of the parties: stranger"):
        groupwise().round(
            {**UPDATES, "stranger": UPDATES["p00"]}, weights=WEIGHTS, metrics=METRICS, model=MODEL, drop={}
        )
    assert ran == []


def test_no_group_has_begun_when_the_budget_of_somebody_in_another_would_be_overspent(ran, tmp_path):
    plan = private_plan()
    ledger = sfl.PrivacyLedger(tmp_path / "ledger.jsonl", budget=sfl.Budget(epsilon=8.0, delta=1e-5))
    last = NAMES[2:9:3]  # the third group
    sfl.MemorySession(plan, last, ledger=ledger).round({name: UPDATES[name] for name in last})
    ran.clear()
    with pytest.raises(sfl.PrivacyBudgetError):
        round_of(
            groupwise(plan=plan, parties=NAMES[:9], ledger=ledger),
            {name: UPDATES[name] for name in NAMES[:9]},
        )
    assert ran == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"group_size": 2}, "group_size: got 2, needs a whole number >= 3"),
        ({"group_size": 5}, "13 parties make 2 groups of 5, .* needs 3"),
        ({"rule": Krum(1)}, "13 parties make 4 groups of 3, .* needs 5"),
        ({"max_norm": 0.0}, "max_norm: got 0.0"),
        ({"min_groups": 0}, "min_groups: got 0"),
        ({"plan": plan_of(protocol=sfl.SecAgg(prefetch=True))}, "prefetch"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, complaint):
    with pytest.raises(ConfigError, match=complaint):
        groupwise(**arguments)


def test_a_plan_that_is_unsafe_for_a_group_is_refused_before_training():
    with pytest.raises(UnsafePlanError, match=r"a group of 3 parties: .*threshold"):
        groupwise(plan=plan_of(protocol=sfl.SecAgg(threshold=9)))


def private_plan(clip=1.0, rounds=1):
    pytest.importorskip("dp_accounting")
    return sfl.dp.calibrate(
        sfl.Plan(
            template={"w": ((2,), "float32")},
            parties=3,
            protocol=sfl.SecAgg(max_colluders=0, min_survivors=3),
            privacy=sfl.DistributedDiscreteGaussian(clip=clip),
        ),
        epsilon=8.0,
        delta=1e-5,
        rounds=rounds,
    )


def test_under_privacy_each_party_is_charged_once_a_round_for_its_group(tmp_path):
    ledger = sfl.PrivacyLedger(tmp_path / "ledger.jsonl", budget=sfl.Budget(epsilon=8.0, delta=1e-5))
    parties = NAMES[:9]
    aggregator = groupwise(plan=private_plan(), parties=parties, ledger=ledger)
    outcome = round_of(aggregator, {name: UPDATES[name] for name in parties})
    assert 7.9 < outcome.spent.server <= 8.0
    assert outcome.weight_sum == 9
    with pytest.raises(sfl.PrivacyBudgetError):
        round_of(aggregator, {name: UPDATES[name] for name in parties})


def test_what_does_not_go_with_privacy_is_refused():
    with pytest.raises(ConfigError, match=r"max_norm: got 1\.0 beside a private plan"):
        groupwise(plan=private_plan(), max_norm=1.0)
