"""What the dealer publishes: the key, who holds a share, and what each party's proofs are checked against."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Final

import msgspec

from securefl.crypto.digest import digest, equal, shake256
from securefl.crypto.signing import SigningKey, fingerprint, verify
from securefl.errors import CryptoError, MalformedMessageError
from securefl.paillier.arithmetic import gcd, integer, power_secret
from securefl.paillier.public_key import PublicKey
from securefl.wire import codec

MAX_PARTIES: Final = 256
"""Delta = n! lengthens every exponent: by 1684 bits for 256 parties, a quarter of those at 3072 bits."""

_VERSION: Final = 1
_MAX_NAME: Final = 64
_MAX_BYTES: Final = 1 << 21
"""More than 256 values of 32768 bits take."""
_V_LABEL: Final = b"securefl/v"
_EXTRA_BYTES: Final = 32


class VerificationKeysMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """D->P: `VerificationKeys` as they travel."""

    version: Annotated[int, msgspec.Meta(ge=_VERSION, le=_VERSION)]
    key: bytes
    threshold: int
    names: Annotated[list[Annotated[str, msgspec.Meta(max_length=_MAX_NAME)]], msgspec.Meta(max_length=MAX_PARTIES)]
    values: bytes
    dealer: bytes
    signature: bytes


class VerificationKeys:
    """The public side of a dealing, signed by its dealer: t, n, the parties' names, and v_i = v^(Delta s_i) mod n^2.

    v is a generator of the squares modulo n^2 that everybody hashes from n and never receives.

    Args:
        key: the public key.
        threshold: t, how many parties decrypt together, in 2..n.
        names: of the parties, in the order of their indices 0..n - 1: at most 256, each of 1 to 64 printable characters, unique.
        values: v_i of each party.
        dealer: the dealer's Ed25519 verify key, 32 bytes.
        signature: the dealer's, over all this.

    Attributes:
        key, threshold, names, values, dealer, signature: as given.
        delta: Delta = n!.

    Raises:
        CryptoError: an argument out of range, a value that is no unit modulo n^2, or a signature that is not the dealer's.

    Source: Damgard, Jurik (2001), section 4.1: verification keys; V. Shoup, Practical threshold signatures (2000).
    """

    __slots__ = ("__dict__", "dealer", "delta", "key", "names", "signature", "threshold", "values")

    key: Final[PublicKey]
    threshold: Final[int]
    names: Final[tuple[str, ...]]
    values: Final[tuple[int, ...]]
    dealer: Final[bytes]
    signature: Final[bytes]
    delta: Final[int]

    def __init__(
        self,
        key: PublicKey,
        threshold: int,
        names: Sequence[str],
        values: Sequence[int],
        *,
        dealer: bytes,
        signature: bytes,
    ) -> None:
        check_parties(threshold, names)
        if len(values) != len(names):
            raise CryptoError(f"{len(values)} verification keys for {len(names)} parties", remedy="ask the dealer")
        bad = first_non_unit(key, values)
        if bad is not None:
            raise CryptoError(
                f"the verification key of {names[bad]!r} is no unit modulo n^2", remedy="the dealer is at fault"
            )
        self.key = key
        self.threshold = threshold
        self.names = tuple(names)
        self.values = tuple(integer(value) for value in values)
        self.dealer = dealer
        self.signature = signature
        self.delta = math.factorial(len(names))
        verify(dealer, signature, self.dealing_id)

    @classmethod
    def signed(
        cls, key: PublicKey, threshold: int, names: Sequence[str], values: Sequence[int], *, dealer: SigningKey
    ) -> VerificationKeys:
        """Return the verification keys with the dealer's signature; for the dealer alone."""
        data = _signed_data(key, threshold, names, values, dealer.verify_key)
        return cls(key, threshold, names, values, dealer=dealer.verify_key, signature=dealer.sign(data))

    @cached_property
    def dealing_id(self) -> bytes:
        """32 bytes that name the dealing, which is what the dealer signed: every share and every partial bears them."""
        return _signed_data(self.key, self.threshold, self.names, self.values, self.dealer)

    @property
    def base(self) -> int:
        """v, as in `generator_of_squares`."""
        return generator_of_squares(self.key)

    def name(self, party: int) -> str:
        """Return the name of a party.

        Raises:
            CryptoError: an index that is nobody's.
        """
        if type(party) is not int or not 0 <= party < len(self.names):
            raise CryptoError(f"no party has index {party!r}: {len(self.names)} hold shares, counted from 0")
        return self.names[party]

    def to_bytes(self) -> bytes:
        """Return the canonical form: MessagePack of version, key, t, names, the values one after the other, dealer, signature."""
        values = joined(self.key, self.values)
        return codec.encode(
            VerificationKeysMessage(
                _VERSION, self.key.to_bytes(), self.threshold, list(self.names), values, self.dealer, self.signature
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes, *, dealer: bytes, insecure_size_for_tests: bool = False) -> VerificationKeys:
        """Read and check what `to_bytes` wrote.

        Args:
            data: bytes off the wire.
            dealer: the verify key of the dealer who is trusted; its fingerprint was compared.
            insecure_size_for_tests: accept a key of 256 to 2047 bits.

        Raises:
            CryptoError: another dealer's or nobody's signature, or anything else that is not as it should be.
        """
        try:
            message = codec.decode(VerificationKeysMessage, data, limit=_MAX_BYTES)
        except MalformedMessageError as error:
            raise CryptoError("these bytes are no verification keys of a threshold key") from error
        if not equal(message.dealer, dealer):
            raise CryptoError(
                f"verification keys of another dealer than {fingerprint(dealer)}",
                remedy="compare the dealer's fingerprint over another channel",
            )
        key = PublicKey.from_bytes(message.key, insecure_size_for_tests=insecure_size_for_tests)
        values = split(key, message.values, len(message.names))
        return cls(key, message.threshold, message.names, values, dealer=dealer, signature=message.signature)

    def __repr__(self) -> str:
        return f"<VerificationKeys: {self.threshold} of {len(self.names)}, trusted dealer {fingerprint(self.dealer)}, {self.key!r}>"


def dealer_of(data: bytes) -> bytes:
    """Return the verify key of the dealer that verification keys say they are of, 32 bytes: nobody has checked it.

    Raises:
        CryptoError: these are none.
    """
    try:
        return codec.decode(VerificationKeysMessage, data, limit=_MAX_BYTES).dealer
    except MalformedMessageError as error:
        raise CryptoError("these bytes are no verification keys of a threshold key") from error


def generator_of_squares(key: PublicKey) -> int:
    """Return v = x^2 mod n^2, where x = SHAKE256("securefl/v" || n) mod n^2 and n has bits / 8 bytes, big-endian.

    In a cyclic group whose order has four large prime factors a random element is a generator, but for a chance of 2^-1000.
    """
    size = key.bits // 8
    hashed = shake256(2 * size + _EXTRA_BYTES, _V_LABEL, int(key.n).to_bytes(size, "big"))
    return integer(int.from_bytes(hashed, "big")) ** 2 % key.squared


def raised(key: PublicKey, share: int, *, parties: int) -> int:
    """Return v^(Delta s) mod n^2: what the dealer publishes of a share."""
    return power_secret(generator_of_squares(key), integer(math.factorial(parties)) * share, key.squared)


def check_parties(threshold: int, names: Sequence[str]) -> None:
    """Accept a threshold and the names of the parties, or raise.

    Raises:
        CryptoError: t outside 2..n, more than 256 parties, or a name that is empty, doubled, long or unprintable.
    """
    if len(names) > MAX_PARTIES or type(threshold) is not int or not 2 <= threshold <= len(names):
        raise CryptoError(
            f"a threshold of {threshold} among {len(names)} parties, needs 2..{len(names)} of at most {MAX_PARTIES}",
            remedy="where one party may decrypt alone, give it a PrivateKey",
        )
    for name in names:
        if type(name) is not str or not 0 < len(name) <= _MAX_NAME or not name.isprintable():
            raise CryptoError(f"{name!r} cannot be a party's name", remedy="use 1 to 64 printable characters")
    if len(set(names)) != len(names):
        raise CryptoError("two parties have one name", remedy="give each its own")


def first_non_unit(key: PublicKey, values: Sequence[int]) -> int | None:
    """Return the index of the first value that is not in 1..n^2 - 1 or has a factor in common with n; None if all are units."""
    product = integer(1)
    for index, value in enumerate(values):
        if not 0 < value < key.squared:
            return index
        product = product * value % key.n
    if gcd(product, key.n) == 1:
        return None
    return next(index for index, value in enumerate(values) if gcd(value, key.n) != 1)


def joined(key: PublicKey, values: Sequence[int]) -> bytes:
    """Return residues modulo n^2 one after the other, each of bits / 4 bytes, big-endian."""
    return b"".join(int(value).to_bytes(key.ciphertext_bytes, "big") for value in values)


def split(key: PublicKey, data: bytes, count: int) -> list[int]:
    """Read what `joined` wrote.

    Raises:
        CryptoError: not so many bytes as `count` residues have.
    """
    size = key.ciphertext_bytes
    if len(data) != count * size:
        raise CryptoError(f"{count} residues modulo n^2 take {count * size} bytes, came {len(data)}")
    return [integer(int.from_bytes(data[start : start + size], "big")) for start in range(0, len(data), size)]


def _signed_data(key: PublicKey, threshold: int, names: Sequence[str], values: Sequence[int], dealer: bytes) -> bytes:
    check_parties(threshold, names)
    return digest("paillier-threshold-keys", key.key_id, threshold, len(names), *names, joined(key, values), dealer)
