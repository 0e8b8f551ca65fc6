"""What one round yields, and what it revealed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from securefl.dp.accounting.floats import printed
from securefl.dp.ledger import PrivacyLedger
from securefl.errors import SecureFLError
from securefl.plan import Plan
from securefl.session.disclosure import disclosures
from securefl.types import Step, Tree


@dataclasses.dataclass(frozen=True, slots=True)
class Spent:
    """What all rounds so far have cost the party that spent most, by the server's ledger.

    Args:
        server: epsilon against the server, who sees which parties took part; infinite where it adds the noise itself.
        observer: epsilon against whoever sees the results only.
        delta: of both.
        anchored: whether the ledger's head is kept elsewhere, so that entries cut off at its end would be noticed.
    """

    server: float
    observer: float
    delta: float
    anchored: bool = False

    def __str__(self) -> str:
        """Both, rounded up."""
        return f"epsilon {printed(self.server)} against the server, {printed(self.observer)} against observers, at delta {self.delta:g}"


def spent_of(ledger: PrivacyLedger, *, anchored: bool = False) -> Spent:
    """What a ledger says; against the server infinite as soon as one release had the server's own noise, whatever came after it."""
    spent = ledger.spent()
    return Spent(math.inf if ledger.noise_by_server else spent, spent, ledger.budget.delta, anchored)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoundResult:
    """The outcome of one secure-aggregation round.

    Args:
        plan: the plan.
        mean: weighted mean of the survivors' updates, rounded to the template's dtypes; `sum / weight_sum` is within the encoding's
            `error_bound` of the exact mean, and this rounding comes on top. Under privacy the noisy sum over the plan's fixed
            denominator.
        sum: weighted sum of the survivors' updates; float64 for float leaves, int64 for integer ones.
        integers: the same sum on the encoding's grid, with weight and metrics behind the values, as int64.
        weight_sum: sum of the survivors' weights; under privacy their number, which is what the server sees.
        metrics: weighted mean of each metric of the plan.
        survivors: the parties whose vectors are in the sum.
        dropped: the step that each party that left did not complete; who left after its vector arrived is a survivor too.
        bytes_by_step: (up, down) in bytes, all parties together.
        seconds_by_step: (all clients together, server) in seconds; empty where the transport did not measure.
        refusals: what clients and server refused on the way, with the names of suspects.
        saturated: values outside the encoding's bound by party; known only where all parties are in this process.
        next_plan: the plan of the next round, where the clip adapts.
        spent: what all rounds so far have cost, under privacy.
        simulated: whether all parties were in this process, with policies made to match.
    """

    plan: Plan
    mean: Tree
    sum: Tree
    integers: npt.NDArray[np.int64] = dataclasses.field(repr=False)
    weight_sum: int
    metrics: Mapping[str, float]
    survivors: tuple[str, ...]
    dropped: Mapping[str, Step]
    bytes_by_step: Mapping[Step, tuple[int, int]]
    seconds_by_step: Mapping[Step, tuple[float, float]] = dataclasses.field(default_factory=dict)
    refusals: tuple[SecureFLError, ...] = ()
    saturated: Mapping[str, int] = dataclasses.field(default_factory=dict)
    next_plan: Plan | None = None
    spent: Spent | None = None
    simulated: bool = False

    @property
    def bytes_up(self) -> int:
        """Bytes that all parties sent."""
        return sum(up for up, _ in self.bytes_by_step.values())

    @property
    def bytes_down(self) -> int:
        """Bytes that the server sent."""
        return sum(down for _, down in self.bytes_by_step.values())

    def report(self) -> str:
        """What was computed, who was in it, and who learned what, as text."""
        lines = [
            str(self.plan),
            "",
            f"Sum of {len(self.survivors)} vectors: {', '.join(self.survivors)}",
            f"Left: {', '.join(f'{name} ({step})' for name, step in self.dropped.items()) or 'nobody'}",
            f"Bytes: {self.bytes_up} up, {self.bytes_down} down",
        ]
        if self.spent is not None:
            truncation = "" if self.spent.anchored else "; truncation of the ledger not excluded"
            lines.append(f"Spent, all rounds together: {self.spent}{truncation}")
        if self.plan.private and any(self.saturated.values()):
            clipped = ", ".join(name for name, count in self.saturated.items() if count)
            lines.append(f"Clipped (each known to its party alone): {clipped}")
        elif any(self.saturated.values()):
            clamped = ", ".join(f"{name} {count}" for name, count in self.saturated.items() if count)
            lines.append(f"Saturated values (each known to its party alone): {clamped}")
        lines += [f"Refused: {refusal}" for refusal in self.refusals]
        if self.simulated:
            lines.append("Simulated policy: every party ran in this process and accepted just what the plan offers.")
        lines += ["", "Who learned what:"]
        lines += [f"  {row.what}: {row.who}" for row in disclosures(self.plan)]
        return "\n".join(lines)
