"""What a federation refuses of a watermark before training starts, by name."""

from __future__ import annotations

from collections.abc import Mapping

from securefl.errors import ConfigError
from securefl.federated.algorithms.base import Algorithm
from securefl.federated.datasets import Dataset
from securefl.federated.models import Model, Params
from securefl.federated.ownership.embedding import Watermark, gradient_of, refuse_fingerprint
from securefl.federated.ownership.verification import answers_of


def check_watermark(
    watermark: Watermark, model: Model, algorithm: Algorithm, params: Params, clients: Mapping[str, Dataset]
) -> None:
    """Check that a watermark fits model, algorithm and data.

    The triggers are looked for among the parties' examples, as only a simulation can; a real party calls `TriggerSet.overlap` itself.

    Raises:
        ConfigError: triggers by party, of another shape or with other classes, or among a party's examples; or parties that keep part
            of the model to themselves.
    """
    refuse_fingerprint(watermark)
    if not isinstance(watermark, Watermark):
        raise ConfigError(
            f"watermark: got a {type(watermark).__name__}, needs a Watermark",
            remedy="use Watermark(TriggerSet.generate(...))",
        )
    innermost = algorithm
    while isinstance(within := getattr(innermost, "inner", None), Algorithm):
        innermost = within
    if type(innermost).personal is not Algorithm.personal:
        raise ConfigError(
            f"watermark with {type(innermost).__name__}: each party keeps part of the model, so the owner never holds the models that "
            "are used, and a mark in the shared part says nothing about them",
            remedy="use an algorithm that trains one model for all, such as FedAvg",
        )
    triggers = watermark.triggers
    classes = getattr(model, "classes", None)
    if classes is not None and triggers.classes > classes:
        raise ConfigError(
            f"watermark: triggers have {triggers.classes} classes, the model {classes}",
            remedy=f"generate them with classes={classes}",
        )
    for party, dataset in clients.items():
        if not isinstance(dataset, Dataset):
            raise ConfigError(
                f"watermark: party {party!r} learns from no labelled examples, and triggers are labelled",
                remedy="watermark a model that classifies",
            )
        if tuple(dataset.x.shape[1:]) != triggers.shape:
            raise ConfigError(
                f"watermark: triggers have shape {triggers.shape}, the examples of party {party!r} {tuple(dataset.x.shape[1:])}",
                remedy=f"generate them with shape={tuple(dataset.x.shape[1:])}",
            )
        if shared := triggers.overlap(dataset):
            raise ConfigError(
                f"watermark: trigger {shared[0]} is among the examples of party {party!r}"
                + (f", and {len(shared) - 1} more" if len(shared) > 1 else "")
                + ": its label is learned from data, and training on it again would not be free under differential privacy",
                remedy="use triggers that are independent of all data, as TriggerSet.generate makes them",
            )
    answers_of(model, params, triggers)
    gradient_of(model, params, triggers.x, triggers.y)
