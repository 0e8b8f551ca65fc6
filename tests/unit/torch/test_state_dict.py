"""Any `state_dict` to an update and back, through real sums."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import securefl as sfl
from securefl.encoding.layout import Layout
from securefl.errors import EncodingError, LayoutMismatchError, NonFiniteError
from securefl.torch import everything, from_update, load_update, parameters_of, template_of, to_update

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
OTHERS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint64)
EXOTIC = (torch.float8_e4m3fn, torch.float8_e5m2)
KEYS = st.text(st.sampled_from("ab.0_/[]%é"), min_size=1, max_size=6)


def bits(tensor):
    plain = torch.empty(tensor.numel(), dtype=tensor.dtype).copy_(tensor.detach().reshape(-1))
    return plain.view(torch.uint8).tolist() if tensor.numel() else []


def same(left, right):
    return left.dtype == right.dtype and left.shape == right.shape and bits(left) == bits(right)


@st.composite
def tensors(draw):
    """Any bytes as a tensor of any dtype: contiguous, transposed, every second element, or expanded."""
    dtype = draw(st.sampled_from(FLOATS + OTHERS + EXOTIC))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    size = int(np.prod(shape)) * dtype.itemsize
    data = draw(st.binary(min_size=size, max_size=size))
    if dtype is torch.bool:
        data = bytes(byte & 1 for byte in data)
    plain = (
        torch.tensor(list(data), dtype=torch.uint8).view(dtype).reshape(shape) if size else torch.empty(shape).to(dtype)
    )
    match draw(st.sampled_from(("plain", "transposed", "strided", "expanded"))):
        case "transposed":
            return plain.T if plain.ndim == 2 else plain
        case "strided" if plain.ndim:
            return torch.stack([plain, plain], dim=-1).flatten(-2)[..., ::2]
        case "expanded":
            return plain.expand(2, *plain.shape)
    return plain


def is_nan(tensor):
    return tensor.is_floating_point() and bool(tensor.float().isnan().any())


@given(st.dictionaries(KEYS, tensors(), min_size=1, max_size=5))
def test_any_state_dict_returns_in_every_bit_dtype_and_shape(state):
    template = template_of(state, select=everything)
    update = to_update(state, template)
    assert Layout.of(update) == Layout.from_template(template)
    back = from_update(update, {name: torch.zeros_like(tensor) for name, tensor in state.items()})
    assert list(back) == list(state)
    for name, tensor in state.items():
        # The payload of a NaN may change where bfloat16 travels as float32; the pipeline refuses NaNs anyway.
        assert same(back[name], tensor) or is_nan(tensor)
        assert back[name].shape == tensor.shape
    assert to_update(state, Layout.from_template(template)).keys() == update.keys()


LAYERS = st.sampled_from(
    (
        lambda: nn.Linear(3, 3),
        lambda: nn.Linear(3, 3, bias=False),
        lambda: nn.BatchNorm1d(3),
        lambda: nn.GroupNorm(1, 3),
        lambda: nn.LayerNorm(3),
        lambda: nn.Embedding(4, 3),
        lambda: nn.Conv1d(3, 2, 2),
        lambda: nn.LSTM(3, 2, bidirectional=True),
        lambda: nn.MultiheadAttention(4, 2),
        nn.PReLU,
        nn.ReLU,
    )
)


def scrambled(layers, dtypes, seed):
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(*(make().to(dtype) for make, dtype in zip(layers, dtypes, strict=True)))
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator))
        else:
            tensor.fill_(seed)
    return model


@given(st.lists(st.tuples(LAYERS, st.sampled_from(FLOATS)), min_size=1, max_size=5))
def test_a_model_takes_over_all_floats_of_another_and_keeps_its_counters(chosen):
    layers, dtypes = zip(*chosen, strict=True)
    source, target = scrambled(layers, dtypes, 1), scrambled(layers, dtypes, 2)
    state = source.state_dict()
    if not any(tensor.is_floating_point() for tensor in state.values()):
        with pytest.raises(EncodingError, match="no tensor travels"):
            template_of(source)
        return
    load_update(target, to_update(source))
    for name, tensor in target.state_dict().items():
        if tensor.is_floating_point():
            assert same(tensor, state[name])
        else:
            assert int(tensor) == 2


def net(seed, dtype=torch.float32):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).to(dtype)


class Tied(nn.Module):
    """A language model's embedding and output, which share their weight, and a scale without axes."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = nn.Embedding(5, 3)
        self.decoder = nn.Linear(3, 5, bias=False)
        self.decoder.weight = self.embedding.weight
        self.scale = nn.Parameter(torch.tensor(float(seed)))
        self.register_buffer("seen", torch.tensor(7))
        self.register_buffer("mask", torch.tensor([True, False]))

    def get_extra_state(self):
        return {"note": "no tensor"}

    def set_extra_state(self, state):
        assert state == {"note": "no tensor"}


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_mean_of_models_through_a_secure_sum_loads_back(dtype):
    models = {f"party-{i}": net(i, dtype) for i in range(4)}
    template = template_of(models["party-0"])
    plan = sfl.Plan(template=template, parties=4, encoding=sfl.FixedPoint(value_bits=24, bound=4.0))
    result = sfl.aggregate({name: to_update(model, template) for name, model in models.items()}, plan)
    target = net(9, dtype)
    load_update(target, result.mean)
    for name, tensor in target.state_dict().items():
        parts = [model.state_dict()[name].double() for model in models.values()]
        if not tensor.is_floating_point():
            assert int(tensor) == 0
            continue
        assert tensor.dtype == dtype
        assert tensor.shape == parts[0].shape
        mean = torch.stack(parts).mean(dim=0)
        assert ((tensor.double() - mean).abs() <= plan.encoding.error_bound + mean.abs() * torch.finfo(dtype).eps).all()
    again = to_update(target, plan.layout)
    for name, array in result.mean.items():
        assert (again[name].dtype, again[name].shape) == (array.dtype, array.shape)
        if dtype is not torch.bfloat16:  # which has fewer digits than what it travels as
            assert again[name].tobytes() == array.tobytes()


def test_differences_travel_and_are_added_to_the_model_that_they_start_from():
    start = net(0)
    models = {f"party-{i}": net(i + 1) for i in range(3)}
    updates = {name: to_update(model, reference=start) for name, model in models.items()}
    plan = sfl.Plan.for_updates(updates, encoding=sfl.FixedPoint(value_bits=24, bound=4.0))
    result = sfl.aggregate(updates, plan)
    target = net(5)
    load_update(target, result.mean, reference=start.state_dict())
    for name, tensor in target.state_dict().items():
        mean = torch.stack([model.state_dict()[name].double() for model in models.values()]).mean(dim=0)
        if tensor.is_floating_point():
            assert (tensor - mean).abs().max() < plan.encoding.error_bound + 1e-6


def test_tied_weights_travel_once_and_are_restored_to_both_names():
    source, target = Tied(1), Tied(2)
    template = template_of(source)
    assert template == {"decoder.weight": ((5, 3), "float32"), "scale": ((), "float32")}
    load_update(target, to_update(source, template))
    assert target.decoder.weight is target.embedding.weight
    assert torch.equal(target.embedding.weight, source.embedding.weight)
    assert target.scale == 1.0
    state = from_update(to_update(source), target.state_dict())
    assert state["embedding.weight"] is state["decoder.weight"]
    assert state["_extra_state"] == {"note": "no tensor"}


def test_tied_weights_travel_when_any_of_their_names_is_selected():
    select = lambda name, _: name == "embedding.weight"  # noqa: E731 - as a user writes it
    assert list(template_of(Tied(), select=select)) == ["decoder.weight"]


def test_two_values_for_tied_weights_are_refused():
    update = to_update(Tied()) | {"embedding.weight": np.zeros((5, 3), np.float32)}
    with pytest.raises(LayoutMismatchError, match=r"'embedding.weight'.*beside 'decoder.weight'"):
        load_update(Tied(), update)


def test_counters_and_masks_are_local_unless_they_are_selected():
    model = Tied(1)
    assert {"seen", "mask"}.isdisjoint(template_of(model))
    template = template_of(model, select=everything)
    assert (template["seen"], template["mask"]) == (((), "int64"), ((2,), "bool"))
    updates = {str(i): to_update(Tied(i), template) for i in range(3)}
    target = Tied(5)
    target.seen.zero_()
    load_update(target, sfl.aggregate(updates, sfl.Plan.for_updates(updates)).mean)
    assert (target.seen.item(), target.seen.dtype, target.mask.tolist()) == (7, torch.int64, [True, False])


def test_running_statistics_are_averaged_by_default_and_local_where_only_parameters_are_selected():
    assert {"1.running_mean", "1.running_var"} <= template_of(net(0)).keys()
    model = net(0)
    model[0].weight.requires_grad = False
    assert template_of(model, select=parameters_of(model)).keys() == {
        "0.bias",
        "1.weight",
        "1.bias",
        "2.weight",
        "2.bias",
    }


@pytest.mark.parametrize(
    ("model", "select", "tensor"),
    [(net(0), everything, "1.num_batches_tracked"), (Tied(), everything, "mask"), (net(0), None, "1.running_var")],
)
def test_what_noise_would_spoil_does_not_travel_under_privacy(model, select, tensor):
    chosen = {} if select is None else {"select": select}
    assert tensor in template_of(model, **chosen)
    with pytest.raises(EncodingError, match="Remedy: keep it local") as caught:
        template_of(model, private=True, **chosen)
    assert caught.value.tensor == tensor
    template_of(model, private=True, select=parameters_of(model))


def test_an_update_is_a_copy():
    model = net(0)
    update = to_update(model)
    before = {name: array.copy() for name, array in update.items()}
    with torch.no_grad():
        model[0].weight.fill_(7)
    for name, array in update.items():
        np.testing.assert_array_equal(array, before[name])
    load_update(model, update)
    update["0.weight"][:] = 9
    assert not (model[0].weight == 9).any()


def test_a_nan_is_refused_by_name_before_anything_is_sent():
    models = {str(i): net(i) for i in range(3)}
    with torch.no_grad():
        models["1"][2].bias[1] = torch.nan
    updates = {name: to_update(model) for name, model in models.items()}
    with pytest.raises(NonFiniteError, match=r"2\.bias"):
        sfl.aggregate(updates, sfl.Plan.for_updates(updates))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda tree: tree | {"0.weight": np.zeros((4, 2), np.float32)}, r"expected shape \(4, 3\), came \(4, 2\)"),
        (lambda tree: tree | {"0.weight": np.zeros((4, 3))}, "expected dtype float32, came float64"),
        (lambda tree: tree | {"3.weight": np.zeros(2)}, "'3.weight': expected no such tensor"),
        (lambda tree: tree | {"0.weight": "text"}, "'0.weight' is of type"),
        (lambda tree: tree | {"0.weight": [np.zeros(3)]}, "not of a state_dict"),
        (lambda tree: [tree], "not of a state_dict"),
    ],
)
def test_a_tree_that_does_not_fit_is_refused_and_nothing_is_loaded(change, complaint):
    model = net(0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(EncodingError, match=complaint):
        load_update(model, change(to_update(net(1))))
    assert all(same(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_sum_in_place_of_the_mean_is_refused():
    updates = {str(i): to_update(net(i)) for i in range(3)}
    result = sfl.aggregate(updates, sfl.Plan.for_updates(updates))
    with pytest.raises(LayoutMismatchError, match="of a result give `mean`"):
        load_update(net(0), result.sum)


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (nn.Linear(3, 4), "'0.bias': expected float32.*came no such tensor"),
        (nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), r"'0.weight': expected shape \(4, 3\)"),
        (net(0, torch.float64), "'0.bias': expected dtype float32, came float64"),
    ],
)
def test_another_model_than_the_templates_is_refused(model, complaint):
    with pytest.raises(LayoutMismatchError, match=complaint):
        to_update(model, template_of(net(0)))


@pytest.mark.parametrize(
    ("tensor", "what"),
    [
        (torch.zeros(2, dtype=torch.complex64), "complex64"),
        (torch.zeros(2, 2).to_sparse(), "sparse"),
        (torch.zeros(2, device="meta"), "meta"),
    ],
)
def test_what_cannot_travel_is_named_and_may_stay_local(tensor, what):
    state = {"w": torch.ones(2), "odd": tensor}
    with pytest.raises(EncodingError, match=f"'odd'.*{what}") as caught:
        template_of(state, select=everything)
    assert caught.value.tensor == "odd"
    template = template_of(state, select=lambda name, _: name == "w")
    assert from_update(to_update(state, template), state)["odd"] is tensor


def test_differences_of_integers_are_refused():
    model = Tied()
    template = template_of(model, select=everything)
    with pytest.raises(EncodingError, match="'mask'"):
        to_update(model, template, reference=model)
    with pytest.raises(EncodingError, match="'mask'"):
        load_update(model, {"mask": np.array([True, True])}, reference=model)


def test_a_difference_beyond_float16_is_infinite_and_not_wrong():
    big, small = ({"w": torch.tensor([value], dtype=torch.float16)} for value in (60000.0, -60000.0))
    assert to_update(big, reference=small)["w"][0] == np.inf


def test_a_template_of_something_else_is_refused():
    with pytest.raises(LayoutMismatchError, match="not of a state_dict"):
        to_update(net(0), {"nested": {"w": ((3,), "float32")}})


def python(code):
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_torch_the_error_says_how_to_install_it():
    code = (
        "import sys\nsys.modules['torch'] = None\nimport securefl\n"
        "try:\n    import securefl.torch\nexcept securefl.ConfigError as error:\n    print(error)"
    )
    assert "needs torch, which is not installed. Remedy: pip install 'securefl[torch]'" in python(code)


def test_the_adapter_alone_does_not_import_opacus():
    assert (
        python("import sys, securefl.torch\nprint('torch' in sys.modules, 'opacus' in sys.modules)") == "True False\n"
    )
