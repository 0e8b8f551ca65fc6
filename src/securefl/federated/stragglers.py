"""Systems heterogeneity: parties who do part of the round's work, or are too late with it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from securefl.errors import ConfigError
from securefl.federated.partition.requests import between, checked_seed, whole
from securefl.federated.seeds import Use, generator
from securefl.types import Step


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """What one party gets done in one round.

    Args:
        epochs: local epochs that it completes; 0 if it misses the deadline.
        of: E, the epochs that it was asked for.
    """

    epochs: int
    of: int

    @property
    def fraction(self) -> float:
        """The share of the work, in [0, 1]; `LocalTask.work` for those who do not miss the deadline."""
        return self.epochs / self.of

    @property
    def missed(self) -> bool:
        """Whether the party misses the deadline: its update is not in the sum."""
        return self.epochs == 0


@dataclasses.dataclass(frozen=True, slots=True)
class StragglerSchedule:
    """A reproducible schedule of who is slow in which round.

    Under one seed the slow parties of a round are the same whether they do part of the work or miss the deadline, so that
    `StragglerSchedule(partial=0.9)` (FedProx: partial work counts) and `StragglerSchedule(missing=0.9)` (FedAvg as it is
    commonly run: it is thrown away) can be compared.

    Args:
        partial: share of the parties that complete 1..E-1 epochs, uniform; floor(partial * n) of n parties.
        missing: share of the parties that miss the deadline; likewise.
        seed: of the choice.

    Raises:
        ConfigError: a share is outside [0, 1], their sum is above 1, or the seed is negative.

    Source: Li et al. 2020 (FedProx, arXiv:1812.06127), section 5.2, with 0, 0.5 and 0.9. The text says "between [1, E]"; the
        authors' program draws 1..E-1, and so does this.
    """

    partial: float = 0.0
    missing: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("partial", "missing"):
            between(name, getattr(self, name), 0, 1, f"use {name}=0.5")
        if _exact(self.partial) + _exact(self.missing) > 1:
            raise ConfigError(
                f"partial and missing: got {self.partial} and {self.missing}, needs a sum of at most 1",
                remedy=f"use missing={float(1 - _exact(self.partial))}",
            )
        checked_seed(self.seed)

    def for_round(self, number: int, parties: Sequence[str], epochs: int) -> dict[str, Work]:
        """Return what each party gets done in round `number` (1, 2, ...), in the parties' order.

        Args:
            number: of the round.
            parties: who takes part.
            epochs: E, what each is asked for; at least 2 if anybody is to do part of it.

        Raises:
            ConfigError: an argument is out of range.
        """
        whole("round", number, 0, "count the rounds from 1")
        asked = whole("epochs", epochs, 1, "use epochs=20")
        late, slow = (math.floor(_exact(share) * len(parties)) for share in (self.missing, self.partial))
        if slow and asked < 2:
            raise ConfigError(
                f"epochs: got {asked}, needs at least 2, for partial work is 1..epochs-1",
                remedy="use epochs=2 or more, or partial=0",
            )
        rng = generator(self.seed, Use.STRAGGLERS, number)
        order = rng.permutation(len(parties)).tolist()
        done = dict.fromkeys(order, asked)
        done.update(dict.fromkeys(order[:late], 0))
        if slow:
            done.update(zip(order[late : late + slow], rng.integers(1, asked, size=slow).tolist(), strict=True))
        return {party: Work(done[index], asked) for index, party in enumerate(parties)}


def dropped(works: Mapping[str, Work]) -> dict[str, Step]:
    """Return those who miss the deadline, as `drop` of a round: their masked input does not arrive."""
    return {party: Step.MASKED_INPUT for party, work in works.items() if work.missed}


def _exact(share: float) -> Fraction:
    """The share as written: binary floats would make 0.29 of 100 parties 28."""
    return Fraction(str(float(share)))
