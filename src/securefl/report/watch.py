"""An aggregator that keeps what training itself does not need: refusals, values that were clamped, what was spent."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from securefl.federated import Aggregator, Params, RoundOutcome
from securefl.federated.robust import GroupwiseOutcome
from securefl.plan import Plan
from securefl.session import RoundResult
from securefl.session.result import Spent
from securefl.types import Step


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Something that a session refused on the way.

    Args:
        round: number of the round.
        message: the error, with its suspects.
    """

    round: int
    message: str


class Watch:
    """As the aggregator within, keeping notes.

    Attributes:
        refusals: by round.
        saturated: values outside the encoding's bound, or vectors outside the clip, all parties and rounds together.
        spent: after the last private round.
        plan: of the last round.
        rounds: how many there were.
    """

    def __init__(self, inner: Aggregator) -> None:
        self.inner = inner
        self.rounds = 0
        self.refusals: list[Refusal] = []
        self.saturated = 0
        self.spent: Spent | None = None
        self.plan: Plan | None = None

    def round(
        self,
        updates: Mapping[str, Params],
        *,
        weights: Mapping[str, int],
        metrics: Mapping[str, Mapping[str, float]],
        model: Params,
        drop: Mapping[str, Step],
    ) -> RoundOutcome:
        """As the aggregator within."""
        self.rounds += 1
        outcome = self.inner.round(updates, weights=weights, metrics=metrics, model=model, drop=drop)
        if isinstance(outcome, GroupwiseOutcome):
            for name, result in outcome.results.items():
                self._note(result, f"{name}: ")
            self.refusals += [
                Refusal(round=self.rounds, message=f"{name} ended without a sum: {error}")
                for name, error in outcome.failed.items()
            ]
        elif isinstance(outcome, RoundResult):
            self._note(outcome)
            self.spent, self.plan = outcome.spent, outcome.plan
        return outcome

    def _note(self, result: RoundResult, of: str = "") -> None:
        self.refusals += [Refusal(round=self.rounds, message=f"{of}{refusal}") for refusal in result.refusals]
        self.saturated += sum(result.saturated.values())
