"""Page, "Canonical MessagePack": the types that travel, each in its shortest form, and a decoder that takes no other."""

import struct

from reference.errors import Malformed

_SIZES = {8: 1, 16: 2, 32: 4, 64: 8}
_INTEGERS = {0xCC: 8, 0xCD: 16, 0xCE: 32, 0xCF: 64}
_BYTES = {0xC4: 8, 0xC5: 16, 0xC6: 32}
_TEXTS = {0xD9: 8, 0xDA: 16, 0xDB: 32}
_ARRAYS = {0xDC: 16, 0xDD: 32}
_FLOAT64 = 0xCB


def _head(forms, value):
    """The first byte and the big-endian number of the narrowest form that holds `value`."""
    for first, bits in forms.items():
        if value < 1 << bits:
            return bytes([first]) + value.to_bytes(_SIZES[bits], "big")
    raise ValueError(value)


def encode(value):
    """Nil, unsigned integers, booleans, bytes, text, float64 and lists (or tuples) of them."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return bytes([value]) if value < 0x80 else _head(_INTEGERS, value)
    if isinstance(value, float):
        return bytes([_FLOAT64]) + struct.pack(">d", value)
    if isinstance(value, bytes):
        return _head(_BYTES, len(value)) + value
    if isinstance(value, str):
        data = value.encode("utf-8")
        return (bytes([0xA0 | len(data)]) if len(data) < 32 else _head(_TEXTS, len(data))) + data
    items = b"".join(map(encode, value))
    return (bytes([0x90 | len(value)]) if len(value) < 16 else _head(_ARRAYS, len(value))) + items


def decode(data):
    """The one value in `data`; Malformed for anything but its canonical form."""
    value, end = _decode(data, 0, 0)
    if end != len(data):
        raise Malformed("bytes after the end")
    return value


def _take(data, start, size):
    if start + size > len(data):
        raise Malformed("truncated")
    return data[start : start + size], start + size


def _number(data, start, bits, least):
    """A number of `bits` bits that no narrower form could have held."""
    raw, end = _take(data, start, _SIZES[bits])
    number = int.from_bytes(raw, "big")
    if number < least:
        raise Malformed("a number in a wider form than it needs")
    return number, end


def _least(bits, shortest):
    """The smallest number that needs this form: one more than the form before it holds."""
    return shortest if bits == 8 else 1 << bits // 2


def _decode(data, start, depth):
    if depth > 8:
        raise Malformed("nested too deeply")
    raw, at = _take(data, start, 1)
    first = raw[0]
    if first < 0x80:
        return first, at
    if first == 0xC0:
        return None, at
    if first in {0xC2, 0xC3}:
        return first == 0xC3, at
    if first in _INTEGERS:
        return _number(data, at, _INTEGERS[first], _least(_INTEGERS[first], 0x80))
    if first == _FLOAT64:
        raw, at = _take(data, at, 8)
        return struct.unpack(">d", raw)[0], at
    if first in _BYTES:
        size, at = _number(data, at, _BYTES[first], _least(_BYTES[first], 0))
        return _take(data, at, size)
    if first & 0xE0 == 0xA0 or first in _TEXTS:
        size = first & 0x1F
        if first in _TEXTS:
            size, at = _number(data, at, _TEXTS[first], _least(_TEXTS[first], 32))
        raw, at = _take(data, at, size)
        try:
            return raw.decode("utf-8"), at
        except UnicodeDecodeError:
            raise Malformed("text that is no UTF-8") from None
    if first & 0xF0 == 0x90 or first in _ARRAYS:
        size = first & 0x0F
        if first in _ARRAYS:
            size, at = _number(data, at, _ARRAYS[first], 16 if _ARRAYS[first] == 16 else 1 << 16)
        items = []
        for _ in range(size):
            item, at = _decode(data, at, depth + 1)
            items.append(item)
        return items, at
    raise Malformed(f"a value of a type that never travels: {first:#x}")
