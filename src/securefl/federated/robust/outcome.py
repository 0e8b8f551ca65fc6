"""What a round in groups yields, and what it revealed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from securefl.federated.models import Params
from securefl.types import Step

if TYPE_CHECKING:
    from securefl.dp.ledger import PrivacyLedger
    from securefl.errors import RoundAbortedError
    from securefl.session import RoundResult
    from securefl.session.result import Spent

N = TypeVar("N", int, float)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupwiseOutcome:
    """The outcome of one round in groups; see `RoundOutcome`.

    Args:
        mean: what the rule made of the groups' means: no mean of the survivors.
        survivors: the parties in the means that the rule was given.
        dropped: the step that each dropped party did not complete. Who was in a group that failed is here if it was its fault.
        weight_sum: the sum of the survivors' weights.
        metrics: weighted means over those groups, **not robust**: a party that lies about its metrics is believed.
        results: what each group that ended well yielded: its mean is what the server learned.
        rejected: groups that ended well and whose mean was too long to be used.
        failed: the error that ended a group, by its name.
        members: the parties of each group.
        spent: what all rounds so far cost the party that spent most, in any group, under privacy.
    """

    mean: Params
    survivors: tuple[str, ...]
    dropped: Mapping[str, Step]
    weight_sum: int
    metrics: Mapping[str, float]
    results: Mapping[str, RoundResult]
    rejected: tuple[str, ...]
    failed: Mapping[str, RoundAbortedError]
    members: Mapping[str, tuple[str, ...]]
    spent: Spent | None = None

    @property
    def smallest(self) -> int:
        """Vectors in the smallest sum that the server learned: what a party hides among."""
        return min(len(result.survivors) for result in self.results.values())

    @property
    def bytes_up(self) -> int:
        """Bytes that all parties of the groups that ended well sent."""
        return sum(result.bytes_up for result in self.results.values())

    @property
    def bytes_down(self) -> int:
        """Bytes that the server sent to them."""
        return sum(result.bytes_down for result in self.results.values())

    @property
    def bytes_by_step(self) -> Mapping[Step, tuple[int, int]]:
        """(up, down) by step, all those groups together."""
        return _added([result.bytes_by_step for result in self.results.values()], (0, 0))

    @property
    def seconds_by_step(self) -> Mapping[Step, tuple[float, float]]:
        """(sum over clients, sum over the groups' servers) by step."""
        return _added([result.seconds_by_step for result in self.results.values()], (0.0, 0.0))

    def report(self) -> str:
        """What was computed, from which groups, and what that revealed, as text."""
        used = len(self.results) - len(self.rejected)
        lines = [
            f"A robust rule over the means of {used} groups; {len(self.rejected)} were too long, {len(self.failed)} failed",
            f"Bytes: {self.bytes_up} up, {self.bytes_down} down",
            f"The server learned the mean of each group: a party hides among the vectors of its own, at least {self.smallest}.",
        ]
        for name, group in self.members.items():
            if name in self.failed:
                lines.append(f"  {name}: {len(group)} parties, failed: {self.failed[name]}")
            else:
                note = ", its mean too long: left out" if name in self.rejected else ""
                lines.append(f"  {name}: {len(self.results[name].survivors)} of {len(group)} parties{note}")
        return "\n".join(lines)


def outcome_of(
    mean: Params,
    *,
    members: Mapping[str, tuple[str, ...]],
    results: Mapping[str, RoundResult],
    rejected: tuple[str, ...],
    failed: Mapping[str, RoundAbortedError],
    drop: Mapping[str, Step],
    ledger: PrivacyLedger | None,
) -> GroupwiseOutcome:
    """Put together what the groups yielded; see `GroupwiseOutcome`."""
    from securefl.session.result import spent_of

    used = [result for name, result in results.items() if name not in rejected]
    total = sum(result.weight_sum for result in used)
    lost = {party: drop[party] for name in failed for party in members[name] if party in drop}
    return GroupwiseOutcome(
        mean=mean,
        survivors=tuple(party for result in used for party in result.survivors),
        dropped=lost | {party: step for result in results.values() for party, step in result.dropped.items()},
        weight_sum=total,
        metrics={
            name: math.fsum(result.metrics[name] * result.weight_sum for result in used) / total
            for name in used[0].metrics
        },
        results=results,
        rejected=rejected,
        failed=failed,
        members=members,
        spent=None if ledger is None else spent_of(ledger),
    )


def _added(groups: list[Mapping[Step, tuple[N, N]]], none: tuple[N, N]) -> dict[Step, tuple[N, N]]:
    steps = [step for step in Step if any(step in group for group in groups)]
    return {
        step: (
            sum((group.get(step, none)[0] for group in groups), none[0]),
            sum((group.get(step, none)[1] for group in groups), none[1]),
        )
        for step in steps
    }
