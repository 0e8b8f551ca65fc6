"""What an audit says about a claim. It never says that the claim holds."""

from __future__ import annotations

import enum


class Verdict(enum.StrEnum):
    """Whether a lower bound is above what was claimed."""

    NOT_REFUTED = "not refuted"
    REFUTED = "refuted"

    @classmethod
    def on(cls, claimed: float, *, lower: float) -> Verdict:
        """The verdict on a claim, whose truth is at least `lower` but for a small chance."""
        return cls.REFUTED if lower > claimed else cls.NOT_REFUTED
