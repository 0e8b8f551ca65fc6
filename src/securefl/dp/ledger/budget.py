"""How much privacy loss an owner allows, in all."""

from __future__ import annotations

import dataclasses

from securefl.dp.accounting.floats import above_one, open_delta, positive


@dataclasses.dataclass(frozen=True, slots=True)
class Budget:
    """The (epsilon, delta) that all releases about one data owner may cost together, by Renyi differential privacy.

    Composition takes the best of many orders, which is a bound when noise and clips were fixed before the first release
    or do not depend on the data. Where they are chosen in the light of earlier releases, fix one order beforehand: the
    ledger is a privacy filter then (Feldman, Zrnic 2021, section 4).

    Args:
        epsilon: positive; what is spent must not exceed it.
        delta: in (0, 1), for everything together.
        order: the one Renyi order to account at, above 1 (an integer for Skellam noise); None for the best.

    Raises:
        UnsafePlanError: one is out of range.
    """

    epsilon: float
    delta: float
    order: float | None = None

    def __post_init__(self) -> None:
        epsilon = positive("the epsilon of a budget", self.epsilon, "name a positive number")
        object.__setattr__(self, "epsilon", epsilon)
        object.__setattr__(self, "delta", open_delta(self.delta))
        if self.order is not None:
            object.__setattr__(self, "order", above_one(self.order, "use an order above 1"))

    def __str__(self) -> str:
        """Epsilon and delta in words."""
        return f"epsilon {self.epsilon:.10g} at delta {self.delta:.10g}"
