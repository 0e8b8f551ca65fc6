"""Files of Paillier keys: public ones as text with their fingerprint on top, private keys and shares sealed under a password."""

from __future__ import annotations

import base64
import binascii
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from securefl.crypto.signing import fingerprint
from securefl.errors import ConfigError, CryptoError
from securefl.report.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from securefl.paillier import PrivateKey, PublicKey
    from securefl.paillier.threshold import KeyShare, VerificationKeys

    Published: TypeAlias = PublicKey | VerificationKeys

T = TypeVar("T")

PRIVATE: Final = ".paillier"
PUBLIC: Final = ".paillier.pub"
DEALING: Final = ".paillier.dealing"
SHARE: Final = ".paillier.share"

_TITLE: Final = "# securefl Paillier"
_STATED: Final = re.compile(r"^# fingerprint ([0-9a-f ]+)$", re.MULTILINE)
_REMEDY: Final = "give the file that `securefl keygen --paillier` wrote, or have it sent again"


def fingerprint_of(key: Published) -> str:
    """What parties pin as one of their policy's `paillier_keys`: of a public key, or of a whole dealing."""
    from securefl.paillier import PublicKey

    return key.fingerprint if isinstance(key, PublicKey) else fingerprint(key.dealing_id)


def public_text(key: Published) -> str:
    """A public key, or what a dealer publishes, as text: comments with kind and fingerprint, then base64."""
    from securefl.paillier import PublicKey

    if isinstance(key, PublicKey):
        kind = f"public key, {key.bits} bits"
    else:
        # A name is printable, but might be long or look like a comment of its own: the names are within the base64.
        kind = f"dealing, {key.key.bits} bits, any {key.threshold} of {len(key.names)} parties decrypt together"
    body = textwrap.fill(base64.b64encode(key.to_bytes()).decode(), 100)
    return f"{_TITLE} {kind}\n# fingerprint {fingerprint_of(key)}\n{body}\n"


def is_public(path: str | Path) -> bool:
    """Whether a file is one of text, rather than sealed.

    Raises:
        ConfigError: it cannot be read.
    """
    return _read(path).startswith(_TITLE.encode())


def load_public(path: str | Path) -> Published:
    """Read and check what `public_text` wrote.

    Raises:
        ConfigError: it cannot be read, is truncated or altered, or holds no key.
    """
    from securefl.paillier import PublicKey
    from securefl.paillier.threshold.verification import VerificationKeys, dealer_of

    data = _read(path)
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no public Paillier key: it is not text", remedy=_REMEDY) from None
    stated = _STATED.search(text)
    title, *lines = text.splitlines() or [""]
    if not title.startswith(_TITLE) or stated is None:
        raise ConfigError(f"{path} is no public Paillier key, or its first lines are missing", remedy=_REMEDY)
    try:
        raw = base64.b64decode("".join(line for line in lines if not line.startswith("#")), validate=True)
    except binascii.Error:
        raise ConfigError(f"the Paillier key in {path} is truncated or altered", remedy=_REMEDY) from None
    key: Published
    try:
        if title.startswith(f"{_TITLE} dealing"):
            # Whether this dealer is trusted is said by whoever compares the fingerprint, which covers the dealer's key.
            key = VerificationKeys.from_bytes(raw, dealer=dealer_of(raw))
        else:
            key = PublicKey.from_bytes(raw)
    except CryptoError as error:
        raise ConfigError(f"the Paillier key in {path} cannot be used: {error.message}", remedy=_REMEDY) from error
    if fingerprint_of(key) != stated[1]:
        raise ConfigError(
            f"{path} states the fingerprint {stated[1]}, its key has {fingerprint_of(key)}",
            remedy="one of them was altered: ask for it again, and compare fingerprints over another channel",
        )
    return key


def load_private(path: str | Path, password: str | bytes) -> PrivateKey:
    """Open a private key's file.

    Raises:
        ConfigError: it cannot be read, is truncated, altered or something else, or the password is another.
    """
    from securefl.paillier import PrivateKey

    if is_public(path):
        raise ConfigError(
            f"{path} is a public Paillier key, a private one is needed", remedy=f"give the file NAME{PRIVATE}"
        )
    return _opened(path, lambda data: PrivateKey.from_bytes(data, password))


def load_share(path: str | Path, password: str | bytes, *, dealing: VerificationKeys) -> KeyShare:
    """Open the file of a party's share, and check that it is one of this dealing.

    Raises:
        ConfigError: it cannot be read, is truncated, altered, something else or of another dealing, or the password is another.
    """
    from securefl.paillier.threshold import KeyShare

    return _opened(path, lambda data: KeyShare.from_bytes(data, password, keys=dealing))


def _opened(path: str | Path, read: Callable[[bytes], T]) -> T:
    try:
        return read(_read(path))
    except CryptoError as error:
        raise ConfigError(f"{path}: {error.message}", remedy=error.remedy) from error


def _read(path: str | Path) -> bytes:
    return read_bytes(path, what="Paillier key", remedy="make one with `securefl keygen --paillier`")
