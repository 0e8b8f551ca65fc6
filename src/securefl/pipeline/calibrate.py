"""The noise of a plan from a target epsilon: dimension, parties, bits and floor decide how much that is."""

from __future__ import annotations

import dataclasses
from typing import Final

from securefl.dp.accounting import Accountant, Guarantee, Relation, Repeated, Unit, epsilon_of, guarantees
from securefl.dp.accounting import calibrate as least_noise
from securefl.dp.accounting.events import Event, check_count
from securefl.dp.accounting.floats import open_delta, positive, real, shown
from securefl.dp.mechanisms import Mechanism
from securefl.dp.modular_grid import MAX_BITS, MIN_BITS, ModularGrid
from securefl.errors import UnsafePlanError
from securefl.pipeline.private import release_of
from securefl.plan import Plan

_NEXT_TO_NONE: Final = 2e-9
"""A multiplier below any that is of use; an adaptive clip takes none of 1e-9 or less."""


def calibrate(
    plan: Plan,
    *,
    epsilon: float,
    delta: float,
    rounds: int,
    unit: Unit | str | None = None,
    relation: Relation | str | None = None,
    accountant: Accountant | str = Accountant.RDP,
) -> Plan:
    """Return the plan with the least noise with which so many rounds cost at most epsilon, to within 1e-5, against an observer.

        plan = sfl.Plan(template=..., parties=100, privacy=sfl.DistributedDiscreteGaussian(clip=1.0))
        plan = sfl.dp.calibrate(plan, epsilon=8.0, delta=1e-3, rounds=30)

    Against the server the same holds for distributed and local noise, and nothing for central noise, which the server adds itself.

    Args:
        plan: private; a noise multiplier that it has is replaced.
        epsilon: the target, positive.
        delta: in (0, 1); well below one over the number of parties.
        rounds: T; every party takes part in each.
        unit: whose influence is bounded; the plan's unless given.
        relation: which datasets are neighbours; the plan's unless given.
        accountant: whose bound must meet the target.

    Raises:
        UnsafePlanError: the plan has no mechanism, no noise meets the target or fits the ring, or the relation or unit is not one that
            the mechanism yields.
        ConfigError: the `dp` extra is not installed.
    """
    asked = plan.privacy
    if not isinstance(asked, Mechanism):
        raise UnsafePlanError(
            "a plan without differential privacy has no noise to choose",
            value=None,
            bound="a mechanism",
            remedy="plan.replace(privacy=securefl.DistributedDiscreteGaussian(clip=...))",
        )
    check_count("the number of rounds", rounds)
    positive("the target epsilon", epsilon, "name a positive number")
    open_delta(delta)
    by = Accountant.parse(accountant)
    asked = dataclasses.replace(
        asked, unit=asked.unit if unit is None else unit, relation=asked.relation if relation is None else relation
    )

    def planned(multiplier: float) -> Plan:
        return plan.replace(privacy=dataclasses.replace(asked, noise_multiplier=multiplier))

    def event_of(multiplier: float) -> Event:
        return Repeated(release_of(planned(multiplier)).event, rounds)

    # A coarse grid has a least noise of its own, which may be enough; the search starts from it, as more may not fit the ring.
    least = release_of(planned(_NEXT_TO_NONE))
    start, draws = least.noise_multiplier * 1.001, least.draws * rounds
    bound = epsilon_of(event_of(start), delta, Relation.parse(asked.relation), by, draws=draws)
    if bound <= epsilon:
        return planned(start)
    found = least_noise(
        event_of,
        epsilon=epsilon,
        delta=delta,
        relation=Relation.parse(asked.relation),
        accountant=by,
        draws=draws,
        start=start,
    )
    return planned(found.noise)


def fewest_bits(
    plan: Plan,
    *,
    epsilon: float,
    delta: float,
    rounds: int,
    error: float | None = None,
    excess: float = 0.01,
    accountant: Accountant | str = Accountant.RDP,
) -> Plan:
    """Return the calibrated plan with the smallest ring whose error in each value of the mean is small enough.

    Args:
        plan: private; its ring's size is replaced, whether sums may wrap is kept.
        epsilon: as for `calibrate`.
        delta: as for `calibrate`.
        rounds: as for `calibrate`.
        error: the largest standard deviation of noise and rounding together, in the update's own unit; None for what a ring of 32
            bits has, and `excess` more.
        excess: the part that a small ring may cost beyond that, 0.01 for 1 %.
        accountant: as for `calibrate`.

    Raises:
        UnsafePlanError: no ring of 8 to 32 bits has so small an error, or as `calibrate`.
        ConfigError: the `dp` extra is not installed.
    """

    def with_bits(bits: int) -> Plan:
        grid = plan.encoding
        if not isinstance(grid, ModularGrid):
            grid = ModularGrid()
        wider = plan.replace(encoding=dataclasses.replace(grid, ring_bits=bits), ring_bits=None)
        return calibrate(wider, epsilon=epsilon, delta=delta, rounds=rounds, accountant=accountant)

    for name, number in (("the error", error), ("the excess", excess)):
        if not (number is None and name == "the error") and not real(number) >= 0:
            raise UnsafePlanError(
                f"{name} is out of range",
                value=shown(number),
                bound=">= 0",
                remedy="give a number; 0.01 is 1 % of excess",
            )
    widest = with_bits(MAX_BITS)
    least = release_of(widest).error_std
    wanted = least * (1 + excess) if error is None else error
    if least > wanted:
        raise UnsafePlanError(
            "no ring has so small an error: standard deviation in each value of the mean",
            value=wanted,
            bound=f">= {least:.6g}, which the noise for this epsilon has",
            remedy="allow a larger error or epsilon, fewer rounds, or invite more parties",
        )
    low, high, found = MIN_BITS - 1, MAX_BITS, widest
    while high - low > 1:  # the error falls with every bit
        middle = (low + high) // 2
        try:
            tried = with_bits(middle)
        except UnsafePlanError:  # too small for the noise
            low = middle
            continue
        if release_of(tried).error_std <= wanted:
            high, found = middle, tried
        else:
            low = middle
    return found


def privacy_of(plan: Plan, *, delta: float, rounds: int) -> tuple[Guarantee, Guarantee]:
    """Return what so many rounds of a plan guarantee: against the server, and against an observer of the results.

    Args:
        plan: private.
        delta: in (0, 1).
        rounds: T.

    Raises:
        UnsafePlanError: delta or rounds out of range.
        LocalProtocolError: the plan has no noise.
        ConfigError: the `dp` extra is not installed.
    """
    release = release_of(plan)
    asked, floor = release.mechanism, release.floor
    return guarantees(
        Repeated(release.event, rounds),
        delta=delta,
        relation=Relation.parse(asked.relation),
        unit=Unit.parse(asked.unit),
        rounds=rounds,
        colluders=floor.colluders,
        floor=floor.survivors,
        draws=release.draws * rounds,
    )
