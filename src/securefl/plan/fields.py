"""What each field of a plan may hold by itself; how they go together is `Plan`'s to decide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from securefl.dp.mechanisms import Mechanism, Release
from securefl.dp.modular_grid import ModularGrid
from securefl.encoding.fixed_point import FixedPoint
from securefl.encoding.ranges import Range
from securefl.errors import UnsafePlanError
from securefl.plan.paillier import Paillier
from securefl.plan.protocol import SecAgg
from securefl.plan.serialize import MAX_METRICS

MAX_WEIGHT: Final = 1 << 31


def encoding_of(encoding: object, privacy: object) -> FixedPoint | ModularGrid:
    """The encoding, or the default beside this privacy; the two kinds are not mixed."""
    if privacy is not None and not isinstance(privacy, Mechanism | Release):
        raise UnsafePlanError(
            "privacy is of another type",
            value=repr(privacy)[:80],
            bound="a mechanism, such as DistributedDiscreteGaussian",
            remedy="pass a mechanism, or None",
        )
    if encoding is None:
        return FixedPoint() if privacy is None else ModularGrid()
    if not isinstance(encoding, FixedPoint | ModularGrid):
        raise UnsafePlanError(
            "encoding is of another type",
            value=repr(encoding)[:80],
            bound="a FixedPoint, or a ModularGrid under differential privacy",
            remedy="pass one of these",
        )
    if isinstance(encoding, FixedPoint) != (privacy is None):
        wanted = "FixedPoint" if privacy is None else "ModularGrid"
        raise UnsafePlanError(
            f"{type(encoding).__name__} {'without' if privacy is None else 'with'} differential privacy",
            value=repr(encoding)[:80],
            bound=f"a {wanted}",
            remedy=f"pass a {wanted}, or leave encoding out: under privacy the scale follows from clip and noise",
        )
    return encoding


def check_types(protocol: object, metrics: object) -> None:
    """Check that protocol and metrics are of their types.

    Raises:
        UnsafePlanError: they are not.
    """
    for name, value, kind in (
        ("protocol", protocol, (SecAgg, Paillier)),
        ("metrics", metrics, (Mapping,)),
    ):
        if not isinstance(value, kind):
            names = " or ".join(f"a {one.__name__}" for one in kind)
            raise UnsafePlanError(
                f"{name} is of another type", value=repr(value)[:80], bound=names, remedy=f"pass {names}"
            )


def ranges_of(metrics: Mapping[str, Any]) -> dict[str, Range]:
    """Return the ranges of the metrics, in the order of their names.

    Raises:
        UnsafePlanError: too many, a name that cannot be printed, or no range.
    """
    if len(metrics) > MAX_METRICS:
        raise UnsafePlanError(
            "too many metrics", value=len(metrics), bound=f"<= {MAX_METRICS}", remedy="put them into the update itself"
        )
    ranges = {}
    for name in sorted(metrics, key=str):
        span = metrics[name]
        if not isinstance(name, str) or not 0 < len(name) <= 64 or not name.isprintable():
            raise UnsafePlanError(
                "a metric's name", value=repr(name), bound="1..64 printable characters", remedy="rename it"
            )
        try:
            low, high = (span.low, span.high) if isinstance(span, Range) else span
            ranges[name] = Range(low, high)
        except (TypeError, ValueError):
            raise UnsafePlanError(
                f"the range of metric {name!r}",
                value=repr(span)[:80],
                bound="two numbers (low, high)",
                remedy="give both",
            ) from None
    return ranges


def check_weight(max_weight: int) -> None:
    """Check the largest weight.

    Raises:
        UnsafePlanError: it is out of bounds.
    """
    if isinstance(max_weight, bool) or not isinstance(max_weight, int) or not 1 <= max_weight <= MAX_WEIGHT:
        raise UnsafePlanError(
            "max_weight out of bounds",
            value=repr(max_weight),
            bound=f"1..{MAX_WEIGHT}",
            remedy="use the largest number of examples that a party may have; 1 for an unweighted mean",
        )


def check_text(purpose: str, policy_digest: bytes) -> None:
    """Check the purpose, and the digest of the policy.

    Raises:
        UnsafePlanError: a purpose that is too long or cannot be printed, or a digest of another length.
    """
    if not isinstance(purpose, str) or len(purpose) > 256 or not (purpose.isprintable() or not purpose):
        raise UnsafePlanError(
            "purpose", value=repr(purpose)[:80], bound="<= 256 printable characters", remedy="shorten it"
        )
    if not isinstance(policy_digest, bytes) or len(policy_digest) not in {0, 32}:
        raise UnsafePlanError(
            "policy_digest",
            value=repr(policy_digest)[:80],
            bound="32 bytes or none",
            remedy="use ClientPolicy.digest()",
        )
