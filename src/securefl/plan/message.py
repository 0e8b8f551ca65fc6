"""A plan to what travels of it, and back to the arguments that construct it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from securefl.encoding.fixed_point import FixedPoint
from securefl.encoding.layout import Layout, Leaf
from securefl.encoding.ranges import Range
from securefl.plan import privacy as private
from securefl.plan.paillier import Paillier
from securefl.plan.protocol import SecAgg
from securefl.plan.serialize import (
    MAX_PLAN_BYTES,
    PLAN_VERSION,
    LeafMessage,
    MetricMessage,
    PaillierPlanMessage,
    PlanMessage,
)
from securefl.wire import codec

if TYPE_CHECKING:
    from securefl.plan.plan import Plan


def message_of(plan: Plan) -> PlanMessage:
    """What travels of a plan that is no draft."""
    chosen, grid, protocol = plan.parameters, plan.encoding, plan.protocol
    fields: dict[str, Any] = {
        "version": PLAN_VERSION,
        "protocol": protocol.name,
        "server": chosen.server.value,
        "graph": chosen.graph.value,
        "parties": chosen.parties,
        "threshold": chosen.threshold,
        "max_colluders": chosen.max_colluders,
        "min_survivors": chosen.min_survivors,
        "neighbours": chosen.neighbours,
        "prefetch": protocol.prefetch,
        "ring_bits": plan.ring.bits,
        "value_bits": grid.value_bits if isinstance(grid, FixedPoint) else 0,
        "bound": grid.bound if isinstance(grid, FixedPoint) else 0.0,
        "on_saturation": grid.on_saturation.value if isinstance(grid, FixedPoint) else "",
        "max_weight": plan.max_weight,
        "metrics": [MetricMessage(name, float(span.low), float(span.high)) for name, span in plan.metrics.items()],
        "leaves": [LeafMessage(leaf.name, list(leaf.shape), leaf.dtype) for leaf in plan.layout.leaves],
        "privacy": private.message_of(plan.release) if plan.release is not None else None,
        "purpose": plan.purpose,
        "policy_digest": plan.policy_digest,
    }
    if isinstance(protocol, Paillier):
        return PaillierPlanMessage(**fields, paillier=protocol.message())
    return PlanMessage(**fields)


def decoded(data: bytes) -> PlanMessage:
    """The message in a plan's bytes.

    Raises:
        MalformedMessageError: no plan.
    """
    return codec.decode(PaillierPlanMessage if _is_paillier(data) else PlanMessage, data, limit=MAX_PLAN_BYTES)


def fields_of(message: PlanMessage) -> dict[str, Any]:
    """The arguments of `Plan` that travelled.

    Raises:
        UnsafePlanError, EncodingError, CryptoError: none that a plan can have.
    """
    layout = Layout(tuple(Leaf(leaf.name, tuple(leaf.shape), leaf.dtype) for leaf in message.leaves))
    protocol = _protocol_of(message)
    release, encoding = None, None
    if message.privacy is not None:
        chosen = protocol.resolve(message.parties, identities=False)
        release = private.release_of(message.privacy, ring_bits=message.ring_bits, chosen=chosen, layout=layout)
        encoding = release.grid
    return {
        "template": layout,
        "parties": message.parties,
        "protocol": protocol,
        "encoding": encoding or FixedPoint(message.value_bits, message.bound, message.on_saturation),  # type: ignore[arg-type]
        "privacy": release,
        "max_weight": message.max_weight,
        "metrics": {metric.name: Range(metric.low, metric.high) for metric in message.metrics},
        "ring_bits": message.ring_bits,
        "purpose": message.purpose,
        "policy_digest": message.policy_digest,
    }


def _protocol_of(message: PlanMessage) -> SecAgg | Paillier:
    if isinstance(message, PaillierPlanMessage):
        return Paillier.of(message.paillier, max_colluders=message.max_colluders, min_survivors=message.min_survivors)
    return SecAgg(
        threshold=message.threshold,
        server=message.server,
        max_colluders=message.max_colluders,
        min_survivors=message.min_survivors,
        graph=message.graph,
        neighbours=message.neighbours,
        prefetch=message.prefetch,
    )


def _is_paillier(data: bytes) -> bool:
    """Whether bytes begin as those of a Paillier plan: its number of fields, the version, the protocol's name."""
    fields = len(PaillierPlanMessage.__struct_fields__)
    head = (
        b"\xdc" + fields.to_bytes(2, "big") + bytes([PLAN_VERSION, 0xA0 + len(Paillier.name)]) + Paillier.name.encode()
    )
    return data.startswith(head)
