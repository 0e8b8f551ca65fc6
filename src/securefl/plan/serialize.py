"""The plan on the wire: one bounded struct with every resolved value, so that equal plans have equal bytes."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from securefl.encoding.fixed_point import FixedPoint
from securefl.encoding.layout import MAX_LEAVES, MAX_NDIM, Layout, Leaf
from securefl.encoding.ranges import Range
from securefl.errors import MalformedMessageError
from securefl.plan.plan import MAX_METRICS, Plan
from securefl.plan.protocol import SecAgg
from securefl.wire import codec

PLAN_VERSION: Final = 1
MAX_PLAN_BYTES: Final = 1 << 20

_Size = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class _Leaf(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(max_length=1024)]
    shape: Annotated[list[_Size], msgspec.Meta(max_length=MAX_NDIM)]
    dtype: Annotated[str, msgspec.Meta(max_length=16)]


class _Metric(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(max_length=64)]
    low: float
    high: float


class _PlanMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: Annotated[int, msgspec.Meta(ge=PLAN_VERSION, le=PLAN_VERSION)]
    protocol: Literal["secagg"]
    server: Annotated[str, msgspec.Meta(max_length=16)]
    graph: Annotated[str, msgspec.Meta(max_length=16)]
    parties: _Size
    threshold: _Size
    max_colluders: _Size
    min_survivors: _Size
    ring_bits: _Size
    value_bits: _Size
    bound: float
    on_saturation: Annotated[str, msgspec.Meta(max_length=16)]
    max_weight: _Size
    metrics: Annotated[list[_Metric], msgspec.Meta(max_length=MAX_METRICS)]
    leaves: Annotated[list[_Leaf], msgspec.Meta(max_length=MAX_LEAVES)]
    purpose: Annotated[str, msgspec.Meta(max_length=256)]
    policy_digest: Annotated[bytes, msgspec.Meta(max_length=32)]


def to_bytes(plan: Plan) -> bytes:
    """See `Plan.to_bytes`."""
    chosen = plan.parameters
    return codec.encode(
        _PlanMessage(
            version=PLAN_VERSION,
            protocol="secagg",
            server=chosen.server.value,
            graph=chosen.graph.value,
            parties=chosen.parties,
            threshold=chosen.threshold,
            max_colluders=chosen.max_colluders,
            min_survivors=chosen.min_survivors,
            ring_bits=plan.ring.bits,
            value_bits=plan.encoding.value_bits,
            bound=plan.encoding.bound,
            on_saturation=plan.encoding.on_saturation.value,
            max_weight=plan.max_weight,
            metrics=[_Metric(name, float(span.low), float(span.high)) for name, span in plan.metrics.items()],
            leaves=[_Leaf(leaf.name, list(leaf.shape), leaf.dtype) for leaf in plan.layout.leaves],
            purpose=plan.purpose,
            policy_digest=plan.policy_digest,
        )
    )


def from_bytes(data: bytes) -> Plan:
    """See `Plan.from_bytes`."""
    message = codec.decode(_PlanMessage, data, limit=MAX_PLAN_BYTES)
    plan = Plan(
        template=Layout(tuple(Leaf(leaf.name, tuple(leaf.shape), leaf.dtype) for leaf in message.leaves)),
        parties=message.parties,
        protocol=SecAgg(
            threshold=message.threshold,
            server=message.server,
            max_colluders=message.max_colluders,
            min_survivors=message.min_survivors,
            graph=message.graph,
        ),
        encoding=FixedPoint(message.value_bits, message.bound, message.on_saturation),  # type: ignore[arg-type]
        max_weight=message.max_weight,
        metrics={metric.name: Range(metric.low, metric.high) for metric in message.metrics},
        ring_bits=message.ring_bits,
        purpose=message.purpose,
        policy_digest=message.policy_digest,
    )
    if to_bytes(plan) != data:
        raise MalformedMessageError(
            "a plan is not in canonical form: its metrics or leaves are unordered or doubled",
            remedy="write it with Plan.to_bytes",
        )
    return plan
