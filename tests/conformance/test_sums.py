"""What every protocol computes."""

from __future__ import annotations

import numpy as np
import pytest

import securefl as sfl
from conformance.adapters import PARTIES

TEMPLATE = {"w": ((3, 4), "float64"), "b": ((2,), "float32")}


def updates_of(seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return {
        party: {
            "w": scale * rng.uniform(-1, 1, (3, 4)),
            "b": (scale * rng.uniform(-1, 1, 2)).astype(np.float32),
        }
        for party in PARTIES
    }


def mean_of(updates, weights, name, parties=PARTIES):
    stack = [updates[party][name].astype(np.float64) for party in parties]
    return np.average(stack, axis=0, weights=[weights[party] for party in parties])


def test_the_mean_is_the_mean_within_the_stated_bound(protocol):
    plan = protocol.plan(TEMPLATE, encoding=sfl.FixedPoint(value_bits=20, bound=1.0))
    updates, ones = updates_of(), dict.fromkeys(PARTIES, 1)
    result = protocol.session(plan).round(updates)
    for name in TEMPLATE:
        exact = mean_of(updates, ones, name)
        np.testing.assert_array_less(abs(result.sum[name] / len(PARTIES) - exact), plan.encoding.error_bound)
        np.testing.assert_array_less(abs(result.mean[name] - exact), plan.encoding.error_bound + 2.0**-24)
    assert result.weight_sum == len(PARTIES)
    assert result.survivors == PARTIES
    assert result.dropped == {}


def test_grid_points_and_integers_are_carried_exactly(protocol):
    plan = protocol.plan(
        {"f": ((4,), "float64"), "i": ((4,), "int32")}, encoding=sfl.FixedPoint(value_bits=12, bound=2047.0)
    )
    rng = np.random.default_rng(1)
    whole = {party: rng.integers(-2047, 2048, 4) for party in PARTIES}
    updates = {party: {"f": v.astype(np.float64), "i": v.astype(np.int32)} for party, v in whole.items()}
    result = protocol.session(plan).round(updates)
    exact = sum(whole.values())
    np.testing.assert_array_equal(result.sum["i"], exact)
    np.testing.assert_array_equal(result.sum["f"], exact.astype(np.float64))
    np.testing.assert_array_equal(result.mean["i"], np.rint(exact / len(PARTIES)).astype(np.int32))


def test_a_weight_multiplies_the_update_and_only_the_weights_sum_is_known(protocol):
    plan = protocol.plan(TEMPLATE, max_weight=1000, encoding=sfl.FixedPoint(value_bits=20))
    updates, weights = updates_of(2), dict(zip(PARTIES, (1, 1000, 7, 333, 2, 50), strict=True))
    result = protocol.session(plan).round(updates, weights=weights)
    assert result.weight_sum == sum(weights.values())
    np.testing.assert_array_less(abs(result.mean["w"] - mean_of(updates, weights, "w")), plan.encoding.error_bound)


def test_weights_are_those_of_the_survivors(protocol):
    plan = protocol.plan(TEMPLATE, max_weight=100, encoding=sfl.FixedPoint(value_bits=20))
    updates, weights = updates_of(3), dict(zip(PARTIES, (100, 1, 2, 3, 4, 5), strict=True))
    result = protocol.session(plan).round(updates, weights=weights, drop={PARTIES[0]: "masked_input"})
    assert result.weight_sum == 15
    exact = mean_of(updates, weights, "w", PARTIES[1:])
    np.testing.assert_array_less(abs(result.mean["w"] - exact), plan.encoding.error_bound)


def test_metrics_are_weighted_means_and_clamped_to_their_ranges(protocol):
    ranges = {"loss": (0.0, 8.0), "accuracy": (0.0, 1.0)}
    encoding = sfl.FixedPoint(value_bits=16)
    plan = protocol.plan(TEMPLATE, max_weight=10, metrics=ranges, encoding=encoding)
    rng = np.random.default_rng(4)
    metrics = {party: {"loss": float(rng.uniform(0, 8)), "accuracy": float(rng.uniform())} for party in PARTIES}
    metrics[PARTIES[0]] = {"loss": 50.0, "accuracy": -3.0}
    weights = dict(zip(PARTIES, (5, 10, 1, 2, 3, 4), strict=True))
    result = protocol.session(plan).round(updates_of(4), weights=weights, metrics=metrics)
    assert result.metrics.keys() == ranges.keys()
    for name, (low, high) in ranges.items():
        clamped = {party: min(max(told[name], low), high) for party, told in metrics.items()}
        exact = sum(weights[p] * clamped[p] for p in PARTIES) / sum(weights.values())
        assert abs(result.metrics[name] - exact) < (high - low) / (2 * encoding.max_value) * (1 + 1e-9)


def test_every_kind_of_leaf_keeps_its_shape_dtype_and_place(protocol):
    update = {
        "scalar": np.float32(0.5),
        "number": 3,
        "flag": np.array([True, False, True]),
        "counts": [np.arange(3, dtype=np.uint8), np.zeros((2, 0, 3), dtype=np.float64)],
        "nested": ({"deep": (np.full((2, 2), -0.25),)}, np.float16(0.25)),
        "empty": np.zeros(0, dtype=np.int64),
    }
    template = sfl.Plan.for_updates(dict.fromkeys(PARTIES, update)).layout
    plan = protocol.plan(template, encoding=sfl.FixedPoint(value_bits=24))
    result = protocol.session(plan).round(dict.fromkeys(PARTIES, update))
    mean = result.mean
    assert mean.keys() == update.keys()
    assert isinstance(mean["nested"], tuple)
    assert isinstance(mean["nested"][0]["deep"], tuple)
    assert isinstance(mean["counts"], list)
    pairs = [
        (mean["scalar"], update["scalar"]),
        (mean["number"], np.asarray(3)),
        (mean["flag"], update["flag"]),
        (mean["counts"][0], update["counts"][0]),
        (mean["counts"][1], update["counts"][1]),
        (mean["nested"][0]["deep"][0], update["nested"][0]["deep"][0]),
        (mean["nested"][1], update["nested"][1]),
        (mean["empty"], update["empty"]),
    ]
    for got, sent in pairs:
        assert got.dtype == sent.dtype
        assert got.shape == sent.shape
        np.testing.assert_allclose(np.asarray(got, np.float64), np.asarray(sent, np.float64), atol=2**-11)
    assert result.sum["flag"].tolist() == [6, 0, 6]
    assert result.sum["flag"].dtype == np.int64
    assert result.sum["number"] == 18
    assert result.sum["scalar"].dtype == np.float64


@pytest.mark.parametrize("size", [0, 1])
def test_vectors_of_no_and_of_one_value_are_summed(protocol, size):
    plan = protocol.plan({"w": ((size,), "int64")})
    result = protocol.session(plan).round({party: {"w": np.arange(size) + 1} for party in PARTIES})
    assert result.sum["w"].tolist() == [6] * size
    assert result.mean["w"].shape == (size,)


@pytest.mark.parametrize("party", [PARTIES[0], PARTIES[-1]])
def test_a_party_may_leave_at_any_step(protocol, party):
    plan = protocol.plan({"w": ((2,), "int32")})
    updates = {name: {"w": np.array([10**i, i], np.int32) % 30000} for i, name in enumerate(PARTIES)}
    for step in protocol.steps:
        result = protocol.session(plan).round(updates, drop={party: step})
        inside = step in protocol.summed
        assert (party in result.survivors) is inside
        assert set(result.survivors) | {party} == set(PARTIES)
        assert result.dropped == {party: step} or step in protocol.unmissed
        assert result.sum["w"].tolist() == sum(updates[name]["w"].astype(int) for name in result.survivors).tolist()


def test_sums_of_several_rounds_are_each_their_own(protocol):
    """Who left one round is back in the next, with new keys."""
    plan = protocol.plan({"w": ((2,), "int32")})
    session = protocol.session(plan)
    wires = []
    for number, step in enumerate((None, *protocol.steps, None), 1):
        updates = {party: {"w": np.array([number, i])} for i, party in enumerate(PARTIES)}
        updates = {party: {"w": update["w"].astype(np.int32)} for party, update in updates.items()}
        result = session.round(updates, drop={PARTIES[2]: step} if step else {})
        assert result.sum["w"].tolist() == [
            number * len(result.survivors),
            sum(PARTIES.index(party) for party in result.survivors),
        ]
        assert (PARTIES[2] in result.survivors) is (step is None or step in protocol.summed)
        wires.append([data for _, _, data in session.up])
    assert not set(wires[0]) & set(wires[-1])
