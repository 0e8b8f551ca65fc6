"""What the tables of a configuration have in common: they are strict, frozen, and know the ranges of their numbers."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

Fraction: TypeAlias = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
NotNegative: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Numbers: TypeAlias = Annotated[tuple[Positive, ...], msgspec.Meta(min_length=1, max_length=10_000)]
Names: TypeAlias = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table; unknown keys are refused."""
