"""The weighted mean as a rule: what the robust rules are compared with."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from securefl.federated.models import Params
from securefl.federated.robust.rule import Floats, by_rows, checked_weights


@dataclasses.dataclass(frozen=True, slots=True)
class Mean:
    """The weighted mean. **Not robust: one update moves it as far as it likes.**"""

    def __call__(self, updates: Sequence[Params], weights: Sequence[float] | None = None) -> Params:
        """Return the weighted mean; see `Rule`."""

        def reduce(rows: Floats) -> Floats:
            mean: Floats = checked_weights(weights, len(rows), "mean") @ rows
            return mean

        return by_rows(updates, reduce, least=self.least, rule="mean")

    @property
    def least(self) -> int:
        """One."""
        return 1
