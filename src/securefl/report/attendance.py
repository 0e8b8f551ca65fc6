"""Who was in which round, and who was slow in it; known before, because both follow from the seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from securefl.report.config import ExperimentConfig
from securefl.report.learning import Learning


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attendance:
    """One round.

    Args:
        round: its number.
        sampled: who was to take part.
        partial: epochs of those who did less than all, by party.
        missing: who missed the deadline.
    """

    round: int
    sampled: tuple[str, ...]
    partial: Mapping[str, int]
    missing: tuple[str, ...]


def attendance(
    config: ExperimentConfig, parts: Learning, parties: Sequence[str], rounds: int
) -> tuple[Attendance, ...]:
    """The rounds of a training; none where everybody was in all of them, and nobody slow.

    Args:
        config: the experiment.
        parts: its sampler and its stragglers.
        parties: names, in order.
        rounds: how many there were.
    """
    if not config.sampling.size and not config.stragglers.partial and not config.stragglers.missing:
        return ()
    found = []
    for number in range(1, rounds + 1):
        sampled = parts.sampler.for_round(config.data.seed, number, parties)
        works = parts.stragglers.for_round(number, sampled, getattr(parts.algorithm, "epochs", 1))
        found.append(
            Attendance(
                round=number,
                sampled=sampled,
                partial={party: work.epochs for party, work in works.items() if 0 < work.epochs < work.of},
                missing=tuple(party for party, work in works.items() if work.missed),
            )
        )
    return tuple(found)
