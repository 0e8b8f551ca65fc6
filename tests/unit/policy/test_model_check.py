"""ModelFloors: what is planted is refused by name, what is honest passes."""

from __future__ import annotations

import dataclasses
from importlib import resources

import numpy as np
import pytest

from securefl.errors import ConfigError, EncodingError, PolicyRefusedError
from securefl.federated import FedAvg, Federation, digits, dirichlet
from securefl.federated.models import Perceptron, SoftmaxRegression
from securefl.policy import ClientPolicy, ModelFloors
from securefl.policy.alike import ALIKE_PAIRS, alike, allowed_alike, common_share
from securefl.policy.layers import hidden, layers_of
from securefl.threats.imprint import Imprint

MODEL = Perceptron(64, 10, (64, 32))
POLICY = ClientPolicy()
CROWD = Imprint(0.3, 0.05)


def refused(params, floor, policy=POLICY, examples=None):
    with pytest.raises(PolicyRefusedError) as refusal:
        policy.check_model(params, examples)
    assert refusal.value.floor == floor
    return refusal.value


def honest(seed=0):
    return MODEL.initial(seed)


def torch_like(params):
    """The same as torch names and lays it out: units first, names sorted."""
    return {name: leaf.T.copy() for name, leaf in sorted(params.items())}


def test_the_imprint_attack_is_refused_by_name_and_line():
    refusal = refused(CROWD.plant(MODEL), "refuse_identical_units")
    assert "64 of 64 units of 'layer0.weight' are equal up to a factor" in refusal.message
    assert refusal.line == "model.refuse_identical_units (default)"
    policy = ClientPolicy.from_toml("min_parties = 3\n[model]\nrefuse_identical_units = true\n")
    assert refused(CROWD.plant(MODEL), "refuse_identical_units", policy).line == "line 3: refuse_identical_units = true"


@pytest.mark.parametrize("layer", ["layer0.weight", "layer1.weight"])
@pytest.mark.parametrize("laid_out", [dict, torch_like], ids=["numpy", "torch"])
@pytest.mark.parametrize("scale", ["equal", "positive", "of both signs"])
def test_equal_units_are_found_in_any_hidden_layer_of_either_orientation_up_to_a_factor(layer, laid_out, scale):
    params, rng = honest(), np.random.default_rng(1)
    inputs, units = params[layer].shape
    factor = np.ones(units) if scale == "equal" else rng.uniform(0.1, 10, units)
    if scale == "of both signs":
        factor *= rng.choice([-1, 1], units)
    params[layer] = (0.1 * rng.standard_normal((inputs, 1)) * factor).astype(np.float32)
    assert layer in refused(laid_out(params), "refuse_identical_units").message


@pytest.mark.parametrize("laid_out", [dict, torch_like], ids=["numpy", "torch"])
def test_two_equal_units_among_honest_ones_are_enough(laid_out):
    params = honest()
    params["layer0.weight"][:, 41] = -3 * params["layer0.weight"][:, 7]
    assert "2 of 64 units" in refused(laid_out(params), "refuse_identical_units").message


def test_equal_filters_of_a_convolution_are_found():
    rng = np.random.default_rng(0)
    params = {
        "1.weight": rng.standard_normal((16, 3, 3, 3)).astype(np.float32),
        "1.bias": np.zeros(16, np.float32),
        "4.weight": rng.standard_normal((10, 16 * 36)).astype(np.float32),
        "4.bias": np.zeros(10, np.float32),
    }
    POLICY.check_model(params)
    params["1.weight"][5] = params["1.weight"][2]
    assert "2 of 16 units of '1.weight'" in refused(params, "refuse_identical_units").message
    keras = {name: np.moveaxis(leaf, 0, -1) if leaf.ndim > 1 else leaf for name, leaf in params.items()}
    assert "2 of 16 units of '1.weight'" in refused(keras, "refuse_identical_units").message


@pytest.mark.parametrize("jitter", [0.01, 0.1, 0.3, 0.6])
def test_planted_units_with_some_jitter_are_found(jitter):
    planted = dataclasses.replace(CROWD, jitter=jitter).plant(Perceptron(64, 10, (256,)))
    with pytest.raises(PolicyRefusedError, match="sort a party's examples into bins") as refusal:
        POLICY.check_model(planted)
    assert refusal.value.floor in {"max_alignment", "max_common_direction"}


def test_one_common_direction_is_found_where_no_two_units_are_near():
    planted = dataclasses.replace(CROWD, jitter=0.8).plant(Perceptron(64, 10, (32,)))
    rows = planted["layer0.weight"].T.astype(float)
    assert alike(rows, 0.95) == (0, 0)
    assert "one direction is 0." in refused(planted, "max_common_direction").message


def test_dead_units_are_counted_in_the_weights():
    params = honest()
    params["layer0.weight"][:, :32] = 0
    POLICY.check_model(params)  # half is allowed
    params["layer0.weight"][:, 32] = 0
    assert "33 of 64 units of 'layer0.weight' have no weights" in refused(params, "max_dead_units").message


def test_dead_units_are_counted_on_this_party_s_examples():
    """Trap weights: units that hardly ever act carry single examples."""
    params = honest()
    examples = np.random.default_rng(0).uniform(0, 1, (40, 8, 8))
    POLICY.check_model(params, examples)
    params["layer0.bias"] -= 100
    POLICY.check_model(params)  # the weights alone do not show it
    POLICY.check_model(params, examples[:31])  # nor do few examples
    refusal = refused(params, "max_dead_units", examples=examples)
    assert "64 of 64 units of 'layer0.weight' act on none of this party's 40 examples" in refusal.message
    refused(torch_like(params), "max_dead_units", examples=examples)


def test_outsized_weights_are_refused():
    params = honest()
    params["layer1.weight"] *= 1000
    assert "'layer1.weight' have a root mean square of" in refused(params, "max_weight_rms").message
    norm = float(np.sqrt(sum(np.square(leaf.astype(float)).sum() for leaf in honest().values() if leaf.ndim > 1)))
    ClientPolicy(model=ModelFloors(max_model_norm=norm * 1.001)).check_model(honest())
    refused(honest(), "max_model_norm", ClientPolicy(model=ModelFloors(max_model_norm=norm * 0.999)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["layer0.weight", "head.bias"])
def test_what_is_not_finite_is_refused_whatever_the_floors(name, value):
    lenient = ModelFloors(refuse_identical_units=False, max_dead_units=1.0, max_weight_rms=1e300, exempt=("*",))
    params = honest()
    params[name].flat[3] = value
    assert repr(name) in refused(params, "finite", ClientPolicy(model=lenient)).message


@pytest.mark.parametrize("seed", range(3))
def test_models_as_they_begin_pass(seed):
    for hidden_widths in ((32,), (256, 32), (5,), (64, 64), (2,), (1,)):
        for features, classes in ((64, 10), (30, 2), (4, 3), (1, 2), (64, 8)):
            POLICY.check_model(Perceptron(features, classes, hidden_widths).initial(seed))
    POLICY.check_model(SoftmaxRegression(64, 10).initial(seed))
    POLICY.check_model(SoftmaxRegression(10, 10).initial(seed))


def test_a_head_of_equal_classes_passes_and_a_hidden_layer_of_equal_units_does_not():
    """Classes that nobody has stay equal in a head that began at zero."""
    params = honest()
    params["head.weight"][:, 5:] = params["head.weight"][:, 5:6]
    POLICY.check_model(params)
    params["head.weight"][:] = 0
    POLICY.check_model(params)
    assert [layer.name for layer in hidden(layers_of(params))] == ["layer0.weight", "layer1.weight"]
    assert [layer.name for layer in hidden(layers_of(torch_like(params)))] == ["layer0.weight", "layer1.weight"]


def test_lists_of_arrays_without_names_are_checked_too():
    """As Flower's NumPyClient has them."""
    good = list(honest().values())
    POLICY.check_model(good)
    bad = list(CROWD.plant(MODEL).values())
    assert "'[0]'" in refused(bad, "refuse_identical_units").message


def test_counters_and_flags_and_empty_tensors_are_no_layers():
    POLICY.check_model(
        {**honest(), "n": np.ones((40, 40), np.int64), "f": np.ones((40, 40), bool), "e": np.ones((0, 9))}
    )


def test_an_exempt_tensor_is_left_out_of_the_floors_on_units_only():
    policy = ClientPolicy.from_toml('[model]\nexempt = ["layer*"]\n')
    policy.check_model(CROWD.plant(MODEL))
    params = honest()
    params["layer0.weight"] *= 1000
    refused(params, "max_weight_rms", policy)


def test_the_refusal_of_a_layer_says_how_to_leave_it_out_and_that_works():
    """Positions by sines, a normalisation over several axes, items of a list: honest, and refused until they are exempt."""
    angles = np.arange(128)[:, None] / 10000 ** (np.arange(0, 64, 2) / 64)
    head = np.random.default_rng(0).standard_normal((2, 64))
    for model, name in (
        ({"pos": np.concatenate([np.sin(angles), np.cos(angles)], axis=1), "head.weight": head}, "pos"),
        ({"norm.weight": np.ones((16, 8, 8)), "norm.bias": np.zeros((16, 8, 8)), "head.weight": head}, "norm.weight"),
        (list(CROWD.plant(MODEL).values()), "[0]"),
    ):
        with pytest.raises(PolicyRefusedError) as refusal:
            POLICY.check_model(model)
        assert f"put {name!r} into `exempt` of [model]" in refusal.value.message
        left_out = [name, "[2]"] if name == "[0]" else [name]
        ClientPolicy(model=ModelFloors(exempt=tuple(left_out))).check_model(model)


def test_layers_that_begin_at_zero_pass():
    """Adapters, shifts, a class token, the last layer of one of several branches: half of a layer's units at zero is another thing."""
    params = torch_like(honest())
    params.update({"lora.A": 0.1 * honest()["layer1.weight"].T[:4], "lora.B": np.zeros((64, 4), np.float32)})
    params.update({"shift": np.zeros((16, 8, 8), np.float32), "token": np.zeros((1, 1, 32), np.float32)})
    POLICY.check_model(params)
    params["lora.B"][3] = 1
    assert "63 of 64 units of 'lora.B'" in refused(params, "max_dead_units").message


@pytest.mark.parametrize(("features", "width"), [(8, 2048), (8, 4096), (9, 4096), (13, 4096), (7, 4096)])
def test_wide_layers_of_few_inputs_pass(features, width):
    """By chance a few of so many units are nearly alike."""
    for seed in range(2):
        POLICY.check_model(Perceptron(features, 2, (width,)).initial(seed))


@pytest.mark.parametrize("units", [3, 64, 256])
def test_chance_excuses_nothing_in_layers_of_usual_width(units):
    for inputs in (*range(10, 32), 32, 784):
        assert allowed_alike(units, inputs, 0.95) == ALIKE_PAIRS


def test_a_model_that_passed_is_not_asked_again_and_another_is():
    params = honest()
    POLICY.check_model(params)
    params["layer0.weight"][:] = params["layer0.weight"][:, :1]
    refused(params, "refuse_identical_units")
    refused(params, "refuse_identical_units")
    lenient = ClientPolicy(model=ModelFloors(exempt=("*",)))
    lenient.check_model(params)
    refused(params, "refuse_identical_units")
    POLICY.check_model(honest())
    refused(honest(), "max_model_norm", ClientPolicy(model=ModelFloors(max_model_norm=0.1)))
    quiet = honest()
    quiet["layer0.bias"] -= 100
    POLICY.check_model(quiet)
    refused(quiet, "max_dead_units", examples=np.random.default_rng(0).uniform(0, 1, (40, 64)))


def test_a_wide_layer_of_many_inputs_is_told_apart_by_a_sketch():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((1100, 1100))
    assert alike(rows, 0.95) == (0, 0)
    rows[900] = -0.01 * rows[17]
    rows[[4, 5, 6]] = rows[3] + 0.1 * rng.standard_normal((3, 1100))
    assert alike(rows, 0.95) == (2, 6)


def test_the_share_of_a_common_direction_is_an_eigenvalue():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((40, 20)) + 2 * rng.standard_normal(20)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert common_share(rows) == pytest.approx(np.linalg.eigvalsh(unit.T @ unit / 40)[-1], rel=1e-6)
    assert common_share(np.outer(rng.standard_normal(40), rows[0])) == pytest.approx(1)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("max_alignment = 1.5", "max_alignment is 1.5"),
        ("max_dead_units = -0.1", "max_dead_units is -0.1"),
        ("max_dead_units = nan", "max_dead_units is nan"),
        ('refuse_identical_units = "yes"', "refuse_identical_units is 'yes'"),
        ("max_weight_rms = true", "max_weight_rms is True"),
        ("max_model_norm = 0", "max_model_norm is 0"),
        ("max_common_direction = 0", "max_common_direction is 0"),
        ("exempt = [3]", "exempt is [3]"),
        ('exempt = "head"', "exempt is 'head'"),
        ("max_weight_rms = 1" + "0" * 400, "max_weight_rms is"),
        ("max_modal_norm = 3", "unknown key 'max_modal_norm'"),
    ],
)
def test_a_floor_that_cannot_be_is_named_with_its_line(line, part):
    with pytest.raises(ConfigError) as error:
        ClientPolicy.from_toml(f"min_parties = 5\n[model]\n{line}\n", source="policy.toml")
    assert part in error.value.message
    assert f"line 3: {line}" in error.value.message
    assert "policy.toml" in error.value.message


def test_a_policy_takes_nothing_else_for_its_floors():
    with pytest.raises(ConfigError, match=r"'model' is 3 .*Remedy: give a table"):
        ClientPolicy.from_toml("model = 3\n")
    with pytest.raises(ConfigError, match="model is None"):
        ClientPolicy(model=None)
    with pytest.raises(EncodingError):
        POLICY.check_model({"w": "text"})


def test_the_floors_are_part_of_the_policy_s_digest():
    assert ClientPolicy().digest() != ClientPolicy(model=ModelFloors(max_weight_rms=5.0)).digest()
    assert ClientPolicy().digest() == ClientPolicy(model=ModelFloors()).digest()
    same = ClientPolicy.from_toml("[model]\nmax_weight_rms = 10\nmax_alignment = 0.95\n")
    assert same.digest() == ClientPolicy().digest()
    zero = [ClientPolicy(model=ModelFloors(max_dead_units=value)).digest() for value in (0, 0.0, -0.0)]
    assert len(set(zero)) == 1


def test_the_models_of_some_rounds_pass():
    models = list(trainings([Perceptron(64, 10, (32,))], seeds=2, rounds=2))
    assert len(models) == 6
    for params in models:
        POLICY.check_model(params)


@pytest.mark.heavy
def test_two_hundred_honest_models_of_normal_runs_pass_and_each_with_a_planted_layer_does_not():
    """Perceptrons in numpy, networks in torch with and without normalisation, a convolution; five seeds, skewed labels."""
    pytest.importorskip("torch")
    import torch
    from torch import nn

    from securefl.torch.model import TorchModel
    from securefl.torch.network import network

    torch.set_num_threads(1)

    def convolution():
        layers = nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 10)
        return nn.Sequential(nn.Flatten(), *layers)

    models = [
        Perceptron(64, 10, (32,)),
        Perceptron(64, 10, (128, 32)),
        network(64, 10, (32,), batch_norm=False),
        network(64, 10, (64, 32), batch_norm=True),
        TorchModel(convolution, classes=10),
    ]
    count = 0
    for params in trainings(models, seeds=5, rounds=8):
        POLICY.check_model(params)
        count += 1
        name = max((name for name in params if params[name].ndim > 1), key=lambda name: params[name].size)
        if params[name].ndim == 2 and "head" not in name and name.startswith("layer"):
            planted = dict(params)
            axis = 0 if len(params[name.replace("weight", "bias")]) == params[name].shape[1] else 1
            planted[name] = np.ones_like(params[name]) * params[name].take([0], axis=1 - axis)
            refused(planted, "refuse_identical_units")
    assert count == 225


def trainings(models, seeds, rounds):
    """The models of every round, the first included."""
    for seed in range(seeds):
        train, test = digits(seed)
        clients = {f"p{i}": train.subset(part) for i, part in enumerate(dirichlet(train.y, 8, 0.5, seed))}
        for model in models:
            fed = Federation(model, clients, plan=None, algorithm=FedAvg(1, 16, 0.1), test=test, seed=seed)
            yield fed.params
            for _ in range(rounds):
                fed.fit(1)
                yield fed.params


def test_the_starter_policy_s_commented_floors_are_the_defaults():
    text = resources.files("securefl.cli").joinpath("starter/policy.toml").read_text(encoding="utf-8")
    head, table = text.split("# [model]")
    read = ClientPolicy.from_toml(head + "[model]" + table.replace("\n# ", "\n"))
    assert read.model == ModelFloors(max_model_norm=100.0)
    assert ClientPolicy.from_toml(text).model == ModelFloors()
