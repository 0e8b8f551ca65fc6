"""A trained model from a file: parameters as arrays, and the kind of model that has tensors of these names and shapes."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Final

import numpy as np

from securefl.errors import ConfigError
from securefl.federated import Model, Params, Perceptron, SoftmaxRegression
from securefl.report.files import read_bytes

_CHECKPOINT: Final = "params/"
_ZIP: Final = b"PK"
_REMEDY: Final = "give model.npz of `securefl run`, its --checkpoint, or parameters saved by numpy.savez"


def read_model(path: str | Path) -> tuple[Model, Params]:
    """Return the model and its parameters: of `model.npz`, of a checkpoint, or of any .npz with such tensors.

    Raises:
        ConfigError: it cannot be read, is no .npz, or holds the tensors of none of the models that `securefl run` trains.
    """
    data = read_bytes(path, what="model", remedy=_REMEDY)
    try:
        if not data.startswith(_ZIP):  # numpy gives a bare array for .npy
            raise ValueError("no archive")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ConfigError(
            f"{path} is no .npz file, or a damaged one: {type(error).__name__}", remedy=_REMEDY
        ) from error
    saved = {name.removeprefix(_CHECKPOINT): leaf for name, leaf in arrays.items() if name.startswith(_CHECKPOINT)}
    params = saved or arrays
    for name, leaf in params.items():
        if not np.issubdtype(leaf.dtype, np.floating):
            raise ConfigError(f"{path}: tensor {name!r} has dtype {leaf.dtype}, needs floats", remedy=_REMEDY)
    return _model(params, str(path)), params


def _model(params: Params, source: str) -> Model:
    shapes = {name: leaf.shape for name, leaf in params.items()}
    if shapes.keys() == {"weight", "bias"} and len(shapes["weight"]) == 2 and min(shapes["weight"]) >= 1:
        features, classes = shapes["weight"]
        if shapes["bias"] == (classes,) and classes >= 2:
            return SoftmaxRegression(features, classes)
    numbers = sorted(int(found[1]) for name in shapes if (found := re.fullmatch(r"layer(\d{1,4})\.weight", name)))
    names = [*(f"layer{number}" for number in numbers), "head"]
    wanted = {f"{name}.{part}" for name in names for part in ("weight", "bias")}
    if numbers and numbers == list(range(len(numbers))) and wanted <= shapes.keys():
        weights = [shapes[f"{name}.weight"] for name in names]
        biases = [shapes[f"{name}.bias"] for name in names]
        if all(len(each) == 2 and min(each) >= 1 for each in weights) and all(len(each) == 1 for each in biases):
            widths = [each[0] for each in biases]
            numpy_like = all(weight[1] == width for weight, width in zip(weights, widths, strict=True))
            torch_like = all(weight[0] == width for weight, width in zip(weights, widths, strict=True))
            others = shapes.keys() - wanted
            if numpy_like and torch_like and len({*widths, *weights[0]}) == 1:
                raise ConfigError(
                    f"{source}: all layers are square, so this may be a model of numpy or of torch",
                    remedy="verify it in Python, with securefl.federated.ownership.verify and your own model",
                )
            if widths[-1] >= 2 and numpy_like and not others:
                return Perceptron(weights[0][0], widths[-1], tuple(widths[:-1]))
            if widths[-1] >= 2 and torch_like and all(name.startswith("bn") for name in others):
                from securefl.torch.network import network  # a ConfigError where torch is not installed

                return network(weights[0][1], widths[-1], tuple(widths[:-1]), batch_norm=bool(others))
    shown = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:6]) or "nothing"
    raise ConfigError(
        f"{source}: no model that `securefl run` trains has these tensors: {shown}",
        remedy="verify a model of your own in Python, with securefl.federated.ownership.verify",
    )
