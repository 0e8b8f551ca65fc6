"""What the server has collected in a round, so that the round survives the server's own crash.

Saved, it holds shares of parties' secrets: whoever writes it down encrypts it (`securefl.session.snapshot`).
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import msgspec

from securefl.crypto.shamir import SHARE_BYTES
from securefl.encoding.ring import Ring
from securefl.encoding.words import pack, unpack
from securefl.secagg.dealing import Dealt, labels_of
from securefl.secagg.graph import Neighbourhoods
from securefl.secagg.kept import SecretMessage
from securefl.secagg.masked_input import Arriving
from securefl.types import RoundContext, Step, Words
from securefl.wire import bitmap
from securefl.wire.messages import (
    MAX_LABELS,
    MAX_PARTIES,
    Bytes32,
    KeyEntry,
    Message,
    PartyIndex,
    PartySet,
    Shares,
    SurvivorSignature,
)

_Few = msgspec.Meta(max_length=MAX_PARTIES)
_Joined = Annotated[bytes, msgspec.Meta(min_length=SHARE_BYTES, max_length=SHARE_BYTES * MAX_LABELS)]


class SavedStep(Message, frozen=True):
    """The step at which a party left."""

    party: PartyIndex
    step: str


class SavedMessage(Message, frozen=True):
    """A dealing that was not forwarded yet."""

    party: PartyIndex
    shares: Shares


class SavedDealt(Message, frozen=True):
    """What one party dealt: its commitments, and by holder the digests of the shares."""

    party: PartyIndex
    commitments: list[Bytes32]
    digests: Annotated[list[tuple[PartyIndex, bytes]], _Few]


class SavedSet(Message, frozen=True):
    """A set of parties that one party reported."""

    party: PartyIndex
    members: PartySet


class SavedAnswer(SecretMessage, frozen=True):
    """The shares that one party gave out, by owner, joined."""

    party: PartyIndex
    shares: Annotated[list[tuple[PartyIndex, _Joined]], _Few]


class SavedSeeds(SecretMessage, frozen=True):
    """A survivor's seeds of noise that were opened, by number."""

    party: PartyIndex
    seeds: list[tuple[int, Bytes32]]


class SavedKeys(Message, frozen=True):
    """An Advertise message of the round that follows."""

    party: PartyIndex
    data: bytes


class SavedCollected(SecretMessage, frozen=True):
    """`Collected` in bytes."""

    waiting: PartySet
    answered: PartySet
    dropped: Annotated[list[SavedStep], _Few]
    entries: Annotated[list[KeyEntry], _Few]
    order: Annotated[list[PartyIndex], _Few]
    root: bytes
    messages: Annotated[list[SavedMessage], _Few]
    dealt: Annotated[list[SavedDealt], _Few]
    reported: Annotated[list[SavedSet], _Few]
    total: bytes
    survivors: PartySet
    signatures: Annotated[list[SurvivorSignature], _Few]
    answers: Annotated[list[SavedAnswer], _Few]
    seeds: Annotated[list[SavedSeeds], _Few]
    prefetched: Annotated[list[SavedKeys], _Few]


@dataclasses.dataclass(repr=False, eq=False)
class Collected:
    """The server's memory of a round, filled step by step.

    Args:
        total: sum of the y_u that arrived whole, modulo the word until masks come off, then mod 2^b.
        waiting: parties whose message is due.
        answered: parties whose message of this step is there.
        dropped: the step that each party that left did not complete.
        entries: from R0, keys by party.
        published: from R0, every public key and whose it is.
        graph: from R0, who shares masks with whom.
        root: from R0, of the key list; empty before.
        messages: from R1, dealings to be forwarded.
        dealt: from R1, commitments and digests by dealer.
        arriving: in R2, vectors of which chunks are missing.
        reported: from R2, A_u by party.
        survivors: from R2, U3.
        signatures: from R3, of U3 by party.
        answers: from R4, shares by holder and owner, joined.
        seeds: from the end, the seeds of excess noise by survivor and number.
        prefetched: from R4, Advertise messages of the round that follows, which nobody has checked yet.
    """

    total: Words
    waiting: set[int] = dataclasses.field(default_factory=set)
    answered: set[int] = dataclasses.field(default_factory=set)
    dropped: dict[int, Step] = dataclasses.field(default_factory=dict)
    entries: dict[int, KeyEntry] = dataclasses.field(default_factory=dict)
    published: dict[bytes, int] = dataclasses.field(default_factory=dict)
    graph: Neighbourhoods = dataclasses.field(default_factory=lambda: Neighbourhoods((), 0))
    root: bytes = b""
    messages: dict[int, Shares] = dataclasses.field(default_factory=dict)
    dealt: dict[int, Dealt] = dataclasses.field(default_factory=dict)
    arriving: dict[int, Arriving] = dataclasses.field(default_factory=dict)
    reported: dict[int, frozenset[int]] = dataclasses.field(default_factory=dict)
    survivors: frozenset[int] = frozenset()
    signatures: dict[int, bytes] = dataclasses.field(default_factory=dict)
    answers: dict[int, dict[int, bytes]] = dataclasses.field(default_factory=dict)
    seeds: dict[int, dict[int, bytes]] = dataclasses.field(default_factory=dict)
    prefetched: dict[int, bytes] = dataclasses.field(default_factory=dict)

    def forget(self) -> None:
        """Let go of what no later step needs: everything but who left, and the keys of the next round."""
        for collected in (self.messages, self.arriving, self.answers, self.signatures, self.seeds):
            collected.clear()
        self.waiting = set()
        self.total = self.total[:0].copy()
        self.survivors = frozenset()

    def save(self, context: RoundContext) -> SavedCollected:
        """Everything but chunks of vectors that are not whole: their parties send them again."""
        parties = context.parties
        return SavedCollected(
            waiting=bitmap.pack(self.waiting, parties),
            answered=bitmap.pack(self.answered, parties),
            dropped=[SavedStep(party, step.value) for party, step in sorted(self.dropped.items())],
            entries=[entry for _, entry in sorted(self.entries.items())],
            order=list(self.graph.order),
            root=self.root,
            messages=[SavedMessage(party, message) for party, message in sorted(self.messages.items())],
            dealt=[
                SavedDealt(party, list(dealt.commitments.values()), sorted(dealt.digests.items()))
                for party, dealt in sorted(self.dealt.items())
            ],
            reported=[SavedSet(party, bitmap.pack(held, parties)) for party, held in sorted(self.reported.items())],
            total=pack(self.total & self.total.dtype.type(Ring(context.ring_bits).mask), context.ring_bits),
            survivors=bitmap.pack(self.survivors, parties),
            signatures=[SurvivorSignature(party, value) for party, value in sorted(self.signatures.items())],
            answers=[SavedAnswer(party, sorted(shares.items())) for party, shares in sorted(self.answers.items())],
            seeds=[SavedSeeds(party, sorted(seeds.items())) for party, seeds in sorted(self.seeds.items())],
            prefetched=[SavedKeys(party, data) for party, data in sorted(self.prefetched.items())],
        )

    @classmethod
    def restore(cls, saved: SavedCollected, context: RoundContext) -> Collected:
        """What `save` wrote."""
        ring, labels = Ring(context.ring_bits), labels_of(context.noise_labels)

        def members(packed: bytes) -> frozenset[int]:
            return bitmap.unpack(packed, context.parties)

        return cls(
            total=unpack(saved.total, ring.bits, len(saved.total) // ring.word_bytes).copy(),
            waiting=set(members(saved.waiting)),
            answered=set(members(saved.answered)),
            dropped={item.party: Step(item.step) for item in saved.dropped},
            entries={entry.party: entry for entry in saved.entries},
            published={key: entry.party for entry in saved.entries for key in (entry.mask_key, entry.share_key)},
            graph=Neighbourhoods(saved.order, context.degree(len(saved.order))),
            root=saved.root,
            messages={item.party: item.shares for item in saved.messages},
            dealt={
                item.party: Dealt(dict(zip(labels, item.commitments, strict=True)), dict(item.digests))
                for item in saved.dealt
            },
            reported={item.party: members(item.members) for item in saved.reported},
            survivors=members(saved.survivors),
            signatures={item.party: item.signature for item in saved.signatures},
            answers={item.party: dict(item.shares) for item in saved.answers},
            seeds={item.party: dict(item.seeds) for item in saved.seeds},
            prefetched={item.party: item.data for item in saved.prefetched},
        )
