"""The table that says how inputs are attacked, in training and in the evaluation."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from securefl.report.tables import Count, Positive, Table

Bound: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]


class AdversarialConfig(Table, frozen=True):
    """`[adversarial]`: parties train on inputs that PGD has moved, and accuracy is measured under attack too; none without `epsilon`.

    Args:
        epsilon: how far each value of an input may be moved, in its own unit.
        train: false to measure only, of a training that is not attacked.
        steps: of the attack in training; 7 unless given.
        step: how far one goes; 2.5 epsilon / steps unless given.
        low: the least value of an input; 0 unless given.
        high: the largest; 1 unless given.
        test_steps: of the attack in the evaluation; 30 unless given.
        restarts: its runs from other starts, all of which a prediction must withstand; 2 unless given.
    """

    epsilon: Positive | None = None
    train: bool | None = None
    steps: Count | None = None
    step: Positive | None = None
    low: Bound | None = None
    high: Bound | None = None
    test_steps: Count | None = None
    restarts: Count | None = None
