"""MessagePack as a mutator needs it: trees in which anything can stand anywhere, and an encoder that writes what none should."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

DEEPEST = 8
"""Levels of a tree that are looked into: one built deeper is emitted, not walked."""


class Raw:
    """Bytes that are written as they are."""

    def __init__(self, data: bytes) -> None:
        self.data = data


class Wide:
    """A value in a longer form than it needs."""

    def __init__(self, value: Any, width: int) -> None:
        self.value, self.width = value, width


class Pairs(list):
    """A map, as a list of [key, value]: keys may come twice and be anything."""


class Blob(list):
    """One tree inside a byte string.

    Args:
        tree: what is inside.
        emit: what becomes of its bytes before they are written (sealed, cut).
    """

    def __init__(self, tree: Any, emit: Callable[[bytes], bytes] | None = None) -> None:
        super().__init__([tree])
        self.emit = emit

    def inner(self) -> bytes:
        """Its bytes."""
        data = pack(self[0]) if self else b""
        return self.emit(data) if self.emit is not None else data


def read(data: bytes) -> Any:
    """The tree in `data`; maps as `Pairs`.

    Raises:
        ValueError: no single MessagePack value.
    """
    try:
        return _plain(msgspec.msgpack.decode(data))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError) as error:
        raise ValueError(str(error)) from error


def _plain(value: Any, depth: int = 0) -> Any:
    if depth > DEEPEST:
        return Raw(msgspec.msgpack.encode(value))
    if isinstance(value, dict):
        return Pairs([_plain(k, depth + 1), _plain(v, depth + 1)] for k, v in value.items())
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    # Extensions, and the timestamp among them.
    return value if isinstance(value, bytes | str | int | float | None) else Raw(msgspec.msgpack.encode(value))


def places(tree: list[Any], depth: int = 0) -> Iterator[tuple[list[Any], int]]:
    """Every value of a tree, as the list that holds it and its index there."""
    for index, value in enumerate(tree):
        yield tree, index
        if isinstance(value, list) and depth < 2 * DEEPEST:
            yield from places(value, depth + 1)


def pack(value: Any, depth: int = 0) -> bytes:
    """The bytes of a tree, of whatever it is made."""
    if depth > 60:
        return b"\xc0"
    match value:
        case Raw():
            return value.data
        case Wide():
            return _wide(value.value, value.width, depth)
        case Blob():
            return _headed(value.inner(), 0xC4, 0xC5, 0xC6)
        case Pairs():
            body = b"".join(
                pack(part, depth + 1) for pair in value for part in (pair if type(pair) is list else [pair])
            )
            return _counted(len(value), 0x80, 0xDE, 0xDF) + body
        case list():
            return _counted(len(value), 0x90, 0xDC, 0xDD) + b"".join(pack(item, depth + 1) for item in value)
        case bytes():
            return _headed(value, 0xC4, 0xC5, 0xC6)
        case str():
            data = value.encode("utf-8", "surrogatepass")
            return bytes([0xA0 | len(data)]) + data if len(data) < 32 else _headed(data, 0xD9, 0xDA, 0xDB)
        case bool() | None:
            return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
        case int():
            return msgspec.msgpack.encode(max(-(1 << 63), min(value, (1 << 64) - 1)))
        case float():
            return b"\xcb" + struct.pack(">d", value)
    raise TypeError(f"no tree: {type(value)}")


def _counted(count: int, fix: int, short: int, long: int) -> bytes:
    if count < 16:
        return bytes([fix | count])
    return bytes([short]) + count.to_bytes(2, "big") if count < 1 << 16 else bytes([long]) + count.to_bytes(4, "big")


def _headed(data: bytes, byte: int, short: int, long: int) -> bytes:
    size = len(data)
    if size < 1 << 8:
        return bytes([byte, size]) + data
    return (
        bytes([short]) + size.to_bytes(2, "big") + data
        if size < 1 << 16
        else bytes([long]) + size.to_bytes(4, "big") + data
    )


def _wide(value: Any, width: int, depth: int) -> bytes:
    """A longer header than is needed: `width` is 0 for the next longer form, 1 for the longest."""
    if isinstance(value, Blob):
        value = value.inner()
    match value:
        case bytes():
            return (
                bytes([0xC5 + width]) + len(value).to_bytes(2 + 2 * width, "big") + value
                if len(value) < 1 << 16
                else pack(value)
            )
        case str():
            data = value.encode("utf-8", "surrogatepass")[: (1 << 16) - 1]
            return bytes([0xDA + width]) + len(data).to_bytes(2 + 2 * width, "big") + data
        case Pairs() | Raw() | Wide():
            return pack(value, depth)
        case list():
            items = b"".join(pack(item, depth + 1) for item in value)
            return bytes([0xDC + width]) + min(len(value), (1 << 16) - 1).to_bytes(2 + 2 * width, "big") + items
        case bool() | None:
            return pack(value)
        case int() if 0 <= value < 1 << 16:
            return bytes([0xCD + width]) + value.to_bytes(2 + 2 * width, "big")
        case int() if 0 <= value < 1 << 64:
            return b"\xcf" + value.to_bytes(8, "big")
    return pack(value)
