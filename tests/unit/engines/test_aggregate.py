from __future__ import annotations

import numpy as np
import pytest

import securefl as sfl
from securefl.types import Step

NAMES = tuple(f"hospital-{i}" for i in range(7))
UPDATES = {name: {"w": np.array([i, -i, 10 * i], np.int32)} for i, name in enumerate(NAMES)}


def plan_of(server="active", **fields):
    protocol = sfl.SecAgg(server=server, threshold=5 if server == "active" else 4, max_colluders=1)
    return sfl.Plan.for_updates(UPDATES, protocol=protocol, **fields)


BOTH = pytest.mark.parametrize("server", list(sfl.ServerModel))


def exact(result):
    return sum(UPDATES[name]["w"].astype(int) for name in result.survivors).tolist() == result.sum["w"].tolist()


@BOTH
def test_one_call_is_one_sum(server):
    result = sfl.aggregate(UPDATES, plan_of(server))
    assert result.survivors == NAMES
    assert exact(result)
    assert result.simulated
    assert "Simulated policy" in result.report()
    assert result.refusals == ()
    assert result.saturated == dict.fromkeys(NAMES, 0)


@BOTH
def test_time_is_measured_for_each_step_on_both_sides(server):
    result = sfl.aggregate(UPDATES, plan_of(server))
    assert result.seconds_by_step.keys() == result.bytes_by_step.keys()
    assert all(clients > 0 for step, (clients, _) in result.seconds_by_step.items())
    assert all(server_side > 0 for _, server_side in result.seconds_by_step.values())


@BOTH
@pytest.mark.parametrize("step", list(Step))
def test_drop_is_short_for_a_drop_fault(server, step):
    by_name = sfl.aggregate(UPDATES, plan_of(server), drop={NAMES[2]: str(step)})
    by_fault = sfl.aggregate(UPDATES, plan_of(server), faults=[sfl.faults.Drop(NAMES[2], step)])
    assert by_name.survivors == by_fault.survivors
    assert by_name.dropped == by_fault.dropped
    assert exact(by_name)
    assert exact(by_fault)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"drop": {"hospital-9": "unmask"}}, "hospital-9, not among the parties"),
        ({"faults": [sfl.faults.Delay("hospital-9", "unmask")]}, "hospital-9, not among the parties"),
        ({"faults": [sfl.faults.Equivocate(("hospital-9",), ("hospital-1",))]}, "hospital-9, not among the parties"),
        ({"faults": [sfl.faults.Equivocate(("hospital-1",), ("hospital-9",))]}, "hospital-9, not among the parties"),
        ({"drop": {"hospital-1": "unmasking"}}, "'unmasking' is no step of a round"),
        ({"drop": {"hospital-1": None}}, "None is no step of a round"),
        ({"weights": dict.fromkeys(NAMES[1:], 1)}, "weights are not those of the parties: hospital-0"),
        ({"weights": dict.fromkeys((*NAMES, "x"), 1)}, "weights are not those of the parties: x"),
        ({"metrics": {}}, "metrics are not those of the parties"),
    ],
)
def test_names_of_nobody_and_of_no_step_are_refused(arguments, match):
    with pytest.raises(sfl.ConfigError, match=match) as caught:
        sfl.aggregate(UPDATES, plan_of(), **arguments)
    assert caught.value.remedy


@pytest.mark.parametrize("fault", [sfl.faults.Drop, sfl.faults.Delay, sfl.faults.Replay, sfl.faults.Corrupt])
def test_a_fault_knows_its_step_or_is_none(fault):
    assert fault("a", "unmask").step is Step.UNMASK
    with pytest.raises(sfl.ConfigError, match="use advertise, share_keys, masked_input, consistency, unmask"):
        fault("a", "nowhere")


@pytest.mark.parametrize("updates", [{}, dict(list(UPDATES.items())[:6]), {**UPDATES, "more": UPDATES[NAMES[0]]}])
def test_updates_of_others_than_the_plans_parties_are_refused(updates):
    with pytest.raises(sfl.ConfigError, match="parties"):
        sfl.aggregate(updates, plan_of())


@pytest.mark.parametrize(
    ("update", "error", "tensor"),
    [
        ({"w": np.zeros(3)}, sfl.LayoutMismatchError, "w"),
        ({"v": np.zeros(3, np.int32)}, sfl.LayoutMismatchError, "w"),
        ({}, sfl.EncodingError, ""),
    ],
)
def test_a_bad_update_names_its_party_and_nothing_is_sent(update, error, tensor):
    session = sfl.MemorySession(plan_of(), NAMES)
    with pytest.raises(error, match="party 'hospital-4'") as caught:
        session.round({**UPDATES, NAMES[4]: update})
    assert caught.value.tensor == tensor
    assert session._actors.server.step is None, "no round was begun"
    assert exact(session.round(UPDATES))


def test_a_nan_a_bad_weight_and_a_bad_metric_name_their_party():
    template = {"w": ((2,), "float32")}
    plan = sfl.Plan(template=template, parties=7, max_weight=5, metrics={"loss": (0, 1)})
    updates = {name: {"w": np.zeros(2, np.float32)} for name in NAMES}
    weights, metrics = dict.fromkeys(NAMES, 1), {name: {"loss": 0.5} for name in NAMES}
    bad = NAMES[3]
    for arguments, error in (
        ({"updates": {**updates, bad: {"w": np.array([0, np.nan], np.float32)}}}, sfl.NonFiniteError),
        ({"weights": {**weights, bad: 6}}, sfl.EncodingError),
        ({"metrics": {**metrics, bad: {}}}, sfl.EncodingError),
        ({"metrics": {**metrics, bad: {"loss": float("inf")}}}, sfl.NonFiniteError),
    ):
        with pytest.raises(error, match="party 'hospital-3'"):
            sfl.aggregate(**{"updates": updates, "plan": plan, "weights": weights, "metrics": metrics, **arguments})


def test_roster_identities_and_policies_can_be_brought_along():
    roster, keys = sfl.Roster.generate(NAMES)
    policy = sfl.ClientPolicy(min_parties=6, min_threshold=5)
    session = sfl.MemorySession(plan_of(), NAMES, roster=roster, identities=keys, policies=dict.fromkeys(NAMES, policy))
    result = session.round(UPDATES)
    assert not result.simulated
    assert "Simulated" not in result.report()
    assert exact(result)
    strict = dict.fromkeys(NAMES, policy) | {NAMES[0]: sfl.ClientPolicy(min_parties=8)}
    result = sfl.MemorySession(plan_of(), NAMES, roster=roster, identities=keys, policies=strict).round(UPDATES)
    assert result.survivors == NAMES[1:]
    assert isinstance(result.refusals[0], sfl.PolicyRefusedError)
    with pytest.raises(sfl.ConfigError, match="'hospital-6' has no policy"):
        sfl.MemorySession(plan_of(), NAMES, roster=roster, identities=keys, policies=dict.fromkeys(NAMES[:6], policy))
    with pytest.raises(sfl.ConfigError, match="use the roster's names, in its order"):
        sfl.MemorySession(plan_of(), NAMES[::-1], roster=roster, identities=keys)
    wrong = {**keys, NAMES[0]: keys[NAMES[1]]}
    with pytest.raises(sfl.ConfigError, match="identity key is not the one"):
        sfl.MemorySession(plan_of(), NAMES, roster=roster, identities=wrong)


def test_who_saturated_is_known_in_a_simulation_and_reported():
    updates = {name: {"w": np.array([0.5, 5.0], np.float32)} for name in NAMES}
    updates[NAMES[0]] = {"w": np.array([0.5, 0.5], np.float32)}
    plan = sfl.Plan.for_updates(updates, encoding=sfl.FixedPoint(bound=1.0))
    result = sfl.aggregate(updates, plan)
    assert result.saturated == {NAMES[0]: 0, **dict.fromkeys(NAMES[1:], 1)}
    assert "hospital-1 1" in result.report()
    assert "hospital-0 0" not in result.report()


@pytest.mark.parametrize("count", [0, 2, 4])
def test_another_number_of_updates_than_the_plan_has_parties_is_refused_by_both_numbers(count):
    plan = sfl.Plan(template={"x": ((), "float64")}, parties=3)
    with pytest.raises(sfl.ConfigError, match=f"there are {count} parties, the plan is for 3"):
        sfl.aggregate({f"p{i}": {"x": 0.0} for i in range(count)}, plan)
