"""A wrapped strategy does what it does with plain replies, up to the encoding's rounding."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import (
    Bulyan,
    DifferentialPrivacyServerSideFixedClipping,
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedMedian,
    FedProx,
    FedTrimmedAvg,
    FedYogi,
    Krum,
    MultiKrum,
    QFedAvg,
    Strategy,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from securefl import ConfigError, Plan
from securefl.flower import template_of
from unit.flower.local import LocalGrid
from unit.flower.world import ARRAYS, STEP, World, app_of, differ, run, secagg, train

FLOAT32 = 2.0**-21
"""What single precision may add to values around one in a round: a few roundings."""

# How much an error of the mean grows in the server's step: an adaptive one divides by tau at worst.
AVERAGING = {
    "FedAvg": (lambda: FedAvg(fraction_evaluate=0.0), 1),
    "FedProx": (lambda: FedProx(fraction_evaluate=0.0, proximal_mu=0.3), 1),
    "FedAvgM": (lambda: FedAvgM(fraction_evaluate=0.0, server_momentum=0.5, server_learning_rate=0.9), 3),
    "FedAdam": (lambda: FedAdam(fraction_evaluate=0.0, eta=0.1, tau=0.1), 10),
    "FedAdagrad": (lambda: FedAdagrad(fraction_evaluate=0.0, eta=0.1, tau=0.1), 10),
    "FedYogi": (lambda: FedYogi(fraction_evaluate=0.0, eta=0.1, tau=0.1), 10),
}


def floats_only(arrays: ArrayRecord) -> ArrayRecord:
    """Flower's own strategies spoil counters and fail at flags, so the plain run has none."""
    return ArrayRecord({name: array for name, array in arrays.items() if array.numpy().dtype.kind == "f"})


@pytest.mark.parametrize("name", AVERAGING)
def test_as_with_plain_replies(name, tmp_path):
    make, growth = AVERAGING[name]
    world = World(tmp_path)
    secure = run(world.strategy(inner=make()), world.grid(), 3)
    clear = run(make(), LocalGrid(app_of(protected=False), world.config), 3, floats_only(ARRAYS))
    assert differ(clear, secure) <= 3 * growth * (STEP + FLOAT32)
    assert differ(clear, ARRAYS) > 0.01  # it moved at all


@pytest.mark.parametrize("name", AVERAGING)
def test_order_dtypes_counters_and_flags_stay(name, tmp_path):
    world = World(tmp_path)
    after = run(world.strategy(inner=AVERAGING[name][0]()), world.grid(), 2)
    assert list(after) == list(ARRAYS)
    for key, array in ARRAYS.items():
        before, now = array.numpy(), after[key].numpy()
        assert (now.shape, now.dtype) == (before.shape, before.dtype)
        assert before.dtype.kind == "f" or np.array_equal(now, before)


def test_counters_reach_the_nodes(tmp_path):
    seen = []

    def noting(message, context):
        assert set(message.content) == {"arrays", "config"}  # nothing of ours; who sees more trains nothing
        seen.append({key: array.numpy() for key, array in message.content["arrays"].items()})
        return train(message, context)

    world = World(tmp_path, function=noting)
    run(world.strategy(inner=FedAdam(fraction_evaluate=0.0)), world.grid(), 2)
    assert len(seen) == 2 * len(world.names)
    for arrays in seen:
        assert list(arrays) == list(ARRAYS)
        assert arrays["batches"] == 7
        assert arrays["frozen"].tolist() == [True, False]


def test_the_config_reaches_the_nodes(tmp_path):
    seen = []

    def noting(message, context):
        seen.append((message.content["config"]["server-round"], message.content["config"]["proximal-mu"]))
        return train(message, context)

    world = World(tmp_path, function=noting)
    run(world.strategy(inner=FedProx(fraction_evaluate=0.0, proximal_mu=0.3)), world.grid(), 2)
    assert sorted(seen) == [(1, 0.3)] * 5 + [(2, 0.3)] * 5


def test_every_node_gets_its_own_config(tmp_path):
    class Told(FedAvg):
        def configure_train(self, server_round, arrays, config, grid):
            for message in super().configure_train(server_round, arrays, config, grid):
                own = ConfigRecord({"node": message.metadata.dst_node_id})
                yield Message(
                    RecordDict({"arrays": message.content["arrays"], "config": own}),
                    dst_node_id=message.metadata.dst_node_id,
                    message_type="train",
                )

    seen = []

    def noting(message, context):
        seen.append((message.content["config"]["node"], context.node_id))
        return train(message, context)

    world = World(tmp_path, function=noting)
    run(world.strategy(inner=Told(fraction_evaluate=0.0)), world.grid())
    assert sorted(seen) == [(node, node) for node in world.config]


def test_metrics_ride_in_the_sum(tmp_path):
    world = World(tmp_path)
    strategy = world.strategy()
    result = strategy.start(grid=world.grid(), initial_arrays=ARRAYS, num_rounds=1)
    weights = np.arange(1, 6)
    loss = float(np.sum(weights * 0.25 * np.arange(5)) / np.sum(weights))
    assert result.train_metrics_clientapp[1]["loss"] == pytest.approx(loss, abs=1e-5)
    assert strategy.results[0].weight_sum == 150


@settings(max_examples=12)
@given(data=st.data())
def test_any_model_of_floats_is_averaged_within_one_step(data):
    shapes = data.draw(st.lists(st.sampled_from([(), (1,), (3,), (2, 3), (1, 1, 2)]), min_size=1, max_size=4))
    dtypes = data.draw(st.lists(st.sampled_from(["f4", "f8"]), min_size=len(shapes), max_size=len(shapes)))
    weights = data.draw(st.lists(st.integers(1, 100), min_size=4, max_size=4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    model = {f"p{i}": rng.uniform(-1, 1, shape).astype(dtypes[i]) for i, shape in enumerate(shapes)}
    changes = [{name: rng.uniform(-1.9, 1.9, value.shape) for name, value in model.items()} for _ in weights]

    def function(message, context):
        own = changes[context.node_config["number"]]
        after = {
            name: Array(np.asarray(array.numpy() + own[name], array.numpy().dtype))
            for name, array in message.content["arrays"].items()
        }
        told = MetricRecord({"num-examples": weights[context.node_config["number"]], "loss": 1.0})
        return Message(RecordDict({"a": ArrayRecord(after), "m": told}), reply_to=message)

    arrays = ArrayRecord({name: Array(value) for name, value in model.items()})
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory), parties=4, function=function)
        plan = world.plan(secagg(dropout=0.0), template=template_of(arrays))
        after = run(world.strategy(plan), world.grid(), arrays=arrays)
    for name, value in model.items():
        mean = sum(weight * change[name] for weight, change in zip(weights, changes, strict=True)) / sum(weights)
        assert np.max(np.abs(after[name].numpy() - (value + mean))) <= STEP + FLOAT32


NEEDING_SINGLE_UPDATES = {
    "Krum": lambda: Krum(num_malicious_nodes=1, fraction_evaluate=0.0),
    "MultiKrum": lambda: MultiKrum(num_malicious_nodes=1, num_nodes_to_select=2, fraction_evaluate=0.0),
    "Bulyan": lambda: Bulyan(num_malicious_nodes=1, fraction_evaluate=0.0),
    "FedMedian": lambda: FedMedian(fraction_evaluate=0.0),
    "FedTrimmedAvg": lambda: FedTrimmedAvg(fraction_evaluate=0.0),
    "QFedAvg": lambda: QFedAvg(fraction_evaluate=0.0, client_learning_rate=0.1),
}


@pytest.mark.parametrize("name", NEEDING_SINGLE_UPDATES)
def test_a_strategy_that_needs_single_updates_is_refused_with_what_to_use_instead(name, tmp_path):
    with pytest.raises(ConfigError, match=rf"{name} needs single updates.*FedAvg, FedProx.*GroupwiseRobust"):
        World(tmp_path).strategy(inner=NEEDING_SINGLE_UPDATES[name]())


def test_a_strategy_that_clips_single_updates_is_refused(tmp_path):
    inner = DifferentialPrivacyServerSideFixedClipping(
        FedAvg(fraction_evaluate=0.0), noise_multiplier=1.0, clipping_norm=1.0, num_sampled_clients=5
    )
    with pytest.raises(ConfigError, match="DifferentialPrivacyServerSideFixedClipping needs single updates"):
        World(tmp_path).strategy(inner=inner)


def test_a_strategy_that_averages_in_a_way_of_its_own_is_refused(tmp_path):
    class Mine(FedAvg):
        def aggregate_train(self, server_round, replies):
            return None, None

    with pytest.raises(ConfigError, match="Mine"):
        World(tmp_path).strategy(inner=Mine(fraction_evaluate=0.0))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            {"fraction_evaluate": 0.5},
            r"fraction_evaluate is 0.5.*in clear.*evaluate_fn, or declare metrics in the plan",
        ),
        ({"fraction_evaluate": 0.0, "fraction_train": 0.5}, r"fraction_train is 0.5.*make a roster of them"),
        (
            {"fraction_evaluate": 0.0, "min_available_nodes": 5},
            r"min_available_nodes is 5: .* without end .* 4 of 5.*leave",
        ),
        ({"fraction_evaluate": 0.0, "min_train_nodes": 5}, r"min_train_nodes is 5: .* without end .* 4 of 5"),
        ({"fraction_evaluate": 0.0, "weighted_by_key": "n"}, r"weighted_by_key is 'n'.*'num-examples'"),
    ],
)
def test_a_strategy_is_refused_at_the_start(arguments, reason, tmp_path):
    with pytest.raises(ConfigError, match=reason):
        World(tmp_path).strategy(inner=FedAvg(**arguments))


def test_without_weights_any_name_of_them_will_do(tmp_path):
    world = World(tmp_path)
    plan = world.plan(max_weight=1)
    after = run(world.strategy(plan, FedAvg(fraction_evaluate=0.0, weighted_by_key="n")), world.grid())
    assert differ(after, ARRAYS) > 0.01


def test_nothing_is_evaluated_on_nodes_even_if_the_inner_strategy_would(tmp_path):
    world = World(tmp_path)
    strategy = world.strategy()
    strategy.inner.fraction_evaluate = 1.0
    grid = world.grid()
    run(strategy, grid)
    assert {message.metadata.message_type for message, _ in grid.seen} == {"train"}


def test_a_plan_for_another_model_is_refused_before_anybody_is_asked(tmp_path):
    world = World(tmp_path)
    grid = world.grid()
    plan = world.plan(template=template_of(ARRAYS) | {"w": ((2, 3), "float32")})
    with pytest.raises(ConfigError, match=r"'w' is \(\(2, 3\), 'float32'\) in it.*template_of"):
        run(world.strategy(plan), grid)
    assert grid.exchanges == 0


def test_the_report_is_of_the_last_sum_and_names_who_refused(tmp_path):
    world = World(tmp_path)
    del world.config[104]["securefl-policy"]
    strategy = world.strategy()
    with pytest.raises(ConfigError, match="no round"):
        strategy.report()
    run(strategy, world.grid())
    assert "Refused in round 1: node 104: party-4: ConfigError" in strategy.report()


def test_plans_and_rosters_that_do_not_fit_each_other_are_refused(tmp_path):
    world = World(tmp_path)
    plan = Plan(template=template_of(ARRAYS), parties=4, protocol=secagg(server="semi-honest"), encoding=None)
    with pytest.raises(ConfigError, match="4 parties, the roster has 5"):
        world.strategy(plan)


def test_a_strategy_that_only_borrows_the_averaging_is_refused(tmp_path):
    class Borrowing(Strategy):
        aggregate_train = FedAvg.aggregate_train
        configure_train = configure_evaluate = aggregate_evaluate = summary = lambda self, *_arguments: None

    with pytest.raises(ConfigError, match="Borrowing needs single updates"):
        World(tmp_path).strategy(inner=Borrowing())
