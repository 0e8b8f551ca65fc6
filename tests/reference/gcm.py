"""AES-256-GCM with 96-bit nonces and 128-bit tags (NIST SP 800-38D)."""

import hmac

from reference.aes import encrypt_block, expand_key
from reference.errors import Refused


def _times(x, y):
    """Section 6.3: the product of two blocks, bit 0 being the highest of the integer."""
    product = 0
    for i in range(127, -1, -1):
        if x >> i & 1:
            product ^= y
        y = (y >> 1) ^ (0xE1 << 120 if y & 1 else 0)
    return product


def _ghash(h, aad, ciphertext):
    """Section 6.4 over both, zero-padded, and their lengths in bits."""
    data = aad + bytes(-len(aad) % 16) + ciphertext + bytes(-len(ciphertext) % 16)
    data += (8 * len(aad)).to_bytes(8, "big") + (8 * len(ciphertext)).to_bytes(8, "big")
    y = 0
    for i in range(0, len(data), 16):
        y = _times(y ^ int.from_bytes(data[i : i + 16], "big"), h)
    return y


def _stream(round_keys, nonce, length):
    """Section 6.5: from inc32(J0) = nonce || 2 on."""
    blocks = [encrypt_block(round_keys, nonce + (2 + i).to_bytes(4, "big")) for i in range(-(-length // 16))]
    return b"".join(blocks)[:length]


def _tag(round_keys, nonce, aad, ciphertext):
    h = int.from_bytes(encrypt_block(round_keys, bytes(16)), "big")
    mask = int.from_bytes(encrypt_block(round_keys, nonce + b"\x00\x00\x00\x01"), "big")
    return (_ghash(h, aad, ciphertext) ^ mask).to_bytes(16, "big")


def encrypt(key, nonce, plaintext, aad):
    """Section 7.1: ciphertext || tag."""
    round_keys = expand_key(key)
    stream = _stream(round_keys, nonce, len(plaintext))
    ciphertext = bytes(a ^ b for a, b in zip(plaintext, stream, strict=True))
    return ciphertext + _tag(round_keys, nonce, aad, ciphertext)


def decrypt(key, nonce, data, aad):
    """Section 7.2."""
    if len(data) < 16:
        raise Refused("shorter than a tag")
    round_keys = expand_key(key)
    ciphertext, tag = data[:-16], data[-16:]
    if not hmac.compare_digest(tag, _tag(round_keys, nonce, aad, ciphertext)):
        raise Refused("the tag does not match")
    stream = _stream(round_keys, nonce, len(ciphertext))
    return bytes(a ^ b for a, b in zip(ciphertext, stream, strict=True))
