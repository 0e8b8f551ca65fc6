"""A plan that fits a model and its parties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from securefl.federated.models import Model
from securefl.federated.reinforcement.environment import PartyData, weight_of
from securefl.federated.reinforcement.policy import Policy, metrics_of

if TYPE_CHECKING:
    from securefl.dp.mechanisms import Mechanism
    from securefl.federated.algorithms import Algorithm
    from securefl.plan import Plan, SecAgg
    from securefl.plan.paillier import Paillier

METRICS = {"loss": (0.0, 10.0), "accuracy": (0.0, 1.0)}
"""The ranges in which losses (in nats) and accuracies are aggregated; values outside are clamped."""


def plan_for(
    model: Model | Policy,
    clients: Mapping[str, PartyData],
    *,
    protocol: SecAgg | Paillier | None = None,
    algorithm: Algorithm | None = None,
    parties: int | None = None,
    bound: float = 4.0,
    value_bits: int = 16,
) -> Plan:
    """Return a plan for secure aggregation of `model` over `clients`, weighted by their numbers of examples.

    The largest weight is read off the clients, as a simulation may. Real parties agree on a public bound instead.

    Args:
        model: gives names, shapes and dtypes.
        clients: each party's own examples, or its environment.
        protocol: threshold, server model and the like; by default one that bears 10 % dropouts.
        algorithm: what is trained with, if not all of the model travels, or more than it.
        parties: how many take part in a round, if not all do.
        bound: the largest magnitude of one value of an update.
        value_bits: bits of one encoded value.

    Raises:
        UnsafePlanError: there is no safe plan, for instance for fewer than 3 parties.
    """
    from securefl.encoding import FixedPoint
    from securefl.plan import Plan, SecAgg

    weighted = algorithm is None or algorithm.weighted
    return Plan(
        template=_template(model, algorithm),
        parties=len(clients) if parties is None else parties,
        protocol=protocol or SecAgg(dropout=0.1),
        encoding=FixedPoint(value_bits=value_bits, bound=bound),
        max_weight=max(map(weight_of, clients.values())) if weighted else 1,
        metrics=metrics_of(model) or METRICS,
    )


def _template(model: Model | Policy, algorithm: Algorithm | None) -> dict[str, tuple[tuple[int, ...], str]]:
    params = model.initial(0)
    sent = params if algorithm is None else algorithm.sends(params)
    return {name: (leaf.shape, leaf.dtype.name) for name, leaf in sent.items()}


def private_plan_for(
    model: Model | Policy,
    clients: Mapping[str, PartyData],
    *,
    privacy: Mechanism,
    epsilon: float,
    delta: float,
    rounds: int,
    protocol: SecAgg | Paillier | None = None,
    algorithm: Algorithm | None = None,
    parties: int | None = None,
    ring_bits: int = 16,
) -> Plan:
    """Return a plan under which `rounds` rounds of training cost each party at most epsilon; all parties weigh the same.

    Losses and accuracies of the parties are not in it: released beside the noise they would cost privacy of their own.

    Args:
        model: gives names, shapes and dtypes.
        clients: each party's own examples; only their number is used.
        privacy: the mechanism, with its clip; its noise follows.
        epsilon: the target.
        delta: in (0, 1), well below one over the number of parties.
        rounds: T.
        protocol: threshold, server model and the like; by default one that bears 10 % dropouts.
        algorithm: what is trained with, if not all of the model travels, or more than it.
        parties: how many take part in a round, if not all do; nothing is saved by that, see `sampling`.
        ring_bits: bits of a value on the wire.

    Raises:
        UnsafePlanError: there is no such plan.
        ConfigError: the `dp` extra is not installed.
    """
    from securefl.dp.modular_grid import ModularGrid
    from securefl.pipeline.calibrate import calibrate
    from securefl.plan import Plan, SecAgg

    plan = Plan(
        template=_template(model, algorithm),
        parties=len(clients) if parties is None else parties,
        protocol=protocol or SecAgg(dropout=0.1),
        encoding=ModularGrid(ring_bits),
        privacy=privacy,
    )
    return calibrate(plan, epsilon=epsilon, delta=delta, rounds=rounds)
