"""Page, "Masks" and "Words on the wire": integers mod 2^b, their masks and their bytes."""

from reference.aes import ctr_stream
from reference.errors import Malformed


def mask_words(key, count, bits, offset=0):
    """Words offset..offset+count-1 of the mask under `key`."""
    width = 4 if bits <= 32 else 8
    stream = ctr_stream(key, width * count, skip=width * offset)
    return [int.from_bytes(stream[width * i : width * (i + 1)], "little") % 2**bits for i in range(count)]


def add_masks(words, masks, bits):
    """Add (key, sign) masks to a whole vector modulo 2^b."""
    for key, sign in masks:
        words = [(x + sign * m) % 2**bits for x, m in zip(words, mask_words(key, len(words), bits), strict=True)]
    return words


def pack(words, bits):
    return b"".join(word.to_bytes(-(-bits // 8), "little") for word in words)


def unpack(data, bits, count):
    width = -(-bits // 8)
    if len(data) != width * count:
        raise Malformed("another number of words")
    words = [int.from_bytes(data[i : i + width], "little") for i in range(0, len(data), width)]
    if any(word >> bits for word in words):
        raise Malformed("a word that is not below 2^b")
    return words
