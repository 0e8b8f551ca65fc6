"""A party's book of receipts: in memory, or a file of JSON lines that only grows."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from securefl.crypto.digest import DIGEST_BYTES
from securefl.crypto.signing import SigningKey
from securefl.errors import ConfigError, CryptoError, LocalProtocolError
from securefl.records.journal import Journal
from securefl.records.receipt import ACCEPTED, Answered, Outcome, Receipt, SignedReceipt
from securefl.records.receipt_chain import Chain, Head, verify

_UNKNOWN: Final = bytes(DIGEST_BYTES)
_REASON_CHARACTERS: Final = 1000


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class ReceiptBook:
    """One party's receipts, each chained to the one before it.

        book = ReceiptBook("hospital-3.receipts", identity=key)
        book.enter(party="hospital-3", session=session, round_number=7, outcome=Outcome.OPENED, answered=[...])
        print(book.head)                      # to be noted down elsewhere, see `receipt_chain.verify`

    In the file each line is a receipt with its signature, and is on disk when `enter` returns. A file that exists is verified
    first, with the identity's key where there is one: a book begun unsigned, or under another key, is not continued.

    Args:
        path: the file, made (mode 0600) when missing; None keeps the receipts in memory.
        identity: the party's signing key; None leaves receipts unsigned.
        clock: the time now.

    Raises:
        ConfigError: the file cannot be read or written, or is no whole chain; the message names the line and what is wrong.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        identity: SigningKey | None = None,
        *,
        clock: Callable[[], dt.datetime] = _now,
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._chain = Chain(verify_key=identity.verify_key if identity else None)
        self._kept: list[SignedReceipt] = []
        self._journal = None
        if path is not None:
            self._journal = Journal(path, what="receipt book", opening=b'{"receipt":{', take=self._take)
            with self._journal.held(os.O_CREAT):
                pass

    @property
    def head(self) -> Head:
        """The end of the chain as this object knows it."""
        return self._chain.head

    @property
    def receipts(self) -> tuple[SignedReceipt, ...]:
        """All receipts, from the first; read from the file where there is one.

        Raises:
            ConfigError, CryptoError: as `verify_file`.
        """
        return tuple(self._kept if self._journal is None else verify_file(self._journal.path))

    def enter(
        self,
        *,
        party: str,
        session: bytes,
        round_number: int,
        outcome: Outcome,
        roster: bytes = _UNKNOWN,
        plan: bytes = _UNKNOWN,
        model: bytes = _UNKNOWN,
        policy: bytes = _UNKNOWN,
        decision: str = ACCEPTED,
        reason: str = "",
        survivors: Iterable[str] = (),
        answered: Iterable[Answered] = (),
        opened_self_masks: Iterable[str] = (),
        opened_mask_keys: Iterable[str] = (),
    ) -> SignedReceipt:
        """Write the next receipt; digests are 32 bytes, the session 16, all else as in `Receipt`. A reason is kept to 1000 characters.

        Raises:
            LocalProtocolError: a field that no receipt can have, or another party than the book's; nothing was written.
            ConfigError: the file cannot be written, or was rolled back or damaged.
        """
        with self._held() as append:
            head = self._chain.head
            signed = Receipt(
                number=head.number + 1,
                previous=head.digest.hex(),
                time=self._clock().astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                party=party,
                session=session.hex(),
                round=round_number,
                roster=roster.hex(),
                plan=plan.hex(),
                model=model.hex(),
                policy=policy.hex(),
                decision=decision,
                outcome=outcome,
                reason=_encodable(reason)[:_REASON_CHARACTERS],
                survivors=tuple(survivors),
                answered=tuple(answered),
                opened_self_masks=tuple(opened_self_masks),
                opened_mask_keys=tuple(opened_mask_keys),
            ).sign(self._identity)
            line = signed.to_json()
            try:
                # A receipt that could not be read again would end the book: it is tried before it is written.
                written = SignedReceipt.from_json(line)
                self._chain.check(written)
            except CryptoError as error:
                raise LocalProtocolError(
                    f"no receipt can say this: {error.message}", remedy="correct the field; keep one book a party"
                ) from error
            append(line)
        return written

    @contextlib.contextmanager
    def _held(self) -> Iterator[Callable[[bytes], None]]:
        if self._journal is None:
            yield lambda line: self._take(line, self._chain.head.number + 1)
        else:
            with self._journal.held() as append:
                yield append

    def _take(self, line: bytes, number: int) -> None:
        try:
            signed = SignedReceipt.from_json(line)
            self._chain.accept(signed)
        except CryptoError as error:
            raise ConfigError(
                f"line {number} of the receipt book {self._journal.path if self._journal else ''}: {error.message}",
                remedy="keep the damaged book for your auditor, and go on with a new one",
            ) from error
        if self._journal is None:
            self._kept.append(signed)


def verify_file(
    path: str | Path, verify_key: bytes | None = None, *, party: str | None = None, head: Head | None = None
) -> list[SignedReceipt]:
    """Check a file of receipts as `receipt_chain.verify` does, with the limits stated there; returns them.

    Args:
        path: the file.
        verify_key: the party's key, 32 bytes, from the verifier's own roster.
        party: the party whose receipts these are to be.
        head: a receipt that is known to have been written, noted down elsewhere.

    Raises:
        ConfigError: it cannot be read.
        CryptoError: the first receipt that is no link of the chain, by number, or a line that is no receipt.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the receipts {path} cannot be read: {error.strerror or error}", remedy="give the file of a ReceiptBook"
        ) from error
    receipts: list[SignedReceipt] = []

    def read() -> Iterator[SignedReceipt]:
        # Line by line: what is named first is what is broken first.
        *lines, torn = data.split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                receipts.append(SignedReceipt.from_json(line))
            except CryptoError as error:
                raise CryptoError(f"receipt {number}: {error.message}", remedy=error.remedy) from error
            yield receipts[-1]
        if torn:
            raise CryptoError(
                f"receipt {len(lines) + 1} is torn: the file ends within its line",
                remedy="a crash while writing does this, and the party's ReceiptBook mends it; or it was cut off",
            )

    try:
        verify(read(), verify_key=verify_key, party=party, head=head)
    except CryptoError as error:
        error.add_note(str(path))
        raise
    return receipts


def _encodable(text: str) -> str:
    """An error may quote a file name that is no Unicode."""
    return text.encode("utf-8", "backslashreplace").decode()
