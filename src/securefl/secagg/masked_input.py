"""R2, MaskedInputCollection: y_u = x_u + PRG(b_u) + sum over v in A_u of +-PRG(s_uv) mod 2^b.

A_u is the set of neighbours whose shares reached this party. It travels with y_u, because the server can only remove the masks
that are really there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from securefl.crypto.kex import KeyPair
from securefl.crypto.prg import apply_masks
from securefl.crypto.secret import Redacted
from securefl.encoding.ring import Ring
from securefl.encoding.words import pack, unpack
from securefl.errors import (
    CryptoError,
    EncodingError,
    LocalProtocolError,
    MalformedMessageError,
    RemoteProtocolError,
    RoundAbortedError,
)
from securefl.secagg.dealing import HeldShares, labels_of, open_shares
from securefl.secagg.derive import pair_key, pair_sign, self_key
from securefl.secagg.key_list import KeyList
from securefl.secagg.share_keys import Dealer
from securefl.types import SERVER, RoundContext, Step, Words
from securefl.wire import bitmap
from securefl.wire.messages import CHUNK_VALUES, Ciphertexts, MaskedInput


class Holder(Redacted):
    """Kept from R2: the shares held for each party of A_u."""

    def __init__(self, held: Mapping[int, HeldShares]) -> None:
        self.held = dict(held)

    @property
    def neighbours(self) -> frozenset[int]:
        """A_u, which excludes this party."""
        return frozenset(self.held)

    def wipe(self) -> None:
        """Forget every share."""
        for shares in self.held.values():
            shares.wipe()


def accept_ciphertexts(
    keys: KeyList, party: int, dealer: Dealer, message: Ciphertexts, *, names: Sequence[str]
) -> Holder:
    """Open the shares that neighbours dealt to this party.

    Raises:
        RemoteProtocolError: sources that are unordered, doubled, foreign, or too few: |A_u| < t or |A_u| + 1 < min_survivors.
        RoundAbortedError: a share that does not open or differs from its digest; its dealer or the server is at fault.
    """
    context = keys.context
    sources = [item.party for item in message.sealed]
    if sources != sorted(set(sources)) or not set(sources) <= set(keys.entries) - {party}:
        raise RemoteProtocolError(
            "shares came from parties that did not advertise, from this one, or twice from one",
            phase=Step.MASKED_INPUT,
            suspects=(SERVER,),
            remedy="leave this server",
        )
    if len(sources) < context.min_shares:
        raise RemoteProtocolError(
            f"shares of {len(sources)} neighbours arrived, at least {context.min_shares} are needed",
            phase=Step.MASKED_INPUT,
            suspects=(SERVER,),
            remedy="start a new round when more parties are there",
        )
    held: dict[int, HeldShares] = {}
    labels = labels_of(context.noise_labels)
    for item in message.sealed:
        try:
            key = dealer.incoming[item.party]
            held[item.party] = open_shares(keys.ctx, item.party, party, key, item, labels=labels)
        except CryptoError as error:
            raise RoundAbortedError(
                f"the shares that {names[item.party]} dealt to this party are bad: {error.message}",
                phase=Step.MASKED_INPUT,
                suspects=(names[item.party], SERVER),
                remedy="start a new round without the party named; if it repeats, suspect the server",
            ) from error
    return Holder(held)


def pairwise_masks(
    ctx: bytes, party: int, mask: KeyPair, peers: Mapping[int, bytes], *, names: Sequence[str], phase: Step
) -> list[tuple[bytes, int]]:
    """The (key, sign) of a party's mask with each peer; `peers` maps index to public mask key.

    Raises:
        RoundAbortedError: a peer's key is of small order, so that everybody would know the mask.
    """
    masks = []
    for peer, public in peers.items():
        try:
            agreed = mask.exchange(public)
        except CryptoError as error:
            raise RoundAbortedError(
                f"the mask key of {names[peer]} is no usable X25519 key",
                phase=phase,
                suspects=(names[peer], SERVER),
                remedy="leave the party out and start a new round",
            ) from error
        masks.append((pair_key(ctx, agreed, party, peer), pair_sign(party, peer)))
    return masks


def mask_vector(
    keys: KeyList, party: int, dealer: Dealer, holder: Holder, parts: Iterable[Words], *, names: Sequence[str]
) -> Iterator[MaskedInput]:
    """Mask a vector piece by piece, a message each.

    The seed and the mask key are wiped before the first message is handed out: a vector is masked once.

    Args:
        keys: the accepted key list.
        party: this party.
        dealer: its own secrets; wiped.
        holder: gives A_u.
        parts: the encoded vector over Z_{2^b}, in the pieces of `chunks`; each is overwritten by its part of y_u.
        names: party names by index, for errors.

    Raises:
        LocalProtocolError: while iterating: a part of another length, dtype or range than the plan's.
    """
    context = keys.context
    peers = {peer: keys.entries[peer].mask_key for peer in sorted(holder.neighbours)}
    masks = pairwise_masks(keys.ctx, party, dealer.mask, peers, names=names, phase=Step.MASKED_INPUT)
    masks.append((self_key(keys.ctx, party, dealer.seed.reveal()), 1))
    dealer.wipe()
    neighbours = bitmap.pack(holder.neighbours, context.parties)
    return _masked_chunks(context, parts, masks, neighbours)


def _masked_chunks(
    context: RoundContext, parts: Iterable[Words], masks: list[tuple[bytes, int]], neighbours: bytes
) -> Iterator[MaskedInput]:
    for chunk, (place, part) in enumerate(zip(chunks(context.length), parts, strict=True)):
        check_vector(context, part, place.stop - place.start)
        apply_masks(part, masks, bits=context.ring_bits, offset=place.start)
        yield MaskedInput(chunk, neighbours, pack(part, context.ring_bits))


def check_vector(context: RoundContext, vector: Words, length: int | None = None) -> None:
    """Check the caller's vector, or a part of it of the given length; see `mask_vector`."""
    ring = Ring(context.ring_bits)
    length = context.length if length is None else length
    if vector.dtype != ring.dtype or vector.shape != (length,):
        raise LocalProtocolError(
            f"a vector of {vector.dtype}{list(vector.shape)} cannot be masked, the plan says {ring.dtype}[{length}]",
            phase=Step.MASKED_INPUT,
            remedy="encode the update with the plan's own encoding",
        )
    if vector.size and int(vector.max()) > ring.mask:
        raise LocalProtocolError(
            f"a value of the vector is not below 2^{context.ring_bits}",
            phase=Step.MASKED_INPUT,
            remedy="encode the update with the plan's own encoding",
        )


def chunks(length: int) -> Iterable[slice]:
    """The parts of the vector that travel in one message each; an empty vector travels in one empty message."""
    return [slice(start, min(start + CHUNK_VALUES, length)) for start in range(0, max(length, 1), CHUNK_VALUES)]


class Arriving:
    """The masked input of one party while its chunks arrive, in the order of their numbers.

    Args:
        context: the round.
        name: the sender, for errors.
        forwarded: the parties whose shares were forwarded to the sender.
    """

    def __init__(self, context: RoundContext, name: str, forwarded: frozenset[int]) -> None:
        self._context = context
        self._name = name
        self._forwarded = forwarded
        self._expected = bitmap.pack(forwarded, context.parties)
        self._parts = list(chunks(context.length))
        self._seen = 0
        self.vector: Words = np.empty(0, dtype=Ring(context.ring_bits).dtype)
        self.neighbours: frozenset[int] = frozenset()

    @property
    def complete(self) -> bool:
        """Whether the last chunk is there."""
        return self._seen == len(self._parts)

    def add(self, message: MaskedInput) -> None:
        """Take the next chunk.

        Raises:
            MalformedMessageError: a wrong length, a value that is not below 2^b, a set that is no set of parties.
            RemoteProtocolError: a chunk out of order, or an A_u other than the one forwarded.
        """
        if message.chunk != self._seen:
            raise RemoteProtocolError(
                f"chunk {message.chunk} of {self._name} came where {self._seen} of {len(self._parts)} was due",
                phase=Step.MASKED_INPUT,
                suspects=(self._name,),
                remedy="a message was lost, or the party is at fault: have it send all chunks again, or go on without it",
            )
        # A party takes all the shares that it was forwarded, or leaves: another A_u is a lie, and would leave a mask in the sum.
        if message.neighbours != self._expected:
            bitmap.unpack(message.neighbours, self._context.parties, phase=Step.MASKED_INPUT, suspect=self._name)
            raise self._refuse(
                f"A_u is not the {len(self._forwarded)} parties whose shares were forwarded to {self._name}"
            )
        part = self._parts[self._seen]
        try:
            words = unpack(message.words, self._context.ring_bits, part.stop - part.start)
        except EncodingError as error:
            raise MalformedMessageError(
                f"y_u does not fit the plan: {error.message}",
                phase=Step.MASKED_INPUT,
                suspects=(self._name,),
                remedy="drop the party",
            ) from error
        if len(self._parts) == 1:
            self.vector = words
        else:
            if not self._seen:
                self.vector = np.empty(self._context.length, dtype=words.dtype)
            self.vector[part] = words
        self.neighbours = self._forwarded
        self._seen += 1

    def _refuse(self, reason: str) -> RemoteProtocolError:
        return RemoteProtocolError(reason, phase=Step.MASKED_INPUT, suspects=(self._name,), remedy="drop the party")
