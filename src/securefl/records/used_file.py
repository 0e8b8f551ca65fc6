"""The used-file: what was sent once and must never be sent again, kept outside every snapshot.

A party restored from an older snapshot has its old secrets and no memory of having used them. Masking twice under one seed, or
opening two survivor sets, gives its vector away; so each step is recorded here before its bytes leave.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Final, Self

from securefl.crypto.digest import DIGEST_BYTES, sha256
from securefl.crypto.random import OS, RandomSource
from securefl.errors import ConfigError, LocalProtocolError, SecretMisuseError
from securefl.records.journal import Journal
from securefl.records.receipt_chain import Head
from securefl.types import Step

ID_BYTES: Final = 16
_OPENING: Final = b"securefl-used 1 "
_HEADER: Final = re.compile(rb"securefl-used 1 ([0-9a-f]{%d})" % (2 * ID_BYTES))
_RECORD: Final = re.compile(
    rb"([0-9a-f]{32}) (0|[1-9][0-9]{0,19}) ([a-z][a-z0-9_]{0,31}) ([0-9a-f]{%d})" % (2 * DIGEST_BYTES)
)


class UsedFile:
    """The durable record of the steps that a party, or a server, has taken.

    A text file, mode 0600, without secrets: a header with the file's id, then a line a record: session (hex), round, step, and
    the 32-byte digest (hex) of what the step was taken with, for a party its keys.

        used = UsedFile.open_or_create("hospital-3.used")
        used.spend(session, 7, Step.MASKED_INPUT, key_digest)     # on disk when this returns; a second time raises
        send(masked)

    Objects, threads and processes may share a file; see `Journal` for systems without file locks. Nothing protects against a
    used-file that was itself rolled back while no process had it open: keep it out of backups that are restored. A snapshot that
    notes `id` and `count` is known to be of another file, or ahead of it, when it is restored.

    Attributes:
        id: 16 random bytes, made with the file.
        count: records that this object has read or written.

    Source: protocol, "Rollback".
    """

    id: bytes

    def __init__(self, path: str | Path, *, flags: int = 0, random: RandomSource = OS) -> None:
        self.id = b""
        self.count = 0
        self._taken: dict[tuple[bytes, int, str], set[bytes]] = {}
        self._history: list[bytes] = []
        self._joined: Counter[bytes] = Counter()
        self._journal = Journal(path, what="used-file", opening=_OPENING, take=self._take)
        with self._journal.held(flags) as append:
            if not self.id and flags & os.O_CREAT:
                append(_OPENING + random.token(ID_BYTES).hex().encode())
        if not self.id:
            raise ConfigError(
                f"the used-file {path} is empty: its records are lost, or it was never finished",
                remedy="bring it back, or remove it and start with `UsedFile.create` and fresh keys",
            )

    @classmethod
    def create(cls, path: str | Path, *, random: RandomSource = OS) -> Self:
        """Make a new file; one that exists is left as it is.

        Args:
            path: where.
            random: the source of its id.

        Raises:
            ConfigError: it exists already, or cannot be written.
        """
        if Path(path).exists():
            raise ConfigError(
                f"the used-file {path} exists already and was left as it is", remedy="open it with `UsedFile.open`"
            )
        return cls(path, flags=os.O_CREAT | os.O_EXCL, random=random)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a file that exists.

        Raises:
            ConfigError: it is missing, cannot be read or written, or holds a line that is no record; file and line are named.
        """
        if not Path(path).exists():
            raise ConfigError(
                f"the used-file {path} is missing, and without it nobody knows whether this party's keys were used",
                remedy="bring it back; or start with `UsedFile.create` and fresh keys: snapshots of earlier rounds "
                "cannot be resumed",
            )
        return cls(path)

    @classmethod
    def open_or_create(cls, path: str | Path, *, random: RandomSource = OS) -> Self:
        """Open the file, or make it: for a party that starts with fresh keys. To resume a snapshot use `open`.

        Raises:
            ConfigError: as `open`, but for a missing file.
        """
        return cls(path, flags=os.O_CREAT, random=random)

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._journal.path

    def history(self, count: int) -> bytes:
        """Digest of the first `count` records, 32 bytes: a file that was rolled back and has grown since has another.

        Raises:
            LocalProtocolError: there are fewer records.
        """
        if not 0 <= count <= self.count:
            raise LocalProtocolError(
                f"the used-file {self.path} has {self.count} records, {count} were asked for",
                remedy="ask for no more than `count`",
            )
        return self._history[count - 1] if count else sha256(self.id)

    def spend(self, session: bytes, round_number: int, step: str, what: bytes) -> None:
        """Record a step that may be taken once; the record is on disk when this returns, and only then may bytes leave.

        Args:
            session: 16 bytes.
            round_number: the round, from 0.
            step: the step's name, in lower case.
            what: 32-byte digest of what it is taken with.

        Raises:
            SecretMisuseError: that very step was recorded before, by whomever.
            ConfigError: the file cannot be read or written, or was rolled back; the step must not be taken.
            LocalProtocolError: an argument that cannot be recorded.
        """
        line = _line(session, round_number, step, what)
        with self._journal.held() as append:
            if what in self._taken.get((session, round_number, str(step)), ()):
                raise SecretMisuseError(
                    f"step {step} of round {round_number} in session {session.hex()[:8]} was taken before with these keys",
                    remedy="this party was rolled back or runs twice: send nothing, and join a new round, with new keys",
                )
            append(line)

    def agree(self, session: bytes, round_number: int, step: str, what: bytes) -> None:
        """Record what a step is closed with, as a server does; the same again is no second step.

        Args:
            session: 16 bytes.
            round_number: the round, from 0.
            step: the step's name, in lower case.
            what: 32-byte digest of what it is closed with.

        Raises:
            SecretMisuseError: the step was closed with something else before.
            ConfigError, LocalProtocolError: as `spend`.
        """
        line = _line(session, round_number, step, what)
        with self._journal.held() as append:
            before = self._taken.get((session, round_number, str(step)))
            if before == {what}:
                return
            if before:
                raise SecretMisuseError(
                    f"step {step} of round {round_number} in session {session.hex()[:8]} was closed otherwise before",
                    remedy="this server was rolled back or runs twice: give the round up and start a new one",
                )
            append(line)

    def anchor(self, session: bytes, round_number: int, ledger: Path, head: Head) -> None:
        """Record the head of a ledger; when it is shorter, or another one lies there, that is then known.

        Args:
            session: 16 bytes.
            round_number: the round that was entered last.
            ledger: where it is; a party may have several, and one that was moved is another one.
            head: number and digest of its entry.

        Raises:
            SecretMisuseError: the same number had another digest.
            ConfigError, LocalProtocolError: as `spend`.
        """
        self.agree(session, round_number, f"{_anchor_of(ledger)}{head.number}", head.digest)

    def anchored(self, ledger: Path) -> Head | None:
        """The last head that `anchor` recorded of a ledger, by its number; None where there is none.

        Raises:
            ConfigError: the file cannot be read, or was rolled back.
        """
        anchor = _anchor_of(ledger)
        with self._journal.held():
            heads = [
                Head(int(step.removeprefix(anchor)), digest)
                for (_, _, step), digests in self._taken.items()
                if step.startswith(anchor)
                for digest in digests
            ]
        return max(heads, key=lambda head: head.number, default=None)

    def rounds(self, session: bytes | None = None) -> int:
        """How often keys were sent for a round: records of the step "advertise", in one session or in all.

        A party that was restarted and joins the same round again, with other keys, has joined twice.

        Raises:
            ConfigError: the file cannot be read, or was rolled back.
        """
        with self._journal.held():
            return sum(self._joined.values()) if session is None else self._joined[session]

    def latest(self, session: bytes) -> int | None:
        """The greatest round of a session that has a record; None where there is none.

        Raises:
            ConfigError: the file cannot be read, or was rolled back.
        """
        with self._journal.held():
            return max((number for of, number, _ in self._taken if of == session), default=None)

    def _take(self, line: bytes, number: int) -> None:
        found = (_HEADER if number == 1 else _RECORD).fullmatch(line)
        if found is None:
            raise ConfigError(
                f"line {number} of the used-file {self.path} is no {'header' if number == 1 else 'record'}",
                remedy="it was altered or is another file: bring the right one back, or start with `UsedFile.create` and "
                "fresh keys",
            )
        if number == 1:
            self.id = bytes.fromhex(found[1].decode())
            return
        session, round_number, step, what = (field.decode() for field in found.groups())
        key = (bytes.fromhex(session), int(round_number), step)
        self._taken.setdefault(key, set()).add(bytes.fromhex(what))
        self._joined[key[0]] += step == Step.ADVERTISE
        self.count += 1
        self._history.append(sha256(self._history[-1] if self._history else self.id, line))


def _anchor_of(ledger: Path) -> str:
    """What stands before the number of a ledger's entry, where the step of a record would stand."""
    return f"ledger_{sha256(str(ledger.resolve()).encode())[:4].hex()}_"


def _line(session: bytes, round_number: int, step: str, what: bytes) -> bytes:
    line = f"{session.hex()} {round_number} {step} {what.hex()}".encode()
    if not _RECORD.fullmatch(line):
        raise LocalProtocolError(
            f"cannot be recorded: a session of {len(session)} bytes, round {round_number}, step {step!r}, a digest of "
            f"{len(what)} bytes",
            remedy=f"give 16 bytes, a number from 0, a name in lower case, and {DIGEST_BYTES} bytes",
        )
    return line
