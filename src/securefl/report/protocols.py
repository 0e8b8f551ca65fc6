"""The plans that a configuration asks for: protocol, encoding and noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from securefl.dp.mechanisms import DistributedSkellam, QuantileClip
from securefl.dp.mechanisms.kinds import MECHANISMS
from securefl.errors import ConfigError, UnsafePlanError
from securefl.federated import Algorithm, Dataset, Model, plan_for, private_plan_for
from securefl.plan import Plan, SecAgg
from securefl.report.config import ExperimentConfig
from securefl.report.paillier_key import RehearsalKey, paillier


def secure_plan(
    config: ExperimentConfig,
    model: Model,
    clients: Mapping[str, Dataset],
    key: RehearsalKey | None,
    algorithm: Algorithm | None,
) -> Plan:
    """The plan without noise; of one group, where there are groups.

    Raises:
        UnsafePlanError: there is no safe one.
    """
    wanted = config.plan
    return plan_for(
        model,
        clients,
        protocol=_protocol(config, key),
        algorithm=algorithm,
        parties=in_a_sum(config),
        bound=wanted.bound,
        value_bits=wanted.value_bits,
    ).replace(purpose=wanted.purpose)


def private_plan(
    config: ExperimentConfig,
    model: Model,
    clients: Mapping[str, Dataset],
    key: RehearsalKey | None,
    algorithm: Algorithm,
) -> Plan | None:
    """The plan with as much noise as the target epsilon needs; None where no mechanism is named.

    Raises:
        UnsafePlanError: there is no safe one.
        ConfigError: a setting that the mechanism has no use for.
    """
    wanted = config.privacy
    if wanted.mechanism == "none":
        return None
    kind = MECHANISMS[wanted.mechanism]
    extra: dict[str, Any] = {"max_dropouts": wanted.max_dropouts} if wanted.max_dropouts else {}
    if extra and kind is not DistributedSkellam:
        raise ConfigError(
            f"{config.source or 'config'}: privacy.max_dropouts is for distributed-skellam, the mechanism is {wanted.mechanism}",
            remedy="leave it out, or name distributed-skellam",
        )
    return private_plan_for(
        model,
        clients,
        privacy=kind(clip=QuantileClip(wanted.clip) if wanted.adaptive else wanted.clip, unit=wanted.unit, **extra),
        epsilon=wanted.epsilon,
        delta=wanted.delta,
        rounds=config.training.rounds,
        protocol=_private_protocol(config, key),
        algorithm=algorithm,
        parties=in_a_sum(config),
        ring_bits=wanted.ring_bits,
    ).replace(purpose=config.plan.purpose)


def in_a_round(config: ExperimentConfig) -> int:
    """How many parties take part in a round."""
    return config.sampling.size or config.data.parties


def in_a_sum(config: ExperimentConfig) -> int:
    """How many parties are invited to one sum: those of a round, or of one group."""
    return in_a_round(config) if config.robust.rule == "none" else config.robust.group_size


def bearable_colluders(parties: int, dropout: float) -> int:
    """A fifth of the parties, or as many as still let an active plan lose a fraction `dropout` of them.

    With t = floor((n + c) / 2) + 1 and t + 1 parties needed to the end, s stayers bear c <= 2s - n - 3.
    """
    staying = parties - math.floor(Fraction(str(dropout)) * parties)
    return max(0, min(parties // 5, 2 * staying - parties - 3))


def table_of(error: UnsafePlanError) -> str:
    """The table of a configuration that an unsafe plan comes from."""
    if "noise" in error.rule or "sigma" in error.rule:
        return "[privacy]"
    return "[paillier]" if any(word in error.rule for word in ("key", "share-holders", "fixed base")) else "[plan]"


def _protocol(config: ExperimentConfig, key: RehearsalKey | None) -> Any:
    """A SecAgg or a Paillier."""
    wanted, dropout, colluders = config.plan, _dropout(config), config.plan.max_colluders
    if key is not None:
        return paillier(config, key, max_colluders=colluders, dropout=dropout)
    if wanted.threshold is None and colluders is None:
        colluders = bearable_colluders(in_a_sum(config), dropout)
    return SecAgg(
        threshold=wanted.threshold,
        server=wanted.server,
        max_colluders=colluders,
        dropout=dropout,
        min_survivors=wanted.min_survivors,
    )


def _private_protocol(config: ExperimentConfig, key: RehearsalKey | None) -> Any:
    """The same for the private training, whose colluders are chosen apart."""
    wanted, dropout, colluders = config.plan, _dropout(config), config.privacy.max_colluders
    if key is not None:
        return paillier(config, key, max_colluders=colluders, dropout=dropout)
    return SecAgg(
        threshold=wanted.threshold,
        server=wanted.server,
        max_colluders=colluders,
        dropout=dropout,
        min_survivors=wanted.min_survivors,
    )


def _dropout(config: ExperimentConfig) -> float:
    """What a round must bear: by default all who leave, and with them all who miss the deadline."""
    if config.plan.dropout is not None:
        return config.plan.dropout
    # As decimals: in floats 0.7 + 0.1 is less than 0.8, which of 10 parties would be one too few.
    return float(Fraction(str(config.faults.dropout)) + Fraction(str(config.stragglers.missing)))
