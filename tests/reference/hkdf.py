"""HKDF-SHA256 (RFC 5869, sections 2.2 and 2.3)."""

import hashlib
import hmac


def _hmac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def extract(salt, secret):
    return _hmac(salt, secret)


def expand(key, info, length):
    output, block, counter = b"", b"", 1
    while len(output) < length:
        block = _hmac(key, block + info + bytes([counter]))
        output += block
        counter += 1
    return output[:length]


def hkdf(secret, salt, info, length=32):
    return expand(extract(salt, secret), info, length)
