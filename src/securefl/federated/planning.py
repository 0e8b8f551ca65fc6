"""A plan that fits a model and its parties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from securefl.federated.datasets import Dataset
from securefl.federated.models import Model

if TYPE_CHECKING:
    from securefl.plan import Plan, SecAgg

METRICS = {"loss": (0.0, 10.0), "accuracy": (0.0, 1.0)}
"""The ranges in which losses (in nats) and accuracies are aggregated; values outside are clamped."""


def plan_for(
    model: Model,
    clients: Mapping[str, Dataset],
    *,
    protocol: SecAgg | None = None,
    bound: float = 4.0,
    value_bits: int = 16,
) -> Plan:
    """Return a plan for secure aggregation of `model` over `clients`, weighted by their numbers of examples.

    The largest weight is read off the clients, as a simulation may. Real parties agree on a public bound instead.

    Args:
        model: gives names, shapes and dtypes.
        clients: each party's own examples.
        protocol: threshold, server model and the like; by default one that bears 10 % dropouts.
        bound: the largest magnitude of one value of an update.
        value_bits: bits of one encoded value.

    Raises:
        UnsafePlanError: there is no safe plan, for instance for fewer than 3 parties.
    """
    from securefl.encoding import FixedPoint
    from securefl.plan import Plan, SecAgg

    return Plan(
        template={name: (leaf.shape, leaf.dtype.name) for name, leaf in model.initial(0).items()},
        parties=len(clients),
        protocol=protocol or SecAgg(dropout=0.1),
        encoding=FixedPoint(value_bits=value_bits, bound=bound),
        max_weight=max(map(len, clients.values())),
        metrics=METRICS,
    )
