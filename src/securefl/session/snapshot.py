"""Snapshots: a session between two messages, sealed under a password or a key, to go on from after a crash.

A snapshot holds every secret of its round, so it exists encrypted only. What it cannot hold is the knowledge of what was sent after it
was written: that is the used-file's, which every snapshot is tied to.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias, TypeVar

import msgspec

from securefl.crypto import aead
from securefl.crypto.password import open_with_password, seal_with_password
from securefl.crypto.random import RandomSource
from securefl.crypto.secret import Secret
from securefl.errors import ConfigError, CryptoError, LocalProtocolError, MalformedMessageError, SecretMisuseError
from securefl.records.receipt import Answered
from securefl.records.used_file import UsedFile
from securefl.secagg.client import SavedClientRound
from securefl.secagg.kept import SecretMessage
from securefl.secagg.server import SavedServerRound
from securefl.wire import codec
from securefl.wire.messages import Bytes16, Bytes32, Message

CLIENT: Final = b"securefl client snapshot 1"
SERVER: Final = b"securefl server snapshot 1"


class UsedMark(Message, frozen=True):
    """The used-file that a snapshot belongs to, how far it was, and the digest of all its records until there."""

    id: Bytes16
    count: Annotated[int, msgspec.Meta(ge=0)]
    history: Bytes32


class SavedRound(SecretMessage, frozen=True):
    """A party's round."""

    session: Bytes16
    number: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    saved: SavedClientRound


class SavedClient(SecretMessage, frozen=True):
    """A `SecAggClient`, but for the update, which is submitted again."""

    version: Literal[1]
    used: UsedMark
    party: str
    roster_digest: Bytes32
    plan: bytes
    latest: list[tuple[Bytes16, int]]
    current: SavedRound | None
    following: SavedRound | None
    asked: bytes
    answers: list[bytes]
    noted: list[Answered]


class SavedTraffic(Message, frozen=True):
    """Bytes up and down in one step."""

    step: str
    up: int
    down: int


class SavedMail(Message, frozen=True):
    """One message that the server sent last."""

    party: int
    data: bytes


class SavedServer(SecretMessage, frozen=True):
    """A `SecAggServer`."""

    version: Literal[1]
    used: UsedMark
    roster_digest: Bytes32
    plan: bytes
    session: Bytes16
    number: int
    model_digest: Bytes32
    traffic: list[SavedTraffic]
    current: SavedServerRound | None
    noise_seed: Annotated[bytes, msgspec.Meta(max_length=32)]
    outbox: list[SavedMail]


SavedT = TypeVar("SavedT", SavedClient, SavedServer)


def needed(used: UsedFile | None) -> UsedFile:
    """The used-file, without which nothing is saved.

    Raises:
        LocalProtocolError: there is none.
    """
    if used is None:
        raise LocalProtocolError(
            "a snapshot needs a used-file: restored without one, secrets could be used twice",
            remedy="pass used=UsedFile.open_or_create(path), on a disk that is not rolled back with the snapshot",
        )
    return used


def mark(used: UsedFile) -> UsedMark:
    """What ties a snapshot to its used-file."""
    count = used.count
    return UsedMark(used.id, count, used.history(count))


Lock: TypeAlias = str | bytes | Secret
"""A password; or a `Secret` of 32 random bytes, which is the key itself and costs no stretching."""


def seal(saved: SavedClient | SavedServer, lock: Lock, random: RandomSource) -> bytes:
    """The snapshot's bytes."""
    purpose = CLIENT if isinstance(saved, SavedClient) else SERVER
    if isinstance(lock, Secret):
        return aead.seal(lock.reveal(), codec.encode(saved), aad=purpose, random=random)
    return seal_with_password(codec.encode(saved), lock, purpose=purpose, random=random)


def unseal(kind: type[SavedT], data: bytes, lock: Lock, used: UsedFile) -> SavedT:
    """What `seal` sealed, if it may still be used.

    Raises:
        CryptoError: a wrong password, an altered or truncated file, a snapshot of the other role, or no snapshot.
        SecretMisuseError: its used-file is another, or has fewer records than when the snapshot was made.
    """
    purpose = CLIENT if kind is SavedClient else SERVER
    plain = _opened(data, lock, purpose)
    try:
        saved = codec.decode(kind, plain, limit=len(plain))
    except MalformedMessageError as error:
        raise CryptoError(
            "the snapshot opens but was written by another version of securefl",
            remedy="restore it with the version that wrote it, or start anew with fresh keys",
        ) from error
    if saved.used.id != used.id:
        raise SecretMisuseError(
            f"the used-file {used.path} is not the one that this snapshot was made with",
            remedy="bring back the right one, or start anew with fresh keys: this round cannot be resumed",
        )
    if saved.used.count > used.count:
        raise SecretMisuseError(
            f"the used-file {used.path} has {used.count} records, it had {saved.used.count} when the snapshot was made: it was "
            "rolled back",
            remedy="bring back the newest one, or start anew with fresh keys: this round cannot be resumed",
        )
    if saved.used.history != used.history(saved.used.count):
        raise SecretMisuseError(
            f"the used-file {used.path} lacks records that it had when the snapshot was made: it was rolled back, and has grown since",
            remedy="bring back the newest one, or start anew with fresh keys: this round cannot be resumed",
        )
    return saved


def _opened(data: bytes, lock: Lock, purpose: bytes) -> bytes:
    if isinstance(lock, Secret):
        return aead.unseal(lock.reveal(), data, aad=purpose)
    return open_with_password(data, lock, purpose=purpose)


def check_roster(saved: SavedClient | SavedServer, roster_digest: bytes) -> None:
    """Check that a snapshot was made under this roster.

    Raises:
        ConfigError: under another.
    """
    if saved.roster_digest != roster_digest:
        raise ConfigError(
            "the snapshot was made under another roster",
            remedy="give the roster of that session, or start a new session",
        )


def check_not_left(saved: SavedClient, used: UsedFile) -> None:
    """Check that the snapshot is of the last round of its session that the party joined.

    Raises:
        SecretMisuseError: it has joined a later one since.
    """
    if saved.current is None:
        return
    number = max(part.number for part in (saved.current, saved.following) if part is not None)
    latest = used.latest(saved.current.session)
    if latest is not None and latest > number:
        raise SecretMisuseError(
            f"the snapshot is of round {number}, and this party has sent keys for round {latest} of that session since",
            remedy="restore the newest snapshot, or start a new client with this used-file: it joins the next round with fresh keys",
        )
