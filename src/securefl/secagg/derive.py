"""Every key of a round: HKDF-SHA256 with salt = ctx and an info that names its one use (RFC 5869)."""

from __future__ import annotations

from securefl.crypto.digest import u32
from securefl.crypto.kdf import derive_key


def pair_key(ctx: bytes, agreed: bytes, one: int, other: int) -> bytes:
    """The mask key of a pair, the same for both: info = "pair" || lower index || higher index. `agreed` is X25519's 32 bytes."""
    return derive_key(agreed, salt=ctx, info=b"pair" + u32(min(one, other)) + u32(max(one, other)))


def share_key(ctx: bytes, agreed: bytes, source: int, destination: int) -> bytes:
    """The key that seals the shares from `source` to `destination`: info = "share" || source || destination."""
    return derive_key(agreed, salt=ctx, info=b"share" + u32(source) + u32(destination))


def self_key(ctx: bytes, party: int, seed: bytes) -> bytes:
    """The key of a party's own mask, from its 32-byte seed b_u: info = "self" || u."""
    return derive_key(seed, salt=ctx, info=b"self" + u32(party))


def pair_sign(party: int, peer: int) -> int:
    """The sign with which `party` applies its pair's mask: the lower index adds, the higher subtracts, so that they cancel."""
    return 1 if party < peer else -1
