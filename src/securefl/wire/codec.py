"""Strict MessagePack: bounded before it is parsed, and accepted only in its one canonical form.

MessagePack lets the same value be written in many ways (an integer in a wider field, a map key twice). What is accepted here is
encoded again and must give the same bytes, so that a message has exactly one form and nothing can hide beside it.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from securefl.errors import MalformedMessageError

StructT = TypeVar("StructT", bound=msgspec.Struct)

_encoder = msgspec.msgpack.Encoder()


def encode(message: msgspec.Struct) -> bytes:
    """The canonical bytes of a message."""
    return _encoder.encode(message)


def decode(kind: type[StructT], data: bytes, *, limit: int, phase: str = "", suspect: str = "") -> StructT:
    """The message of type `kind` that `data` is the canonical form of.

    Args:
        kind: a frozen, array-like struct whose fields are bounded by `msgspec.Meta`.
        data: the bytes received.
        limit: the greatest length accepted, in bytes; longer data is refused unread.
        phase: the step that the error should name.
        suspect: the sender that the error should name.

    Raises:
        MalformedMessageError: too long, truncated, of another shape, out of bounds, or not canonical.
    """
    suspects = (suspect,) if suspect else ()
    if len(data) > limit:
        raise MalformedMessageError(
            f"{kind.__name__} is {len(data)} bytes long, at most {limit} are allowed here",
            phase=phase,
            suspects=suspects,
            remedy="the sender runs another plan or is at fault; drop it and go on",
        )
    try:
        message = msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError(
            f"{kind.__name__} of {len(data)} bytes does not parse: {error}",
            phase=phase,
            suspects=suspects,
            remedy="the bytes were truncated or altered; have them sent again",
        ) from error
    if _encoder.encode(message) != data:
        raise MalformedMessageError(
            f"{kind.__name__} of {len(data)} bytes is not in canonical form",
            phase=phase,
            suspects=suspects,
            remedy="the sender's encoder is not securefl's, or the bytes were altered",
        )
    return message
