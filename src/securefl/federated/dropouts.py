"""Who leaves a simulated round, and at which step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from securefl.errors import ConfigError
from securefl.federated.seeds import Use, checked, generator
from securefl.types import Step

_BEFORE_THE_SUM = frozenset({Step.ADVERTISE, Step.SHARE_KEYS, Step.MASKED_INPUT})


@dataclasses.dataclass(frozen=True, slots=True)
class DropoutSchedule:
    """A reproducible schedule in which the same number of parties drops out of each round.

    Args:
        fraction: share of the parties that drop, in [0, 1); floor(fraction * n) of n parties do.
        steps: the steps that they fail to complete, taken in turn, so that over rounds each occurs.
        seed: of the choice of parties.

    Raises:
        ConfigError: the fraction is out of range, there are no steps, or the seed is negative.
    """

    fraction: float = 0.1
    steps: tuple[Step, ...] = tuple(Step)
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.fraction < 1.0:
            raise ConfigError(f"dropout fraction: got {self.fraction}, needs 0 <= fraction < 1", remedy="use 0.1")
        if not self.steps:
            raise ConfigError("dropout steps: got none, needs at least one", remedy="leave out steps= for all five")
        checked(self.seed)

    def for_round(self, number: int, parties: Sequence[str]) -> dict[str, Step]:
        """Return the step that each dropping party of round `number` (1, 2, ...) fails to complete."""
        # Exact in the fraction as written: binary floats would make 0.29 of 100 parties 28.
        count = math.floor(Fraction(str(float(self.fraction))) * len(parties))
        chosen = generator(self.seed, Use.DROPOUT, number).choice(len(parties), size=count, replace=False)
        turn = number * count
        return {parties[who]: self.steps[(turn + i) % len(self.steps)] for i, who in enumerate(chosen)}


def counted(dropped: Mapping[str, Step], parties: Sequence[str]) -> tuple[str, ...]:
    """Return the parties whose vectors are in the sum, in order: all but those lost before their masked input arrived.

    Who drops at consistency or unmask has already sent its vector; the others open the sum without it.

    Source: Bonawitz et al. 2017 (CCS), figure 4: the set U3.
    """
    return tuple(party for party in parties if dropped.get(party) not in _BEFORE_THE_SUM)
