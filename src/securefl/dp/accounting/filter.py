"""A privacy filter: a budget that may be spent on parameters chosen in the light of what was released before.

Source: Feldman, Zrnic 2021, section 4 (Renyi filter at an order fixed beforehand); Lecuyer 2021 (several orders).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np

from securefl.dp.accounting.curves import rdp_curve
from securefl.dp.accounting.events import Event
from securefl.dp.accounting.floats import above_one, open_delta, positive, sum_up
from securefl.dp.accounting.relations import Relation
from securefl.errors import UnsafePlanError


class RdpFilter:
    """A budget of Renyi divergence at orders fixed beforehand, and a record of what was spent that nothing wipes.

    Args:
        caps: RDP budget at each order; an event fits if it fits at every one.
        relation: what the guarantee is about.

    Raises:
        UnsafePlanError: no cap, a cap that is not positive, or an order not above 1.
    """

    __slots__ = ("_any", "_caps", "_record", "_relation")

    def __init__(self, caps: Mapping[float, float], relation: Relation) -> None:
        if not caps:
            raise UnsafePlanError(
                "a filter without orders", value="{}", bound="one order or more", remedy="fix one beforehand"
            )
        for order, cap in caps.items():
            above_one(order)
            positive("the RDP budget", cap, "raise epsilon, or choose a higher order")
        self._caps = dict(sorted(caps.items()))
        self._relation = relation
        self._record: list[tuple[Event, tuple[float, ...]]] = []
        self._any = False

    @classmethod
    def for_epsilon(cls, epsilon: float, delta: float, orders: Iterable[float], relation: Relation) -> RdpFilter:
        """Return a filter under which whatever is spent stays (epsilon, delta)-private; orders too low for it are left out.

        An event fits if it fits at one order. With k orders each of them has delta / k, because the one that lasts
        longest is known in the end only; bounds on the loss itself are used, so that the union of their failures counts.

        Raises:
            UnsafePlanError: epsilon or delta out of range, or no order at which the budget is positive.

        Source: Mironov 2017, proposition 3; Lecuyer 2021.
        """
        positive("epsilon", epsilon, "name a positive number")
        open_delta(delta)
        grid = sorted(set(orders))
        fixed = [a for a in grid if _cap(epsilon, delta, a, len(grid)) > 0.0]
        if not fixed:
            raise UnsafePlanError(
                "no order leaves a budget",
                value=grid,
                bound=f"an order above {1 + math.log(max(1, len(grid)) / delta) / epsilon:.1f}",
                remedy="choose higher orders",
            )
        made = cls({a: _cap(epsilon, delta, a, len(fixed)) for a in fixed}, relation)
        made._any = True
        return made

    @property
    def orders(self) -> tuple[float, ...]:
        """The orders, ascending."""
        return tuple(self._caps)

    @property
    def caps(self) -> Mapping[float, float]:
        """The RDP budget at each order."""
        return MappingProxyType(self._caps)

    @property
    def record(self) -> tuple[Event, ...]:
        """What was spent on, in order."""
        return tuple(event for event, _ in self._record)

    @property
    def spent(self) -> Mapping[float, float]:
        """RDP spent at each order, rounded up."""
        return MappingProxyType(self._with(()))

    def fits(self, event: Event) -> bool:
        """Whether the budget has room for the event, beside all that was spent; decide before it runs.

        Raises:
            UnsafePlanError: the event has no bound at the filter's orders, or the relation does not fit it.
        """
        return self._holds(self._with((self._cost(event),)))

    def spend(self, event: Event) -> None:
        """Charge the event; call it before the event runs, since nothing is refunded.

        Raises:
            UnsafePlanError: the event does not fit; nothing is charged then.
        """
        cost = self._cost(event)
        after = self._with((cost,))
        if not self._holds(after):
            decisive = min if self._any else max
            worst = decisive(self._caps, key=lambda order: after[order] / self._caps[order])
            raise UnsafePlanError(
                f"the privacy budget at order {worst:g} does not allow this event",
                value=after[worst],
                bound=f"<= {self._caps[worst]}",
                remedy="stop here; what was released stays within the budget",
            )
        self._record.append((event, cost))

    def _cost(self, event: Event) -> tuple[float, ...]:
        return tuple(float(rdp) for rdp in rdp_curve(event, self._caps, self._relation))

    def _with(self, further: tuple[tuple[float, ...], ...]) -> dict[float, float]:
        costs = [cost for _, cost in self._record] + list(further)
        return {order: sum_up(cost[i] for cost in costs) if costs else 0.0 for i, order in enumerate(self._caps)}

    def _holds(self, spent: Mapping[float, float]) -> bool:
        within = [spent[order] <= cap for order, cap in self._caps.items()]
        return any(within) if self._any else all(within)


def _cap(epsilon: float, delta: float, order: float, orders: int) -> float:
    """Return the RDP at this order that leaves (epsilon, delta / orders), rounded down."""
    above_one(order)
    if orders == 1:  # any conversion holds for one order; this one is Canonne, Kamath, Steinke 2020, proposition 12
        cap = epsilon - math.log1p(-1.0 / order) + (math.log(delta) + math.log(order)) / (order - 1.0)
    else:
        cap = epsilon + math.log(delta / orders) / (order - 1.0)
    return float(np.nextafter(cap - 2.0**-40 * abs(epsilon), -np.inf))
