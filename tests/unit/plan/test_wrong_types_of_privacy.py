"""Whatever is passed where a mechanism, a budget or a calibration expects a number: one error with value, bound and remedy."""

from __future__ import annotations

import dataclasses
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import securefl as sfl
from securefl.dp.accounting import Accountant, GaussianRelease, Relation, calibrate_noise_multiplier, epsilon_of
from securefl.dp.clipping import FlatClip, LayerClip
from securefl.dp.mechanisms import MECHANISMS, Mechanism, QuantileClip
from securefl.dp.modular_grid import ModularGrid

TEMPLATE = {"x": ((2,), "float32")}
NO_NUMBER = ["1", b"1", "", [], [1.0], (), {}, {1}, 1j, range(3), True, math.nan, Decimal(1), np.ones(2), np.array(1.0)]
NO_POSITIVE = [*NO_NUMBER, 0, -1.0, -math.inf, 10**400, Fraction(0)]
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**308, 10**400),
    st.floats(),
    st.complex_numbers(),
    st.fractions(),
    st.decimals(),
    st.text(max_size=9),
    st.binary(max_size=9),
    st.sampled_from(["zero-out", "add-remove", "party", "example", "rdp", "complete", "k-regular", "active", "never"]),
    st.lists(st.floats(), max_size=3),
    st.sets(st.floats(1, 9), max_size=3),
    st.dictionaries(st.text(max_size=3), st.floats(), max_size=2),
    st.builds(object),
)
FIELDS = [(kind, field.name) for kind in MECHANISMS.values() for field in dataclasses.fields(kind)]


def named(caught) -> bool:
    error = caught.value
    return bool(error.rule and error.bound and error.remedy) and len(str(error)) < 600


def plan_with(**fields):
    protocol = sfl.SecAgg(**({"max_colluders": 1, "min_survivors": 18} | fields))
    mechanism = sfl.DistributedDiscreteGaussian(clip=1.0, noise_multiplier=1.0)
    return sfl.Plan(template=TEMPLATE, parties=20, protocol=protocol, privacy=mechanism)


def built_or_refused(build):
    """Whatever is passed in: an object, or the one typed error."""
    try:
        return build()
    except sfl.UnsafePlanError as error:
        refusal = error
    assert refusal.bound
    assert refusal.remedy
    return None


@pytest.mark.parametrize("kind", MECHANISMS.values(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field in ("noise_multiplier", "denominator", "slack") for value in NO_POSITIVE]
    + [("slack", None)],
    ids=repr,
)
def test_a_number_of_a_mechanism_that_is_none_is_refused(kind, field, value):
    with pytest.raises(sfl.UnsafePlanError) as caught:
        kind(**({"clip": 1.0, "noise_multiplier": 1.0} | {field: value}))
    assert named(caught)


@pytest.mark.parametrize("value", [*NO_POSITIVE, None, 0.7499, 1e308, math.nextafter(2.0**32, math.inf)], ids=repr)
def test_a_least_sigma_that_is_none_or_too_large_is_refused(value):
    with pytest.raises(sfl.UnsafePlanError, match="min_sigma") as caught:
        sfl.DistributedDiscreteGaussian(clip=1.0, min_sigma=value)
    assert named(caught)


@given(st.sampled_from(FIELDS), ANYTHING)
def test_any_field_of_a_mechanism_is_taken_or_refused_by_name_and_travels_if_taken(field, value):
    kind, name = field

    def build():
        mechanism = kind(**({"clip": 1.0, "noise_multiplier": 1.0} | {name: value}))
        return sfl.Plan(
            template=TEMPLATE,
            parties=20,
            protocol=sfl.SecAgg(max_colluders=1, min_survivors=18),
            privacy=mechanism,
        )

    plan = built_or_refused(build)
    if plan is not None:
        assert str(plan)
        assert plan.draft or sfl.Plan.from_bytes(plan.to_bytes()) == plan


def test_numbers_of_other_types_are_taken_as_floats():
    mechanism = sfl.DistributedDiscreteGaussian(
        clip=1.0, noise_multiplier=np.float32(0.5), denominator=Fraction(41, 2), slack=1, min_sigma=np.int64(1)
    )
    taken = (mechanism.noise_multiplier, mechanism.denominator, mechanism.slack, mechanism.min_sigma)
    assert taken == (0.5, 20.5, 1.0, 1.0)
    assert {type(number) for number in taken} == {float}


@pytest.mark.parametrize("field", ["threshold", "max_colluders", "min_survivors"])
@pytest.mark.parametrize("value", ["4", 4.0, [], {}, True, 1j, math.nan], ids=repr)
def test_whole_numbers_of_a_noisy_protocol_are_named(field, value):
    with pytest.raises(sfl.UnsafePlanError, match=field) as caught:
        plan_with(**{field: value})
    assert named(caught)


@pytest.mark.parametrize("value", [None, "x", "0.1", math.nan, math.inf, 1, -0.1, [], True, 1j], ids=repr)
def test_dropouts_of_a_noisy_protocol_are_named(value):
    with pytest.raises(sfl.UnsafePlanError, match="dropout") as caught:
        plan_with(dropout=value)
    assert named(caught)


@pytest.mark.parametrize("graph", [None, "complete", "k-regular"])
@pytest.mark.parametrize("value", ["4", 4.0, 249.0, [], {}, True, 1j, math.nan], ids=repr)
def test_neighbours_of_another_type_are_named_on_any_graph(graph, value):
    with pytest.raises(sfl.UnsafePlanError, match="neighbours") as caught:
        sfl.Plan(template=TEMPLATE, parties=250, protocol=sfl.SecAgg(graph=graph, neighbours=value))
    assert named(caught)


@pytest.mark.parametrize("value", [None, "yes", 1, 0, [], {}, 1.0], ids=repr)
def test_prefetch_of_another_type_is_refused_by_the_plan(value):
    with pytest.raises(sfl.UnsafePlanError, match="prefetch") as caught:
        sfl.Plan(template=TEMPLATE, parties=5, protocol=sfl.SecAgg(prefetch=value))
    assert named(caught)


@given(
    st.sampled_from([field.name for field in dataclasses.fields(sfl.SecAgg)]),
    ANYTHING,
    st.sampled_from([5, 20, 250]),
    st.booleans(),
)
def test_any_field_of_a_protocol_is_taken_or_refused_by_name_and_travels_if_taken(name, value, parties, noisy):
    mechanism = sfl.DistributedDiscreteGaussian(clip=1.0, noise_multiplier=1.0) if noisy else None
    plan = built_or_refused(
        lambda: sfl.Plan(template=TEMPLATE, parties=parties, protocol=sfl.SecAgg(**{name: value}), privacy=mechanism)
    )
    if plan is not None:
        assert sfl.Plan.from_bytes(plan.to_bytes()) == plan


@pytest.mark.parametrize("value", [None, 5, 1.0, "12", b"12", {1.0: 1.0}, {1.0, 2.0}, np.array(1.0), range], ids=repr)
def test_bounds_of_layers_without_an_order_are_refused(value):
    with pytest.raises(sfl.UnsafePlanError, match="bounds") as caught:
        LayerClip(value)
    assert named(caught)


@pytest.mark.parametrize("value", [(1.0, 2.0), [1, 2], np.array([1.0, 2.0]), range(1, 3)], ids=repr)
def test_bounds_of_layers_come_in_any_ordered_form(value):
    assert LayerClip(value).bounds == (1.0, 2.0)


@pytest.mark.parametrize(
    "make", [FlatClip, lambda bound: LayerClip((1.0, bound)), lambda bound: QuantileClip(bound).state(20, 1.0)]
)
@pytest.mark.parametrize("value", [*NO_POSITIVE, None], ids=repr)
def test_a_clip_that_is_no_number_is_refused(make, value):
    with pytest.raises(sfl.UnsafePlanError, match="clip") as caught:
        make(value)
    assert named(caught)


@pytest.mark.parametrize("value", [None, 5, [], {}, np.ones(2), "sometimes"], ids=repr)
def test_a_wrap_of_another_type_is_refused(value):
    with pytest.raises(sfl.UnsafePlanError, match="wrap") as caught:
        ModularGrid(wrap=value)
    assert named(caught)


@pytest.mark.parametrize("field", ["epsilon", "delta", "order"])
@pytest.mark.parametrize("value", NO_POSITIVE, ids=repr)
def test_a_budget_of_no_numbers_is_refused(field, value):
    with pytest.raises(sfl.UnsafePlanError) as caught:
        sfl.Budget(**({"epsilon": 1.0, "delta": 1e-5, "order": 8} | {field: value}))
    assert named(caught)


def test_a_budget_is_kept_in_floats():
    budget = sfl.Budget(epsilon=Fraction(1, 2), delta=np.float32(0.5), order=8)
    assert (budget.epsilon, budget.delta, budget.order) == (0.5, 0.5, 8.0)
    assert str(budget) == "epsilon 0.5 at delta 0.5"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("epsilon", value) for value in [*NO_POSITIVE, None]),
        *(("delta", value) for value in [*NO_POSITIVE, None, 1]),
        *(("rounds", value) for value in [*NO_NUMBER, None, 0, 2.0, 10**400]),
        *(("accountant", value) for value in ["cat", None, 5, [], {}]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("noise", [sfl.dp.calibrate, sfl.dp.fewest_bits], ids=["calibrate", "fewest_bits"])
def test_a_calibration_of_wrong_types_is_refused(noise, field, value):
    with pytest.raises(sfl.UnsafePlanError) as caught:
        noise(plan_with(), **({"epsilon": 8.0, "delta": 1e-3, "rounds": 3} | {field: value}))
    assert named(caught)


@pytest.mark.parametrize("field", ["unit", "relation"])
@pytest.mark.parametrize("value", ["cat", 5, [], {}], ids=repr)
def test_a_calibration_for_an_unknown_unit_or_relation_is_refused(field, value):
    with pytest.raises(sfl.UnsafePlanError, match=field) as caught:
        sfl.dp.calibrate(plan_with(), epsilon=8.0, delta=1e-3, rounds=3, **{field: value})
    assert named(caught)


def test_an_infinite_number_is_refused_but_as_slack_where_it_is_beta_0():
    for field in ("noise_multiplier", "denominator", "clip"):
        with pytest.raises(sfl.UnsafePlanError):
            sfl.DistributedSkellam(**({"clip": 1.0} | {field: math.inf}))
    assert sfl.DistributedSkellam(clip=1.0, slack=math.inf).slack == math.inf


@pytest.mark.parametrize("field", ["error", "excess"])
@pytest.mark.parametrize("value", [*NO_NUMBER, -1.0], ids=repr)
def test_an_error_of_no_number_is_refused(field, value):
    with pytest.raises(sfl.UnsafePlanError, match=field) as caught:
        sfl.dp.fewest_bits(plan_with(), epsilon=8.0, delta=1e-3, rounds=3, **{field: value})
    assert named(caught)


@pytest.mark.parametrize(
    ("field", "value"),
    [("sample_rate", value) for value in NO_POSITIVE]
    + [("relation", "cat"), ("relation", []), ("accountant", "cat"), ("accountant", [])],
    ids=repr,
)
def test_the_noise_of_gaussian_releases_is_not_sought_for_wrong_types(field, value):
    with pytest.raises(sfl.UnsafePlanError) as caught:
        calibrate_noise_multiplier(**({"epsilon": 1.0, "delta": 1e-5, "rounds": 2} | {field: value}))
    assert named(caught)


def test_an_unknown_accountant_is_not_taken_for_the_other_one():
    for label in ("rdp", "pld", Accountant.PLD):
        assert epsilon_of(GaussianRelease(1.0), 1e-5, Relation.ADD_REMOVE, label) > 0
    with pytest.raises(sfl.UnsafePlanError, match="unknown accountant"):
        epsilon_of(GaussianRelease(1.0), 1e-5, Relation.ADD_REMOVE, "prv")


def test_nobody_makes_a_mechanism_that_adds_no_noise():
    with pytest.raises(TypeError, match="abstract"):
        Mechanism(clip=1.0)
