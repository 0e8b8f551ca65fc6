"""What a federation refuses before training starts, by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from securefl.errors import ConfigError
from securefl.federated.algorithms import Algorithm
from securefl.federated.datasets import Dataset
from securefl.federated.models import Model, Params
from securefl.federated.optimizers import ServerOptimizer
from securefl.federated.optimizers.state import check_state
from securefl.federated.reinforcement.environment import PartyData, VectorEnvironment, named, sizes, weight_of
from securefl.federated.reinforcement.policy import Policy
from securefl.federated.sampling import Everybody, FixedSize, Sampler
from securefl.federated.state import TrainingState
from securefl.types import SERVER

if TYPE_CHECKING:
    from securefl.plan import Plan


def of_one_kind(
    model: Model | Policy, clients: Mapping[str, PartyData], test: PartyData | None, algorithm: Algorithm
) -> tuple[Model, Mapping[str, Dataset], Dataset | None]:
    """Check that model, data and algorithm are made for each other; return the first three, which are from then on treated alike.

    Raises:
        ConfigError: examples for an algorithm that acts, an environment for one that does not, or a policy that does not fit one.
    """
    acts, name = algorithm.learns_from_environments(), type(algorithm).__name__
    everything = {
        **{f"party {party!r}": data for party, data in clients.items()},
        **({} if test is None else {"test": test}),
    }
    for whose, data in everything.items():
        if isinstance(data, VectorEnvironment) is acts:
            continue
        if acts:
            raise ConfigError(
                f"{whose}: got a {type(data).__name__}, and {name} learns from vector environments",
                remedy="pass CartPole(16), or what gymnasium.make_vec makes; for labelled examples use FedAvg",
            )
        if not isinstance(data, Dataset) and isinstance(data, VectorEnvironment):
            raise ConfigError(
                f"{whose}: got an environment, {named(data)}, and {name} learns from labelled examples",
                remedy="use algorithm=Reinforce()",
            )
    if isinstance(model, Policy) is not acts:
        raise ConfigError(
            f"model: got a {type(model).__name__}, and {name} trains "
            + ("policies" if acts else "models of labelled examples"),
            remedy="use PerceptronPolicy" if acts else "use algorithm=Reinforce()",
        )
    if isinstance(model, Policy):
        for whose, data in everything.items():
            if isinstance(data, VectorEnvironment):
                _check_environment(model, data, whose)
    return cast("Model", model), cast("Mapping[str, Dataset]", clients), cast("Dataset | None", test)


def _check_environment(policy: Policy, environment: VectorEnvironment, whose: str) -> None:
    if not isinstance(environment.num_envs, int) or environment.num_envs < 1:
        raise ConfigError(
            f"{whose}: {named(environment)} has num_envs = {environment.num_envs!r}, needs at least 1", remedy="use 16"
        )
    found = sizes(environment)
    if found is None:
        raise ConfigError(
            f"{whose}: {named(environment)} needs vectors to see and numbered actions, has "
            f"{environment.single_observation_space} and {environment.single_action_space}",
            remedy="flatten its observations; actions that are no numbers from 0 are not supported",
        )
    if found != (policy.observations, policy.actions):
        raise ConfigError(
            f"{whose}: {named(environment)} has {found[0]} values to see and {found[1]} actions, the policy is made for "
            f"{policy.observations} and {policy.actions}",
            remedy=f"use observations={found[0]} and actions={found[1]}",
        )


def check_clients(model: Model, clients: Mapping[str, Dataset]) -> None:
    """Check names, numbers of examples, and that everybody's data are of one kind.

    Raises:
        ConfigError: a party without a proper name or examples, with other features than the rest, or with labels that the model has not.
    """
    if not clients:
        raise ConfigError("clients: got none, needs at least 1", remedy="pass {name: Dataset}")
    acting = isinstance(model, Policy)  # whose parties have environments, which `of_one_kind` has looked at
    first = () if acting else next(iter(clients.values())).x.shape[1:]
    classes = getattr(model, "classes", None)
    for party, dataset in clients.items():
        if not party or party == SERVER:
            raise ConfigError(
                f"party name: got {party!r}, needs a name other than {SERVER!r}", remedy="rename the party"
            )
        if acting:
            continue
        if not len(dataset):
            raise ConfigError(f"party {party!r}: got 0 examples, needs at least 1", remedy="leave this party out")
        if dataset.x.shape[1:] != first:
            raise ConfigError(
                f"party {party!r}: its examples have shape {dataset.x.shape[1:]}, the first party's {first}",
                remedy="all parties train one model on features of one shape",
            )
        if classes is not None and int(dataset.y.max()) >= classes:
            raise ConfigError(
                f"party {party!r}: got label {int(dataset.y.max())}, needs 0..{classes - 1}, the model's classes",
                remedy="number the classes from 0, or make a model with more",
            )


def check_plan(
    plan: Plan, algorithm: Algorithm, params: Params, clients: Mapping[str, Dataset], sampler: Sampler
) -> None:
    """Check that a plan is for this many parties, for what the algorithm sends, and for their weights.

    Raises:
        ConfigError: it is not, or the algorithm cannot run under hidden updates.
    """
    algorithm.refuse_if_hidden()
    if not isinstance(sampler, Everybody | FixedSize):
        raise ConfigError(
            f"sampler: {type(sampler).__name__} gives rounds of varying size, and a plan is for a fixed number of parties",
            remedy="use FixedSize(m) with a plan for m parties",
        )
    taking_part = sampler.size if isinstance(sampler, FixedSize) else len(clients)
    if plan.parties != taking_part:
        who = "clients" if taking_part == len(clients) else "parties in a round"
        raise ConfigError(
            f"plan: got parties={plan.parties}, needs {taking_part}, the number of {who}",
            remedy=f"use Plan(parties={taking_part})",
        )
    from securefl.encoding.layout import Layout  # brings the cryptography with it, which plain training does not need

    template = {name: (leaf.shape, leaf.dtype.name) for name, leaf in algorithm.sends(params).items()}
    wanted = {leaf.name: (tuple(leaf.shape), leaf.dtype) for leaf in Layout.from_template(template).leaves}
    planned = {leaf.name: (tuple(leaf.shape), leaf.dtype) for leaf in plan.layout.leaves}
    if planned != wanted:
        odd = sorted(name for name in {*planned, *wanted} if planned.get(name) != wanted.get(name))
        raise ConfigError(
            f"plan: {odd[0]!r} is {planned.get(odd[0], 'missing')} in its template, {type(algorithm).__name__} sends "
            f"{wanted.get(odd[0], 'nothing of that name')}",
            remedy="make it with plan_for(model, clients, algorithm=...)",
        )
    if plan.private or not algorithm.weighted:
        return  # all weigh the same: weighted by examples, one party could move the mean by far more than the others
    party, heaviest = max(((party, weight_of(data)) for party, data in clients.items()), key=lambda pair: pair[1])
    if heaviest > plan.max_weight:
        raise ConfigError(
            f"party {party!r}: got weight {heaviest}, its number of examples, needs at most {plan.max_weight}",
            remedy=f"use Plan(max_weight={heaviest})",
        )


def check_same(
    fresh: TrainingState, saved: TrainingState, server: ServerOptimizer, algorithm: Algorithm, source: str | Path
) -> None:
    """Check that a checkpoint is of this model, optimizer and algorithm.

    Raises:
        ConfigError: it is of others; names the tensor.
    """
    for what, expected, found in (
        ("the model's tensor", fresh.params, saved.params),
        ("what the algorithm broadcasts, tensor", fresh.broadcast, saved.broadcast),
    ):
        for name in sorted({*expected, *found}):
            if _kind(expected.get(name)) != _kind(found.get(name)):
                raise ConfigError(
                    f"{source}: {what} {name!r} is {_kind(found.get(name))}, this federation has {_kind(expected.get(name))}",
                    remedy="resume with the model, optimizer and algorithm of that run",
                )
    try:
        check_state(server, algorithm.learns(saved.params), saved.server)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error.message}", remedy=error.remedy) from error


def _kind(array: np.ndarray | None) -> str:
    return "missing" if array is None else f"{array.dtype} {array.shape}"
