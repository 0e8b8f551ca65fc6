"""The messages of secure aggregation, in the order in which they travel (Bonawitz et al. 2017, figure 4).

Every struct is frozen, array-like and bounded; what a bound cannot say (an order, a subset, a length that depends on the plan)
is checked by the step that receives the message.
"""

from __future__ import annotations

import enum
from typing import Annotated, Final, TypeAlias

import msgspec

VERSION: Final = 1
MAX_PARTIES: Final = 1 << 16
MAX_ROUNDS: Final = 1 << 32
MAX_PATH: Final = 16
"""Nodes of the longest Merkle path: log2 of MAX_PARTIES."""
MAX_LABELS: Final = 64
MAX_ADVERTISE: Final = 512
"""More than the bytes of an Advertise message with its envelope."""
CHUNK_CIPHERTEXT_BYTES: Final = (1 << 20) - (1 << 14)
"""Bytes of the ciphertexts in one message; the last one holds the rest, and all that is beside them has room up to 2^20."""
CHUNK_VALUES: Final = 1 << 17
"""Values of the masked vector in one MaskedInput message; the last one holds the rest."""

Bytes16: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Bytes32: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Share33: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=33, max_length=33)]
Signature: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=64)]
"""64 bytes of Ed25519 under an active server, empty under a semi-honest one."""
PartyIndex: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=MAX_PARTIES)]
PartySet: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=MAX_PARTIES // 8)]
LabelName: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=16, pattern=r"^[a-z0-9_]+\Z")]


class Kind(enum.IntEnum):
    """What a message is; C->S and S->C kinds never share a number."""

    INVITE = 0
    ADVERTISE = 1
    ROSTER = 2
    SHARES = 3
    CIPHERTEXTS = 4
    MASKED_INPUT = 5
    SURVIVORS = 6
    CONSISTENCY = 7
    UNMASK = 8
    UNMASK_SHARES = 9
    ENCRYPT = 10
    ENCRYPTED_INPUT = 11
    DECRYPT = 12
    DECRYPTED = 13
    PARTIAL_DECRYPTION = 14


SECAGG_KINDS: Final = frozenset(Kind(number) for number in range(10))
"""The kinds of pairwise-mask secure aggregation."""
PAILLIER_KINDS: Final = frozenset({Kind.INVITE, *(Kind(number) for number in range(10, 15))})
"""The kinds of encrypted aggregation."""


class Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What all messages have in common: frozen, positional on the wire, nothing beyond the fields named."""


class Invite(Message, frozen=True):
    """S->C: the plan of the session and the roster it is for; a party's policy decides before anything is sent."""

    plan: Annotated[bytes, msgspec.Meta(max_length=1 << 20)]
    roster_digest: Bytes32


class Advertise(Message, frozen=True):
    """C->S: two ephemeral X25519 public keys, and under an active server the identity's signature of them."""

    mask_key: Bytes32
    share_key: Bytes32
    signature: Signature


class KeyEntry(Message, frozen=True):
    """One party's advertised keys, as the others see them."""

    party: PartyIndex
    mask_key: Bytes32
    share_key: Bytes32
    signature: Signature


class KeyProof(Message, frozen=True):
    """Where an entry stands in the whole key list, and its Merkle path: the siblings of 32 bytes, lowest first."""

    place: PartyIndex
    path: Annotated[bytes, msgspec.Meta(max_length=32 * MAX_PATH)]


class Roster(Message, frozen=True):
    """S->C: who advertised, with which keys, under the Merkle root that enters every later derivation.

    On the complete graph all of `attending` entries and no proofs: the root is recomputed. On the k-regular one the receiver's own
    entry and its neighbours', with a proof for each.
    """

    plan_digest: Bytes32
    model_digest: Bytes32
    root: Bytes32
    attending: Annotated[int, msgspec.Meta(ge=0, lt=MAX_PARTIES + 1)]
    entries: Annotated[list[KeyEntry], msgspec.Meta(max_length=MAX_PARTIES)]
    proofs: Annotated[list[KeyProof], msgspec.Meta(max_length=MAX_PARTIES)]


class LabelledShare(Message, frozen=True):
    """One Shamir share with the name of the secret it is of."""

    label: LabelName
    share: Share33


class ShareBundle(Message, frozen=True):
    """What one party deals to another: the plaintext inside a sealed share."""

    shares: Annotated[list[LabelledShare], msgspec.Meta(min_length=1, max_length=MAX_LABELS)]


class SealedShares(Message, frozen=True):
    """A bundle sealed to (C->S) or from (S->C) `party`, with the dealer's digest of each share in it, in the order of its labels."""

    party: PartyIndex
    ciphertext: Annotated[bytes, msgspec.Meta(max_length=28 + 56 * MAX_LABELS)]
    share_digests: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32 * MAX_LABELS)]


class Shares(Message, frozen=True):
    """C->S: a commitment to each secret (in the order of its labels), and its shares for every neighbour."""

    commitments: Annotated[list[Bytes32], msgspec.Meta(min_length=1, max_length=MAX_LABELS)]
    sealed: Annotated[list[SealedShares], msgspec.Meta(max_length=MAX_PARTIES)]


class Ciphertexts(Message, frozen=True):
    """S->C: the shares that A_u, the neighbours who dealt, have for this party."""

    sealed: Annotated[list[SealedShares], msgspec.Meta(max_length=MAX_PARTIES)]


class MaskedInput(Message, frozen=True):
    """C->S: chunk `chunk` of y_u as words of ceil(b/8) bytes, with A_u, whose masks it bears."""

    chunk: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    neighbours: PartySet
    words: Annotated[bytes, msgspec.Meta(max_length=8 * CHUNK_VALUES)]


class Survivors(Message, frozen=True):
    """S->C (active server): U3, the parties whose masked input arrived."""

    survivors: PartySet


class Consistency(Message, frozen=True):
    """C->S (active server): this party's signature of U3; one per round, ever."""

    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class SurvivorSignature(Message, frozen=True):
    """A party's signature of U3, as the others see it."""

    party: PartyIndex
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class Unmask(Message, frozen=True):
    """S->C: U3 again, and under an active server at least t signatures of it."""

    survivors: PartySet
    signatures: Annotated[list[SurvivorSignature], msgspec.Meta(max_length=MAX_PARTIES)]


class OwnedShare(Message, frozen=True):
    """A share that this party held, of a secret of `owner`."""

    owner: PartyIndex
    label: LabelName
    share: Share33


class UnmaskShares(Message, frozen=True):
    """C->S: for each neighbour one share: of its self mask if it survived, of its mask key if it did not.

    Where seeds of noise were dealt, those that are opened of a survivor follow its self mask, in the order of their numbers.
    With prefetch, `next_keys` is the whole Advertise message of the round that follows; otherwise it is empty.
    """

    shares: Annotated[list[OwnedShare], msgspec.Meta(max_length=MAX_PARTIES * MAX_LABELS)]
    next_keys: Annotated[bytes, msgspec.Meta(max_length=MAX_ADVERTISE)]


# Paillier: one message a party, in chunks, and the decryption of the sum.

_CiphertextBytes: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=CHUNK_CIPHERTEXT_BYTES + 64)]
_ChunkNumber: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]


class Encrypt(Message, frozen=True):
    """S->C: the plan and the model of the round that encrypted vectors are due for."""

    plan_digest: Bytes32
    model_digest: Bytes32


class EncryptedInput(Message, frozen=True):
    """C->S: chunk `chunk` of a party's ciphertexts, behind the id of their key."""

    chunk: _ChunkNumber
    ciphertexts: _CiphertextBytes


class Decrypt(Message, frozen=True):
    """S->H: U3, and chunk `chunk` of the ciphertexts of its sum, behind the id of their key.

    In an audited round there are none: the holder adds those that it was forwarded from each party.
    """

    survivors: PartySet
    chunk: _ChunkNumber
    ciphertexts: _CiphertextBytes


class Decrypted(Message, frozen=True):
    """H->S: the sum's words that were in one chunk, ceil(b/8) bytes each."""

    chunk: _ChunkNumber
    words: Annotated[bytes, msgspec.Meta(max_length=8 * CHUNK_VALUES)]


class PartialDecryption(Message, frozen=True):
    """C->S: this party's partial decryptions of one chunk, with their proof."""

    chunk: _ChunkNumber
    partials: Annotated[bytes, msgspec.Meta(max_length=CHUNK_CIPHERTEXT_BYTES + (1 << 14))]
