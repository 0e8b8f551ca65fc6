"""Whatever is passed where a plan, a policy or a roster expects something else: one named error, never a TypeError."""

from __future__ import annotations

import datetime as dt

import pytest

import securefl as sfl

TEMPLATE = {"x": ((2,), "float32")}


@pytest.mark.parametrize(
    "fields",
    [
        {"metrics": {"loss": 5}},
        {"metrics": {"loss": (1, 2, 3)}},
        {"metrics": {"loss": ("a", "b")}},
        {"metrics": ["loss"]},
        {"metrics": {"loss": (0, 1), 5: (0, 1)}},
        {"protocol": "secagg"},
        {"encoding": 16},
        {"parties": "five"},
        {"parties": 4.0},
        {"ring_bits": "24"},
        {"max_weight": 2.5},
        {"purpose": 5},
        {"policy_digest": "00"},
    ],
    ids=str,
)
def test_a_plan_of_wrong_types_is_refused_by_name(fields):
    with pytest.raises(sfl.UnsafePlanError) as caught:
        sfl.Plan(**{"template": TEMPLATE, "parties": 5} | fields)
    assert caught.value.bound
    assert caught.value.remedy


@pytest.mark.parametrize("make", [lambda: sfl.SecAgg(dropout="0.1"), lambda: sfl.SecAgg(server=5)])
def test_a_protocol_of_wrong_types_is_refused_by_the_plan(make):
    with pytest.raises(sfl.UnsafePlanError):
        sfl.Plan(template=TEMPLATE, parties=5, protocol=make())


def test_a_bound_in_quotes_is_refused():
    with pytest.raises(sfl.UnsafePlanError, match="bound"):
        sfl.FixedPoint(bound="4")


@pytest.mark.parametrize("value", [None, "high", True])
def test_a_metric_that_is_no_number_is_refused_with_its_party(value):
    updates = {f"p{i}": {"x": [0.0, 0.0][0]} for i in range(3)}
    plan = sfl.Plan.for_updates(updates, metrics={"loss": (0, 1)})
    metrics = {party: {"loss": 0.5} for party in updates} | {"p1": {"loss": value}}
    with pytest.raises(sfl.EncodingError, match="party 'p1': metric 'loss' is no number"):
        sfl.aggregate(updates, plan, metrics=metrics)


@pytest.mark.parametrize(
    "fields",
    [
        {"expires": "2030-01-01"},
        {"expires": dt.datetime(2030, 1, 1, tzinfo=dt.UTC)},
        {"max_rounds": 2.5},
        {"max_rounds": True},
        {"roster_fingerprint": 5},
        {"roster_owner": None},
        {"purposes": "abc"},
        {"purposes": (1,)},
        {"graphs": "complete"},
        {"max_epsilon": "8"},
        {"server": 5},
    ],
    ids=str,
)
def test_a_policy_of_wrong_types_is_refused_by_name(fields):
    with pytest.raises(sfl.ConfigError):
        sfl.ClientPolicy(**fields)


def test_identities_are_not_generated_for_one_name_twice():
    with pytest.raises(sfl.ConfigError, match="a name twice: a"):
        sfl.Roster.generate(["a", "a", "b"])


def test_equal_plans_are_equal_hash_alike_and_differ_from_others():
    plan = sfl.Plan(template=TEMPLATE, parties=5, metrics={"loss": (0, 1)})
    same = sfl.Plan.from_bytes(plan.to_bytes())
    assert plan == same
    assert {plan: 1}[same] == 1
    assert plan != plan.replace(parties=6)
    assert plan != "plan"


def test_a_plan_made_from_a_number_becomes_active_when_it_is_given_signed_identities():
    plan = sfl.Plan(template=TEMPLATE, parties=5)
    roster, _ = sfl.Roster.generate([f"p{i}" for i in range(5)])
    assert plan.parameters.server == "semi-honest"
    active = plan.replace(parties=roster)
    assert active.parameters.server == "active"
    assert active.replace(max_weight=3).parameters.server == "active"
