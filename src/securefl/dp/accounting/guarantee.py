"""A guarantee with everything that it depends on, against the server and against an observer of the model."""

from __future__ import annotations

import dataclasses
import enum
import math

from securefl.dp.accounting.composition import is_central, is_sampled
from securefl.dp.accounting.epsilon import Accountant, epsilon_of
from securefl.dp.accounting.events import Event, check_count
from securefl.dp.accounting.floats import open_delta, printed
from securefl.dp.accounting.relations import Relation, Unit
from securefl.errors import UnsafePlanError


class Adversary(enum.StrEnum):
    """Whom an epsilon is against: the server, who sees which parties took part, or whoever sees the model only."""

    SERVER = "server"
    OBSERVER = "observer"


@dataclasses.dataclass(frozen=True, slots=True)
class Guarantee:
    """One (epsilon, delta), and what it is worth.

    Args:
        epsilon: an upper bound; infinite where nothing is guaranteed.
        delta: in (0, 1).
        relation: which datasets are neighbours.
        unit: whose influence is bounded.
        adversary: whom it is against.
        sampler: how parties were sampled, as text; "none" when the adversary sees who took part.
        colluders: c, parties who tell the adversary their noise.
        floor: m, the least number of survivors; 0 where the noise does not depend on it.
        accountant: whose bound it is.
        rounds: T.

    Raises:
        UnsafePlanError: epsilon is negative or no number, delta is outside (0, 1), or a count is negative.
    """

    epsilon: float
    delta: float
    relation: Relation
    unit: Unit
    adversary: Adversary
    sampler: str
    colluders: int
    floor: int
    accountant: Accountant
    rounds: int

    def __post_init__(self) -> None:
        open_delta(self.delta)
        if not self.epsilon >= 0.0:
            raise UnsafePlanError(
                "epsilon is out of range", value=self.epsilon, bound=">= 0", remedy="compute it again"
            )
        check_count("the number of colluders", self.colluders, 0)
        check_count("the floor", self.floor, 0)
        check_count("the number of rounds", self.rounds, 0)

    def __str__(self) -> str:
        """Everything, on one line; epsilon rounded up."""
        floor = f"at least {self.floor} survivors" if self.floor else "whatever the number of survivors"
        semi_honest = ", semi-honest" if self.adversary == Adversary.SERVER else ""
        return (
            f"epsilon {printed(self.epsilon)} at delta {self.delta:g}, per {self.unit}, {self.relation}, "
            f"against the {self.adversary}{semi_honest}; {self.rounds} rounds, sampling {self.sampler}, "
            f"{self.colluders} colluders, {floor}, accountant {self.accountant}"
        )


def guarantees(
    event: Event,
    *,
    delta: float,
    relation: Relation,
    unit: Unit,
    rounds: int,
    sampler: str = "none",
    colluders: int = 0,
    floor: int = 0,
    accountant: Accountant = Accountant.RDP,
    cohort_hidden: bool = False,
    dp_sgd: bool = False,
    draws: int = 0,
) -> tuple[Guarantee, Guarantee]:
    """Return the guarantee against the server and the one against an observer of the model.

    The server sees who takes part, so sampling does nothing against it; a curator who adds the noise itself sees the sum
    without it, so that its epsilon is infinite. Against an observer sampling counts only while cohort size, survivors
    and aborts stay hidden.

    Args:
        event: everything released, all rounds included.
        delta: in (0, 1).
        relation: which datasets are neighbours.
        unit: whose influence is bounded.
        rounds: T, to be printed.
        sampler: the sampler, to be printed.
        colluders: c, to be printed.
        floor: m, to be printed.
        accountant: whose bound is stated.
        cohort_hidden: whether nobody but the server learns cohort sizes, survivors and aborts.
        dp_sgd: whether examples are clipped and noised by DP-SGD on the party's side; then parties, not the server, add
            the noise, and unit must be example.
        draws: integers drawn from the samplers.

    Raises:
        UnsafePlanError: delta, relation or unit do not fit the event, or the accountant has no upper bound for it.
        ConfigError: the `dp` extra is not installed.
    """
    unit.require_yielded(dp_sgd=dp_sgd)

    def state(adversary: Adversary, seen: Event | None, sampled: bool) -> Guarantee:
        epsilon = math.inf if seen is None else epsilon_of(seen, delta, relation, accountant, draws=draws)
        how = sampler if sampled else "none"
        return Guarantee(epsilon, delta, relation, unit, adversary, how, colluders, floor, accountant, rounds)

    amplified = is_sampled(event) and (cohort_hidden or dp_sgd)
    observed = state(Adversary.OBSERVER, event if amplified else event.unsampled(), amplified)
    if dp_sgd:  # the sample of examples never leaves the party
        return dataclasses.replace(observed, adversary=Adversary.SERVER), observed
    return state(Adversary.SERVER, None if is_central(event) else event.unsampled(), sampled=False), observed
