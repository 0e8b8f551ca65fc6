"""A node trains the round's model and no other, and hands in what the plan is for or nothing."""

from __future__ import annotations

import re

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict

from securefl.flower.arrays import difference
from unit.flower.test_absence import WITHOUT
from unit.flower.test_protocols import ROUNDING
from unit.flower.world import ARRAYS, World, differ, mean_of, run, train


def changed(name, value):
    return ArrayRecord({key: Array(np.asarray(value)) if key == name else array for key, array in ARRAYS.items()})


OTHER_MODELS = {
    "a value": changed("w", ARRAYS["w"].numpy() + np.float32(2**-20)),
    "a shape": changed("w", ARRAYS["w"].numpy().reshape(2, 3)),
    "a dtype": changed("w", ARRAYS["w"].numpy().astype(np.float64)),
    "a name": ArrayRecord({("v" if key == "w" else key): array for key, array in ARRAYS.items()}),
}


@pytest.mark.parametrize("what", [*OTHER_MODELS, "the counter"])
def test_a_server_that_sends_one_node_another_model_is_refused_by_it(what, tmp_path):
    other = changed("batches", np.array(8)) if what == "the counter" else OTHER_MODELS[what]
    world = World(tmp_path)
    strategy, grid = world.strategy(), world.grid()
    send = grid.send_and_receive

    def lying(messages, *, timeout=None):
        messages = list(messages)
        for message in messages:
            if message.metadata.dst_node_id == 102 and "arrays" in message.content:
                message.content["arrays"] = other
        return send(messages, timeout=timeout)

    grid.send_and_receive = lying
    after = run(strategy, grid)
    assert strategy.results[0].survivors == WITHOUT
    assert "party-2: " in str(strategy.failures[1][0])
    assert differ(after, mean_of([0, 1, 3, 4])) <= ROUNDING
    if what in {"a value", "the counter"}:
        assert "not the one that the round is for" in str(strategy.failures[1][0])


@pytest.mark.parametrize("models", [0, 2])
def test_a_train_message_with_no_or_two_models_is_refused(models, tmp_path):
    world = World(tmp_path)
    strategy, grid = world.strategy(), world.grid()
    send = grid.send_and_receive

    def lying(messages, *, timeout=None):
        messages = list(messages)
        for message in messages:
            if message.metadata.dst_node_id == 102 and "arrays" in message.content:
                if models:
                    message.content["more"] = ARRAYS
                else:
                    del message.content["arrays"]
        return send(messages, timeout=timeout)

    grid.send_and_receive = lying
    run(strategy, grid)
    assert f"a train message with {models} models" in str(strategy.failures[1][0])


def odd(name, make, told=None):
    """Training that returns something odd at party-2."""

    def function(message, context):
        reply = train(message, context)
        if context.node_config["number"] != 2:
            return reply
        arrays = dict(reply.content["arrays"].items())
        if name is not None:
            arrays[name] = Array(np.asarray(make(arrays[name].numpy())))
        metrics = {"num-examples": 30, "loss": 0.5} | (told or {})
        metrics = {key: value for key, value in metrics.items() if value is not None}
        return Message(RecordDict({"arrays": ArrayRecord(arrays), "metrics": MetricRecord(metrics)}), reply_to=message)

    return function


def fill(value):
    def make(array):
        array = array.copy()
        array.flat[0] = value
        return array

    return make


def bare(message, context):
    if context.node_config["number"] != 2:
        return train(message, context)
    return Message(RecordDict({"metrics": MetricRecord({"num-examples": 1})}), reply_to=message)


def renamed(message, context):
    reply = train(message, context)
    if context.node_config["number"] == 2:
        arrays = reply.content["arrays"]
        reply.content["arrays"] = ArrayRecord({("v" if key == "w" else key): a for key, a in arrays.items()})
    return reply


def nothing(message, context):
    return None if context.node_config["number"] == 2 else train(message, context)


NO_WEIGHT = "party-2: ConfigError: training returned no num-examples that is a whole number"
ODD = {
    "a shape": (odd("w", lambda array: array.reshape(2, 3)), r"'w': training returned float32 \(2, 3\)"),
    "a dtype": (odd("w", lambda array: array.astype(np.float64)), "'w': training returned float64"),
    "no models": (bare, "training returned 0 models"),
    "a name": (renamed, "training returned other arrays than it was given: v, w"),
    "NaN": (odd("w", fill(np.nan)), "NonFiniteError.*'w'"),
    "infinity": (odd("w", fill(np.inf)), "NonFiniteError.*'w'"),
    "a weight of nothing": (odd(None, None, {"num-examples": None}), NO_WEIGHT),
    "half a weight": (odd(None, None, {"num-examples": 10.5}), NO_WEIGHT),
    "NaN as weight": (odd(None, None, {"num-examples": float("nan")}), NO_WEIGHT),
    "infinite weight": (odd(None, None, {"num-examples": float("inf")}), NO_WEIGHT),
    "too much weight": (odd(None, None, {"num-examples": 101}), "party-2: EncodingError.*1..100"),
    "no weight": (odd(None, None, {"num-examples": 0}), "party-2: EncodingError"),
    "weights": (odd(None, None, {"num-examples": [1, 2]}), NO_WEIGHT),
    "no metric": (odd(None, None, {"loss": None}), "party-2: .*loss"),
    "NaN as metric": (odd(None, None, {"loss": float("nan")}), "party-2: .*loss"),
    "metrics": (odd(None, None, {"loss": [0.1, 0.2]}), "party-2: .*loss"),
    "nothing": (nothing, "training raised AttributeError"),
}


@pytest.mark.parametrize("what", ODD)
def test_training_that_returns_something_odd_is_told_by_name_and_left_out(what, tmp_path):
    function, reason = ODD[what]
    world = World(tmp_path, function=function)
    strategy, grid = world.strategy(), world.grid()
    after = run(strategy, grid)
    assert strategy.results[0].survivors == WITHOUT
    (failure,) = strategy.failures[1]
    assert failure.party == "party-2"
    assert re.search(reason, failure.reason), failure.reason
    assert "10.5" not in failure.reason  # how many examples it has is its secret
    assert "101" not in failure.reason
    assert differ(after, mean_of([0, 1, 3, 4])) <= ROUNDING


def test_a_whole_weight_may_be_a_float(tmp_path):
    world = World(tmp_path, function=odd(None, None, {"num-examples": 30.0, "loss": 0.5}))
    after = run(world.strategy(), world.grid())
    assert differ(after, mean_of(range(5))) <= ROUNDING


def test_training_may_write_into_the_arrays_that_it_was_given(tmp_path):
    """The change is against the model as it came, whatever the app does to the message."""

    def in_place(message, context):
        reply = train(message, context)
        message.content["arrays"] = reply.content["arrays"]
        return reply

    world = World(tmp_path, function=in_place)
    after = run(world.strategy(), world.grid())
    assert differ(after, mean_of(range(5))) <= ROUNDING


def test_a_change_beyond_its_dtype_is_infinite_and_refused_later_not_a_warning():
    far = {"w": np.array([3e38], np.float32)}
    assert np.isinf(difference(far, {"w": -far["w"]})["w"]).all()
