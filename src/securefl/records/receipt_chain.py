"""Receipts as a chain: each names the one before it by digest, so that none can be changed, left out or moved."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from securefl.crypto import signing
from securefl.crypto.digest import DIGEST_BYTES
from securefl.errors import ConfigError, CryptoError
from securefl.records.receipt import ALTERED, SignedReceipt


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain, to be noted down where the file is not: with it, receipts cut off at the end are missed.

    Args:
        number: of the last receipt; 0 before any.
        digest: of the last receipt, 32 bytes; zeros before any.
    """

    number: int = 0
    digest: bytes = bytes(DIGEST_BYTES)

    def __str__(self) -> str:
        return f"{self.number}:{self.digest.hex()}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """The head in the form that `str` gives it: number, colon, 64 hex digits.

        Raises:
            ConfigError: another form.
        """
        found = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", text.strip().lower(), re.ASCII)
        if found is None:
            raise ConfigError(
                f"{text!r} is no head of a chain of receipts",
                remedy="give number:digest, as `receipts verify` prints it",
            )
        return cls(int(found[1]), bytes.fromhex(found[2]))


class Chain:
    """Receipts checked one after the other.

    Args:
        verify_key: the party's key, 32 bytes; None checks the links alone.
        party: the party's name; None for that of the first receipt.

    Attributes:
        head: the last receipt accepted.
    """

    def __init__(self, *, verify_key: bytes | None = None, party: str | None = None) -> None:
        self.head = Head()
        self._verify_key = verify_key
        self._party = party

    def check(self, signed: SignedReceipt) -> None:
        """Raise unless this receipt comes next.

        Raises:
            CryptoError: it does not; the message says at which number, and what is wrong.
        """
        receipt, number = signed.receipt, self.head.number + 1
        if receipt.number != number:
            raise CryptoError(
                f"receipt {number} is missing or out of order: number {receipt.number} stands in its place",
                remedy=ALTERED,
            )
        if receipt.previous != self.head.digest.hex():
            before = f"receipt {number - 1} was altered, or " if self.head.number else ""
            raise CryptoError(f"{before}receipt {number} continues another chain", remedy=ALTERED)
        if self._party is not None and receipt.party != self._party:
            raise CryptoError(
                f"receipt {number} is of {receipt.party!r}, not of {self._party!r}", remedy="keep one book a party"
            )
        if self._verify_key is not None:
            _check_signature(signed, self._verify_key)

    def accept(self, signed: SignedReceipt) -> None:
        """Check a receipt as `check` does, and go on from it.

        Raises:
            CryptoError: as `check`.
        """
        self.check(signed)
        self.head = Head(signed.receipt.number, signed.receipt.digest())
        self._party = signed.receipt.party


def verify(
    receipts: Iterable[SignedReceipt],
    *,
    verify_key: bytes | None = None,
    party: str | None = None,
    head: Head | None = None,
) -> Head:
    """Check that receipts are a whole chain, in order, and signed; returns its head.

    Receipts cut off at the end leave a chain that is whole: only `head`, noted down elsewhere before, shows that they are missing.
    Without `verify_key` the links alone are checked, and whoever can write the file can write another chain.

    Args:
        receipts: from the first.
        verify_key: the party's key, 32 bytes, from the verifier's own roster; all must be signed by it.
        party: the party whose receipts these are to be; None for that of the first.
        head: a receipt that is known to have been written.

    Raises:
        CryptoError: an altered, missing, reordered, unsigned or wrongly signed receipt; the first one is named by number.
    """
    chain = Chain(verify_key=verify_key, party=party)
    seen = {Head()}
    for signed in receipts:
        chain.accept(signed)
        seen.add(chain.head)
    if head is not None and head not in seen:
        if head.number > chain.head.number:
            raise CryptoError(
                f"receipt {chain.head.number + 1} is missing: the chain ends at {chain.head.number}, the head noted down is "
                f"{head.number}",
                remedy="receipts were cut off at the end; get the whole file",
            )
        raise CryptoError(
            f"receipt {head.number} is not the one whose head was noted down",
            remedy="the chain was written anew from there",
        )
    return chain.head


def _check_signature(signed: SignedReceipt, verify_key: bytes) -> None:
    number = signed.receipt.number
    if not signed.signature:
        raise CryptoError(f"receipt {number} is unsigned", remedy="give the party its identity; or check without a key")
    try:
        signing.verify(verify_key, bytes.fromhex(signed.signature), signed.receipt.digest())
    except CryptoError as error:
        raise CryptoError(
            f"receipt {number} is not what the key {signing.fingerprint(verify_key)} signed: it was altered, or signed by another",
            remedy="compare the fingerprint with the party's own, then ask it for its receipts",
        ) from error
