"""The envelope around every message: version, kind, session, round, sender, body, seal.

The seal covers everything before it and the round's context (ctx0 until the key list is fixed, ctx afterwards), so that a
message from another session, round, plan, model or key list does not open. It is an Ed25519 signature for a party under an
active server, and otherwise a 16-byte SHA-256 checksum, which catches accidents and nothing else. What the server says is never
signed: under an active server its word is checked, not believed.
"""

from __future__ import annotations

import functools
from typing import Annotated, Final

import msgspec

from securefl.crypto.digest import checksum, digest, equal
from securefl.crypto.signing import SigningKey, verify
from securefl.errors import CryptoError, MalformedMessageError, RemoteProtocolError
from securefl.wire import codec
from securefl.wire.messages import (
    CHUNK_VALUES,
    MAX_ADVERTISE,
    MAX_LABELS,
    MAX_PARTIES,
    MAX_ROUNDS,
    SECAGG_KINDS,
    VERSION,
    Bytes16,
    Kind,
)

SERVER_INDEX: Final = 0xFFFFFFFF
HOLDER_INDEX: Final = 0xFFFFFFFE
"""The sender of whoever holds a Paillier key and is no party."""
CHECKSUM_BYTES: Final = 16
SIGNATURE_BYTES: Final = 64
_LONG: Final = 1 << 16
OVERHEAD: Final = 128
"""More than an envelope adds to its body, in bytes."""


class Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One message under way; `sender` is the index on the roster, or SERVER_INDEX."""

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    kind: Kind
    session: Bytes16
    round: Annotated[int, msgspec.Meta(ge=0, lt=MAX_ROUNDS)]
    sender: Annotated[int, msgspec.Meta(ge=0, le=SERVER_INDEX)]
    body: bytes
    seal: Annotated[bytes, msgspec.Meta(min_length=CHECKSUM_BYTES, max_length=SIGNATURE_BYTES)]


@functools.lru_cache(maxsize=256)
def body_limit(kind: Kind, parties: int, neighbours: int | None = None, noise_labels: int = 0) -> int:
    """The greatest length of a body of this kind in a round of n parties, in bytes.

    Args:
        kind: what it is.
        parties: n.
        neighbours: k, with how many others a party shares masks, where that is known; without it with all.
        noise_labels: J, the seeds of noise of which shares may be opened with each secret.
    """
    per_neighbour = {
        Kind.ROSTER: 720,
        Kind.SHARES: 7000,
        Kind.CIPHERTEXTS: 7000,
        Kind.UNMASK_SHARES: 64 + 64 * noise_labels,
    }
    per_party = {Kind.SURVIVORS: 1, Kind.UNMASK: 80}
    if kind is Kind.INVITE:
        return (1 << 20) + 64
    if kind is Kind.MASKED_INPUT:
        return 8 * CHUNK_VALUES + MAX_PARTIES // 8 + 64
    if kind is Kind.DECRYPTED:
        return 8 * CHUNK_VALUES + 64
    if kind in {Kind.ENCRYPTED_INPUT, Kind.DECRYPT, Kind.PARTIAL_DECRYPTION}:
        return 1 << 20
    fixed = {Kind.SHARES: 32 * MAX_LABELS, Kind.UNMASK_SHARES: MAX_ADVERTISE}
    near = parties if neighbours is None else min(neighbours + 1, parties)
    return 256 + per_neighbour.get(kind, 0) * near + per_party.get(kind, 0) * parties + fixed.get(kind, 0)


@functools.lru_cache(maxsize=64)
def message_limit(parties: int, neighbours: int | None = None) -> int:
    """The greatest length of any envelope in a round of n parties, in bytes: what a transport may refuse beyond; see `body_limit`."""
    return max(body_limit(kind, parties, neighbours) for kind in Kind) + OVERHEAD


def seal(
    kind: Kind,
    body: msgspec.Struct,
    *,
    session: bytes,
    round_number: int,
    sender: int,
    binding: bytes,
    identity: SigningKey | None = None,
) -> bytes:
    """The bytes of a message.

    Args:
        kind: what it is.
        body: the message itself.
        session: 16 bytes.
        round_number: the round in the session.
        sender: the sender's index, or SERVER_INDEX.
        binding: 32 bytes: ctx0, or ctx once the key list is fixed.
        identity: signs the envelope when given; otherwise it bears a checksum.
    """
    data = codec.encode(body)
    fields = (binding, int(kind), session, round_number, sender, data)
    mark = identity.sign(digest("envelope", *fields)) if identity else checksum("envelope", *fields)
    sealed = codec.encode(Envelope(VERSION, kind, session, round_number, sender, data, mark))
    # msgspec leaves up to half as much room again behind its result, for as long as that lives; a long message is kept without.
    return sealed if len(sealed) < _LONG else bytes(memoryview(sealed))


def parse(
    data: bytes,
    *,
    parties: int,
    neighbours: int | None = None,
    noise_labels: int = 0,
    kinds: frozenset[Kind] = SECAGG_KINDS,
) -> Envelope:
    """The envelope in `data`, its seal not yet checked.

    Args:
        data: the message.
        parties: n.
        neighbours: k, where it is known: a party before its invitation knows no plan.
        noise_labels: J, where the reader takes answers that open seeds of noise.
        kinds: those of the reader's protocol.

    Raises:
        MalformedMessageError: not an envelope, of another protocol's kind, or longer than a message of its kind may be.
    """
    envelope = codec.decode(Envelope, data, limit=message_limit(parties, neighbours))
    if envelope.kind not in kinds:
        raise MalformedMessageError(
            f"a message of kind {envelope.kind.value}, which is no kind of this protocol",
            remedy="the sender runs another",
        )
    limit = body_limit(envelope.kind, parties, neighbours, noise_labels)
    if len(envelope.body) > limit:
        raise MalformedMessageError(
            f"a body of {len(envelope.body)} bytes, at most {limit} are allowed",
            phase=envelope.kind.name.lower(),
        )
    return envelope


def check_seal(envelope: Envelope, *, binding: bytes, verify_key: bytes | None, suspect: str) -> None:
    """Check that the envelope is whole, and signed by `verify_key` where one is given.

    Raises:
        MalformedMessageError: the checksum does not match.
        RemoteProtocolError: the signature is missing or does not verify.
    """
    phase = envelope.kind.name.lower()
    fields = (
        binding,
        int(envelope.kind),
        envelope.session,
        envelope.round,
        envelope.sender,
        envelope.body,
    )
    if verify_key is None:
        if not equal(envelope.seal, checksum("envelope", *fields)):
            raise MalformedMessageError(
                "the checksum does not match: the message was altered or belongs to another session, round, plan or key list",
                phase=phase,
                suspects=(suspect,),
                remedy="have it sent again; if it repeats, compare plans and rosters",
            )
        return
    try:
        verify(verify_key, envelope.seal, digest("envelope", *fields))
    except CryptoError as error:
        raise RemoteProtocolError(
            "the signature of the envelope does not verify under the roster's key",
            phase=phase,
            suspects=(suspect, "server"),
            remedy="compare the roster's fingerprint of this party with the party itself",
        ) from error
