"""A malicious server sends a model that is made to carry a party's examples through the sum."""

from __future__ import annotations

import numpy as np
import pytest

from securefl import ClientPolicy, ModelFloors, Perceptron, Plan, PolicyRefusedError, Roster, SecAggClient
from securefl.threats.imprint import Imprint

MODEL = Perceptron(64, 10, (64, 32))
CROWD = Imprint(0.3, 0.05)
POLICY = ClientPolicy()


def honest():
    return MODEL.initial(0)


def refuses(params, floor, policy=POLICY, examples=None):
    with pytest.raises(PolicyRefusedError) as error:
        policy.check_model(params, examples)
    assert error.value.floor == floor


def test_honest_models_pass():
    """The control, in both orientations."""
    POLICY.check_model(honest())
    POLICY.check_model({name: leaf.T for name, leaf in sorted(honest().items())})


def test_the_imprint_in_the_first_layer():
    refuses(CROWD.plant(MODEL), "refuse_identical_units")


@pytest.mark.parametrize("order", [sorted, reversed, list])
@pytest.mark.parametrize("layer", ["layer0.weight", "layer1.weight"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("sign", [1, -1])
def test_two_equal_units_anywhere(layer, order, transposed, sign):
    params = honest()
    params[layer][:, 11] = sign * 2 * params[layer][:, 4]
    if transposed:
        params = {name: leaf.T for name, leaf in params.items()}
    refuses({name: params[name] for name in order(list(params))}, "refuse_identical_units")


def test_two_heads_are_no_way_around():
    """A second tensor that feeds no other does not make two exempt."""
    params = {
        **CROWD.plant(MODEL),
        "zenith.weight": np.random.default_rng(0).standard_normal((33, 7)).astype(np.float32),
    }
    params["layer1.weight"] = honest()["layer1.weight"]
    params["head.weight"][:] = params["head.weight"][:, :1]
    refuses(params, "refuse_identical_units")
    params["layer0.weight"] = honest()["layer0.weight"]
    refuses(params, "refuse_identical_units")


def blocks(units=256, kinds=8):
    """Units of a few directions, each some thirty times: a row an input, as in `Perceptron`."""
    rng = np.random.default_rng(0)
    return 0.1 * rng.standard_normal((64, kinds)).astype(np.float32)[:, np.arange(units) * kinds // units]


def test_a_tensor_beside_it_that_names_the_wrong_axis_is_no_way_around():
    """What shares a prefix with a weight is the server's choice: it may say that the inputs were the units."""
    honest = Perceptron(64, 10, (256,)).initial(0)
    rest = {"later.bias": honest["layer0.bias"], "head.weight": honest["head.weight"], "head.bias": honest["head.bias"]}
    beside = {"layer0.scale": np.ones(64, np.float32)}
    POLICY.check_model({"layer0.weight": honest["layer0.weight"], **beside, **rest})
    refuses({"layer0.weight": blocks(), **beside, **rest}, "refuse_identical_units")


def test_a_stack_of_one_matrix_is_no_way_around():
    honest = Perceptron(64, 10, (256,)).initial(0)
    for leaf, expected in ((honest["layer0.weight"], None), (blocks(), "refuse_identical_units")):
        params = {"w": leaf.T[None], "b": honest["layer0.bias"][None], "head.weight": honest["head.weight"]}
        if expected is None:
            POLICY.check_model(params)
        else:
            refuses(params, expected)


def test_units_that_are_nearly_equal():
    rng, params = np.random.default_rng(0), honest()
    params["layer0.weight"][:, :8] = params["layer0.weight"][:, :1] * (1 + 0.1 * rng.standard_normal((64, 8)))
    refuses(params, "max_alignment")


def test_units_off_a_common_direction():
    refuses(Imprint(0.3, 0.05, jitter=0.8).plant(Perceptron(64, 10, (32,))), "max_common_direction")


def test_trap_weights_which_hardly_ever_act():
    params = honest()
    params["layer0.bias"] -= 100
    refuses(params, "max_dead_units", examples=np.random.default_rng(0).uniform(0, 1, (64, 64)))
    params = honest()
    params["layer1.weight"][:, :20] = 0
    refuses(params, "max_dead_units")


def test_outsized_weights():
    params = honest()
    params["layer0.weight"] *= 1000
    refuses(params, "max_weight_rms")
    refuses(honest(), "max_model_norm", ClientPolicy(model=ModelFloors(max_model_norm=1.0)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite(value):
    params = honest()
    params["head.bias"][2] = value
    refuses(params, "finite")


def test_an_update_of_such_a_model_is_not_handed_in():
    roster = Roster.unsigned(f"p{i}" for i in range(4))
    planted = CROWD.plant(MODEL)
    client = SecAggClient("p0", roster=roster, policy=ClientPolicy(server="semi-honest"))
    update = {name: np.zeros_like(leaf) for name, leaf in planted.items()}
    with pytest.raises(PolicyRefusedError):
        client.submit(update, model=planted)
    assert client._submission is None
    client.submit(update, model=honest())
    assert client._submission is not None


@pytest.fixture
def flower(tmp_path):
    pytest.importorskip("flwr")
    from flwr.app import Array, ArrayRecord

    from securefl.flower import template_of
    from unit.flower.world import World, run, train

    seen = []

    def watched(message, context):
        seen.append(context.node_config["number"])
        return train(message, context)

    def play(params, policy='server = "active"\n'):
        seen.clear()
        arrays = ArrayRecord({name: Array(leaf) for name, leaf in params.items()})
        world = World(tmp_path, function=watched, policy=policy)
        plan: Plan = world.plan(template=template_of(arrays))
        grid = world.grid()
        run(world.strategy(plan), grid, arrays=arrays)
        return sorted(seen), [reply.error.reason for _, reply in grid.seen if reply.has_error()]

    return play


def test_a_flower_node_does_not_even_train_on_it(flower):
    trained, refusals = flower(honest())
    assert trained == [0, 1, 2, 3, 4]
    assert refusals == []
    trained, refusals = flower(CROWD.plant(MODEL))
    assert trained == []
    assert len(refusals) == 5
    assert all("PolicyRefusedError: the model: 64 of 64 units of 'layer0.weight'" in reason for reason in refusals)


def test_a_flower_node_goes_by_its_own_floors(flower):
    trained, refusals = flower(honest(), 'server = "active"\n[model]\nmax_model_norm = 1.0\n')
    assert trained == []
    assert all("line 3: max_model_norm = 1.0" in reason for reason in refusals)
    trained, refusals = flower(CROWD.plant(MODEL), 'server = "active"\n[model]\nexempt = ["*"]\n')
    assert trained == [0, 1, 2, 3, 4]
