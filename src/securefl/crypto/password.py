"""Sealing under a password: scrypt makes the key, AES-256-GCM hides and authenticates. For snapshots that hold secrets."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from securefl.crypto import aead
from securefl.crypto.random import OS, RandomSource
from securefl.errors import CryptoError

_MAGIC: Final = b"securefl-sealed"
_VERSION: Final = 1
_SALT_BYTES: Final = 16
_HEADER_BYTES: Final = len(_MAGIC) + 4 + _SALT_BYTES

_LOG2_N: Final = 15
_R: Final = 8
_P: Final = 1
_MAX_LOG2_N: Final = 17
_MAX_P: Final = 4
"""What a file may ask for: 128 * 2^17 * 8 bytes are 128 MiB, and with p = 4 a few seconds."""


def seal_with_password(plain: bytes, password: str | bytes, *, purpose: bytes, random: RandomSource = OS) -> bytes:
    """Encrypt and authenticate under a password.

    Returns header ‖ AES-256-GCM of `plain`, with header ‖ purpose as associated data. The header is "securefl-sealed",
    version, log2 n, r and p of scrypt (a byte each), and a random salt of 16 bytes. What is sealed under a password is as safe
    as the password is hard to guess: a guess costs 32 MiB and about a tenth of a second.

    Args:
        plain: what to hide.
        password: text (as UTF-8) or bytes.
        purpose: what the data is; `open_with_password` must be told the same.
        random: source of salt and nonce.

    Raises:
        CryptoError: the password is empty.

    Source: RFC 7914 (scrypt), section 2; NIST SP 800-38D (GCM).
    """
    header = _MAGIC + bytes([_VERSION, _LOG2_N, _R, _P]) + random.token(_SALT_BYTES)
    return header + aead.seal(_key(header, password), plain, aad=header + purpose, random=random)


def open_with_password(data: bytes, password: str | bytes, *, purpose: bytes) -> bytes:
    """Check and decrypt what `seal_with_password` made.

    Args:
        data: all of it.
        password: the one that it was sealed under.
        purpose: the one that it was sealed for.

    Raises:
        CryptoError: nothing that was sealed, truncated, of another version, asking for too much memory or time, or sealed under
            another password or purpose, or altered.
    """
    if data[: len(_MAGIC)] != _MAGIC:
        raise CryptoError(
            f"these {len(data)} bytes are nothing that securefl sealed under a password", remedy="give the sealed file"
        )
    if len(data) < _HEADER_BYTES + aead.OVERHEAD:
        raise CryptoError(
            f"a sealed file of {len(data)} bytes is truncated, the shortest has {_HEADER_BYTES + aead.OVERHEAD}",
            remedy="restore the whole file",
        )
    header = data[:_HEADER_BYTES]
    version, log2_n, r, p = header[len(_MAGIC) : -_SALT_BYTES]
    if version != _VERSION:
        raise CryptoError(
            f"a sealed file of version {version}, this library reads version {_VERSION}",
            remedy="open it with the securefl that sealed it; or it was altered, then restore it",
        )
    # Read before anything is authenticated: the bounds are what keeps a hostile file from exhausting memory and time.
    if not 0 < log2_n <= _MAX_LOG2_N or r != _R or not 0 < p <= _MAX_P:
        raise CryptoError(
            f"a sealed file asks for scrypt with log2 n = {log2_n}, r = {r}, p = {p}; allowed are at most "
            f"{_MAX_LOG2_N}, exactly {_R}, at most {_MAX_P}",
            remedy="restore the file: it was altered",
        )
    key = _key(header, password)
    try:
        return aead.unseal(key, data[_HEADER_BYTES:], aad=header + purpose)
    except CryptoError as error:
        raise CryptoError(
            "wrong password, or the file was altered or is for another purpose",
            remedy="check the password and which file this is, or restore the file",
        ) from error


def _key(header: bytes, password: str | bytes) -> bytes:
    # An encoding error would quote the password; so text that is no Unicode is taken as it is.
    secret = password.encode("utf-8", "surrogatepass") if isinstance(password, str) else password
    if not secret:
        raise CryptoError("the password is empty", remedy="give one that nobody guesses")
    log2_n, r, p = header[-_SALT_BYTES - 3 : -_SALT_BYTES]
    return Scrypt(salt=header[-_SALT_BYTES:], length=aead.KEY_BYTES, n=1 << log2_n, r=r, p=p).derive(secret)
