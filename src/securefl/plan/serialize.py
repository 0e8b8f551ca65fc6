"""The plan on the wire: one bounded struct with every resolved value, so that equal plans have equal bytes."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from securefl.encoding.layout import MAX_LEAVES, MAX_NDIM
from securefl.plan.paillier import PaillierMessage
from securefl.plan.privacy import PrivacyMessage

PLAN_VERSION: Final = 1
MAX_PLAN_BYTES: Final = 1 << 20
MAX_METRICS: Final = 64

Size: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class LeafMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One leaf of the layout."""

    name: Annotated[str, msgspec.Meta(max_length=1024)]
    shape: Annotated[list[Size], msgspec.Meta(max_length=MAX_NDIM)]
    dtype: Annotated[str, msgspec.Meta(max_length=16)]


class MetricMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One metric and its range."""

    name: Annotated[str, msgspec.Meta(max_length=64)]
    low: float
    high: float


class PlanMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The whole plan, nothing computed left out."""

    version: Annotated[int, msgspec.Meta(ge=PLAN_VERSION, le=PLAN_VERSION)]
    protocol: Literal["secagg", "paillier"]
    server: Annotated[str, msgspec.Meta(max_length=16)]
    graph: Annotated[str, msgspec.Meta(max_length=16)]
    parties: Size
    threshold: Size
    max_colluders: Size
    min_survivors: Size
    neighbours: Size
    prefetch: bool
    ring_bits: Size
    value_bits: Size
    bound: float
    on_saturation: Annotated[str, msgspec.Meta(max_length=16)]
    max_weight: Size
    metrics: Annotated[list[MetricMessage], msgspec.Meta(max_length=MAX_METRICS)]
    leaves: Annotated[list[LeafMessage], msgspec.Meta(max_length=MAX_LEAVES)]
    privacy: PrivacyMessage | None
    purpose: Annotated[str, msgspec.Meta(max_length=256)]
    policy_digest: Annotated[bytes, msgspec.Meta(max_length=32)]


class PaillierPlanMessage(PlanMessage, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A plan under a Paillier key: all that every plan has, then the key and who holds it."""

    paillier: PaillierMessage
