"""What a guarantee is about: which datasets are neighbours, and whose presence an epsilon hides."""

from __future__ import annotations

import enum

from securefl.errors import UnsafePlanError


class Relation(enum.StrEnum):
    """Which datasets count as neighbours.

    add-remove: one unit more or less. zero-out: one unit's vector becomes zero, its noise share stays
    (arXiv:2103.00039, definition 1.1; dp-accounting calls it REPLACE_SPECIAL). replace-one: one unit's vector becomes
    any other.
    """

    ADD_REMOVE = "add-remove"
    ZERO_OUT = "zero-out"
    REPLACE_ONE = "replace-one"

    @classmethod
    def parse(cls, label: str) -> Relation:
        """Return the relation of that name.

        Raises:
            UnsafePlanError: there is none.
        """
        try:
            return cls(label)
        except ValueError:
            raise UnsafePlanError(
                "unknown neighbouring relation",
                value=repr(label)[:80],
                bound=", ".join(cls),
                remedy="name one of these",
            ) from None

    @property
    def sensitivity_factor(self) -> int:
        """By how much the clip C is to be multiplied for the L2 sensitivity of a clipped sum: 1, 1 and 2."""
        return 2 if self == Relation.REPLACE_ONE else 1


class Unit(enum.StrEnum):
    """Whose influence a guarantee bounds.

    Clipping each party's vector protects a party, whatever it is called; an example is protected by DP-SGD only.
    A person whose data lie with k parties has the guarantee of a group of k.
    """

    PARTY = "party"
    USER = "user"
    ORGANISATION = "organisation"
    DEVICE = "device"
    EXAMPLE = "example"

    @classmethod
    def parse(cls, label: str) -> Unit:
        """Return the unit of that name; "record" is another word for an example.

        Raises:
            UnsafePlanError: there is none.
        """
        try:
            return cls.EXAMPLE if label == "record" else cls(label)
        except ValueError:
            raise UnsafePlanError(
                "unknown unit of privacy",
                value=repr(label)[:80],
                bound=", ".join([*cls, "record"]),
                remedy="per-party clipping protects a party; examples need DP-SGD",
            ) from None

    @property
    def is_party(self) -> bool:
        """Whether clipping each party's vector yields this unit."""
        return self != Unit.EXAMPLE

    def require_yielded(self, *, dp_sgd: bool) -> None:
        """Raise if the mechanism does not protect this unit.

        Args:
            dp_sgd: whether examples are clipped, by DP-SGD, rather than each party's vector.

        Raises:
            UnsafePlanError: examples without DP-SGD, or parties by DP-SGD alone.
        """
        if self.is_party == dp_sgd:
            bound = "example" if dp_sgd else "party, user, organisation or device"
            remedy = (
                "DP-SGD bounds what one example does, not one party; clip each party's vector as well"
                if dp_sgd
                else "clipping each party's vector bounds what one party does; for examples train with DP-SGD"
            )
            raise UnsafePlanError(
                "the mechanism does not protect this unit", value=str(self), bound=bound, remedy=remedy
            )
