"""The network of `[model] kind = "torch-mlp"`; imported when it is asked for, since it brings torch with it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
import torch

from securefl.federated.datasets import Dataset
from securefl.torch.model import TorchModel
from securefl.torch.policy import TorchPolicy


def network(features: int, classes: int, hidden: tuple[int, ...], *, batch_norm: bool) -> TorchModel:
    """A multilayer perceptron: layer0, bn0, relu0, layer1, ..., head.

    Args:
        features: d.
        classes: k.
        hidden: widths between.
        batch_norm: normalise after each of those.
    """

    def factory() -> torch.nn.Module:
        layers: OrderedDict[str, torch.nn.Module] = OrderedDict(flat=torch.nn.Flatten())
        widths = (features, *hidden)
        for number, width in enumerate(hidden):
            layers[f"layer{number}"] = torch.nn.Linear(widths[number], width)
            if batch_norm:
                layers[f"bn{number}"] = torch.nn.BatchNorm1d(width)
            layers[f"relu{number}"] = torch.nn.ReLU()
        layers["head"] = torch.nn.Linear(widths[-1], classes)
        return torch.nn.Sequential(layers)

    return TorchModel(factory, classes=classes, loader=_batches) if batch_norm else TorchModel(factory, classes=classes)


def policy(observations: int, actions: int, hidden: tuple[int, ...]) -> TorchPolicy:
    """A policy of linear layers with tanh between: layer0, tanh0, layer1, ..., head.

    Args:
        observations: d.
        actions: k.
        hidden: widths between; () makes it linear.
    """

    def factory() -> torch.nn.Module:
        layers: OrderedDict[str, torch.nn.Module] = OrderedDict()
        widths = (observations, *hidden)
        for number, width in enumerate(hidden):
            layers[f"layer{number}"] = torch.nn.Linear(widths[number], width)
            layers[f"tanh{number}"] = torch.nn.Tanh()
        layers["head"] = torch.nn.Linear(widths[-1], actions)
        return torch.nn.Sequential(layers)

    return TorchPolicy(factory, observations=observations, actions=actions)


def one_thread() -> None:
    """Let torch compute in one thread from now on: networks as small as these lose more by sharing the work than they gain."""
    torch.set_num_threads(1)


def _batches(
    dataset: Dataset, batch_size: int, generator: torch.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Shuffled batches of at least `batch_size`, where there are so many: what is left over joins them, for one example cannot be
    normalised.
    """
    x, y = torch.from_numpy(np.array(dataset.x)), torch.from_numpy(np.array(dataset.y))
    order = torch.randperm(len(y), generator=generator)
    for rows in torch.tensor_split(order, max(1, len(y) // batch_size)):
        yield x[rows], y[rows]
