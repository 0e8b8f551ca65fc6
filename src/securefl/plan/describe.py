"""A plan for people and for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from securefl.encoding.fixed_point import FixedPoint
from securefl.plan import privacy as private
from securefl.plan.paillier import Paillier
from securefl.types import Graph

if TYPE_CHECKING:
    from securefl.plan.plan import Plan


def facts(plan: Plan) -> dict[str, Any]:
    """What was agreed and what follows from it."""
    chosen = plan.parameters
    return {
        "protocol": plan.protocol.name,
        "server": chosen.server.value,
        "graph": chosen.graph.value,
        "neighbours": chosen.neighbours,
        "parties": chosen.parties,
        "threshold": chosen.threshold,
        "max_colluders": chosen.max_colluders,
        "min_survivors": chosen.min_survivors,
        "quorum": chosen.quorum,
        "prefetch": plan.protocol.prefetch,
        **_paillier_facts(plan),
        **_encoding_facts(plan),
        "max_weight": plan.max_weight,
        "metrics": {name: [span.low, span.high] for name, span in plan.metrics.items()},
        "values": plan.layout.size,
        "ring_bits": plan.ring.bits,
        "bytes_per_value": plan.ring.word_bytes,
        "masked_bytes": plan.masked_bytes,
        "privacy": None if plan.release is None else private.facts(plan.release),
        "purpose": plan.purpose,
        "digest": digest_text(plan),
        "explanation": list(chosen.explanation),
    }


def text(plan: Plan) -> str:
    """A plan in a few lines."""
    if isinstance(plan.encoding, FixedPoint):
        grid = plan.encoding
        span = f"{grid.value_bits} bits on [-{grid.bound:g}, {grid.bound:g}]"
        values = [f"  {plan.layout.size} values of {span}, weights up to {plan.max_weight}: {_size(plan)}"]
    else:
        values = [f"  {plan.layout.size} values, weights up to {plan.max_weight} within the clip: {_size(plan)}"]
        values += ["  no noise chosen yet: a draft"] if plan.release is None else private.lines(plan.release)
    return "\n".join(
        [
            *_protocol_lines(plan),
            *values,
            f"  digest {digest_text(plan)[:16] or 'none'}",
        ]
    )


def digest_text(plan: Plan) -> str:
    """The plan's digest in hex; empty for a draft."""
    return "" if plan.draft else plan.digest().hex()


def _protocol_lines(plan: Plan) -> list[str]:
    chosen, protocol = plan.parameters, plan.protocol
    if isinstance(protocol, Paillier):
        decrypts = {
            "separate": "a key holder who is neither the server nor a party decrypts",
            "clients": "every party has the key: one of them and the server together see every vector",
            "threshold": f"any {chosen.threshold} of the parties decrypt together, with shares of a trusted dealer's key",
        }[str(protocol.holder)]
        trust = "audited" if protocol.audited else "semi-honest server"
        floors = f"at most {chosen.max_colluders} colluders, at least {chosen.min_survivors} survivors"
        return [
            f"Plan: Paillier encryption, {protocol.public_key.bits} bits, {protocol.randomness} randomness, {trust}",
            f"  key {protocol.fingerprint}: {decrypts}",
            f"  {chosen.parties} parties, {floors}; {chosen.quorum} must stay to the end",
        ]
    degree = f" with {chosen.neighbours} neighbours a party" if chosen.graph is Graph.K_REGULAR else ""
    floors = f"at most {chosen.max_colluders} colluders, at least {chosen.min_survivors} survivors"
    return [
        f"Plan: secure aggregation, {chosen.server} server, {chosen.graph} graph{degree}",
        f"  {chosen.parties} parties, threshold {chosen.threshold}, {floors}; {chosen.quorum} must stay to the end",
    ]


def _size(plan: Plan) -> str:
    if plan.slots is None:
        return f"ring of {plan.ring.bits} bits, {plan.ring.word_bytes} bytes a value, {plan.masked_bytes} bytes a party"
    return (
        f"slots of {plan.slots.slot_bits} bits, {plan.slots.slots} in a ciphertext, {plan.masked_bytes} bytes a party"
    )


def _paillier_facts(plan: Plan) -> dict[str, Any]:
    protocol = plan.protocol
    if not isinstance(protocol, Paillier):
        return {}
    slots = plan.slots
    return {
        "key_bits": protocol.public_key.bits,
        "key_fingerprint": protocol.fingerprint,
        "key_holder": str(protocol.holder),
        "audited": protocol.audited,
        "randomness": str(protocol.randomness),
        "slot_bits": None if slots is None else slots.slot_bits,
        "slots": None if slots is None else slots.slots,
        "ciphertexts": None if slots is None else slots.plaintexts(plan.length),
    }


def _encoding_facts(plan: Plan) -> dict[str, Any]:
    if not isinstance(plan.encoding, FixedPoint):
        return {}
    grid = plan.encoding
    return {
        "value_bits": grid.value_bits,
        "bound": grid.bound,
        "on_saturation": grid.on_saturation.value,
        "error_bound": grid.error_bound,
    }
