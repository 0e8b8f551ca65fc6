"""Keys in the JSON form of the `phe` library (JWK with kty DAJ), without that library."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final

from securefl.errors import CryptoError
from securefl.paillier.private_key import PrivateKey
from securefl.paillier.public_key import MAX_BITS, PublicKey

_KTY: Final = "DAJ"
_ALG: Final = "PAI-GN1"
_MAX_TEXT: Final = 1 << 16


def public_to_jwk(key: PublicKey) -> str:
    """Return a public key as JSON; its kid is the fingerprint."""
    return json.dumps(_public(key))


def public_from_jwk(text: str | bytes, *, insecure_size_for_tests: bool = False) -> PublicKey:
    """Read and check a public key; it serves `standard` randomness only, because nothing is known about its primes.

    Raises:
        CryptoError: no such JSON, another kind of key, or a modulus that is not as it should be.
    """
    return PublicKey(_modulus(_parse(text)), insecure_size_for_tests=insecure_size_for_tests)


def private_to_jwk_in_clear(key: PrivateKey) -> str:
    """Return a private key as JSON, unencrypted: that form knows no encryption. Keep it nowhere."""
    p, q = key.primes
    return json.dumps({
        "kty": _KTY,
        "key_ops": ["decrypt"],
        "p": _encode(p),
        "q": _encode(q),
        "pub": _public(key.public_key),
        "kid": key.public_key.fingerprint,
    })  # fmt: skip


def private_from_jwk(text: str | bytes, *, insecure_size_for_tests: bool = False) -> PrivateKey:
    """Read and check a private key; it serves `standard` randomness only: phe's primes are any.

    Raises:
        CryptoError: no such JSON, another kind of key, p and q that are not the primes of n, or a size that is refused.
    """
    fields = _parse(text)
    if "decrypt" not in (fields.get("key_ops") or ()):
        raise CryptoError(
            "this JWK is no private key: its key_ops have no `decrypt`", remedy="give the private key's file"
        )
    p, q = _decode(fields, "p"), _decode(fields, "q")
    pub = fields.get("pub")
    if not isinstance(pub, dict) or _modulus(pub) != p * q:
        raise CryptoError("the primes of this JWK are not those of its modulus", remedy="restore the file")
    return PrivateKey(p, q, blum=False, insecure_size_for_tests=insecure_size_for_tests)


def _public(key: PublicKey) -> dict[str, Any]:
    return {"kty": _KTY, "alg": _ALG, "key_ops": ["encrypt"], "n": _encode(int(key.n)), "kid": key.fingerprint}


def _parse(text: str | bytes) -> dict[str, Any]:
    if len(text) > _MAX_TEXT:
        raise CryptoError(f"a JWK of {len(text)} characters, needs at most {_MAX_TEXT}", remedy="give the key's file")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        # The parser's own error quotes the text, which may be a private key.
        raise CryptoError("this is no JSON", remedy="give the key's file") from None
    if not isinstance(fields, dict) or fields.get("kty") != _KTY:
        raise CryptoError(f'this JSON is no Paillier key: needs "kty": "{_KTY}"', remedy="give the key's file")
    return fields


def _modulus(fields: dict[str, Any]) -> int:
    if fields.get("alg") != _ALG:
        raise CryptoError(f'this JWK is no Paillier public key: needs "alg": "{_ALG}"', remedy="give the key's file")
    return _decode(fields, "n")


def _encode(value: int) -> str:
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(fields: dict[str, Any], name: str) -> int:
    text = fields.get(name)
    if not isinstance(text, str) or len(text) > MAX_BITS // 4:
        raise CryptoError(f"the field {name} of this JWK is missing or too long", remedy="restore the file")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise CryptoError(f"the field {name} of this JWK is no base64url", remedy="restore the file") from None
    return int.from_bytes(data, "big")
