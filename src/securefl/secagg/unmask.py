"""R4, Unmasking: for every survivor a share of its self mask, for everyone who left after dealing a share of its mask key. Never both.

Where each party dealt J seeds of noise and D parties are missing from the sum, a survivor's seeds j > D are opened with its self mask:
their noise was for more dropouts than there were. Nobody else's seeds are opened.
A party answers once and forgets. The server rebuilds each secret from exactly t shares, checks it against its dealer's commitment,
and takes the masks off the sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from securefl.crypto.digest import equal
from securefl.crypto.kex import KeyPair
from securefl.crypto.prg import apply_masks
from securefl.crypto.signing import verify
from securefl.errors import CryptoError, RemoteProtocolError, RoundAbortedError
from securefl.secagg.consistency import accept_survivors, survivors_data
from securefl.secagg.dealing import Dealt, Label, Rebuilder, noise_label, share_digests
from securefl.secagg.derive import self_key
from securefl.secagg.key_list import KeyList
from securefl.secagg.masked_input import Holder, pairwise_masks
from securefl.types import SERVER, RoundContext, Step, Words
from securefl.wire import bitmap
from securefl.wire.messages import KeyEntry, OwnedShare, Unmask, UnmaskShares


def accept_unmask(
    keys: KeyList,
    party: int,
    neighbours: frozenset[int],
    message: Unmask,
    *,
    signed: frozenset[int] | None,
    verify_keys: Sequence[bytes] | None,
) -> frozenset[int]:
    """Check the request to open, as a party does; returns U3.

    Args:
        keys: the accepted key list.
        party: this party.
        neighbours: A_u.
        message: the request.
        signed: under an active server the set that this party signed, else None.
        verify_keys: identity keys by index from this party's own disk, under an active server.

    Raises:
        RemoteProtocolError: another set than the one signed, fewer than t good signatures, a signer outside U3 or twice, or a set
            that breaks the rules of R3.
    """
    context = keys.context
    survivors = bitmap.unpack(message.survivors, context.parties, phase=Step.UNMASK, suspect=SERVER)
    accept_survivors(keys, party, neighbours, survivors, phase=Step.UNMASK)
    if not context.active:
        if message.signatures:
            raise _refuse("signatures of the survivor set came under a semi-honest plan")
        return survivors
    if verify_keys is None or signed != survivors:
        raise _refuse("the survivor set is not the one that this party signed")
    signers = [item.party for item in message.signatures]
    if signers != sorted(set(signers)) or not set(signers) <= survivors:
        raise _refuse("a signature of the survivor set came twice, or from a party outside it")
    if len(signers) < context.threshold:
        raise _refuse(f"{len(signers)} signatures of the survivor set came, {context.threshold} are needed")
    data = survivors_data(keys.ctx, survivors)
    for item in message.signatures:
        try:
            verify(verify_keys[item.party], item.signature, data)
        except CryptoError as error:
            raise _refuse(f"the signature of party {item.party} is not of this survivor set") from error
    return survivors


def _refuse(reason: str) -> RemoteProtocolError:
    return RemoteProtocolError(
        reason,
        phase=Step.UNMASK,
        suspects=(SERVER,),
        remedy="open nothing; leave this server and tell the other parties",
    )


def owed_label(owner: int, survivors: frozenset[int]) -> Label:
    """Which of its two secrets is opened of `owner`: the self mask if its vector is in the sum, the mask key if it is not."""
    return Label.SELF_MASK if owner in survivors else Label.MASK_KEY


def excess(context: RoundContext, survivors: frozenset[int]) -> range:
    """The numbers of the seeds that are opened of each survivor: D + 1 to J, where D parties are missing from the sum."""
    return range(context.parties - len(survivors) + 1, context.noise_labels + 1)


def owed_noise(owner: int, survivors: frozenset[int], numbers: range) -> tuple[str, ...]:
    """The labels of the seeds that are opened of `owner` beside its secret: none where its vector is not in the sum."""
    return tuple(map(noise_label, numbers)) if owner in survivors else ()


def answer(context: RoundContext, holder: Holder, survivors: frozenset[int], *, next_keys: bytes = b"") -> UnmaskShares:
    """One share of each neighbour, and those of excess noise, after which this party holds none; `next_keys` ride along."""
    shares, numbers = [], excess(context, survivors)
    for owner in sorted(holder.neighbours):
        label, noise = owed_label(owner, survivors), owed_noise(owner, survivors, numbers)
        released = holder.held[owner].release(label, noise)
        shares += [OwnedShare(owner, str(name), share) for name, share in zip((label, *noise), released, strict=True)]
    return UnmaskShares(shares, next_keys)


def check_answer(
    context: RoundContext,
    ctx: bytes,
    party: int,
    message: UnmaskShares,
    *,
    neighbours: frozenset[int],
    survivors: frozenset[int],
    dealt: Mapping[int, Dealt],
    name: str,
) -> dict[int, bytes]:
    """Check a party's shares against the digests that it accepted at R2, as the server does; returns them by owner, joined.

    Raises:
        RemoteProtocolError: shares of others than A_u, of the wrong secrets, or that differ from their digests. The whole answer is
            refused: a share-holder that lies once is not used at all.
    """
    numbers = excess(context, survivors)
    due = [
        (owner, label)
        for owner in sorted(neighbours)
        for label in (owed_label(owner, survivors), *owed_noise(owner, survivors, numbers))
    ]
    owners, owed = [owner for owner, _ in due], [label for _, label in due]
    if [item.owner for item in message.shares] != owners:
        raise RemoteProtocolError(
            f"{name} gave {len(message.shares)} shares, owed are its {len(neighbours)} neighbours', {len(due)} in their order",
            phase=Step.UNMASK,
            suspects=(name,),
            remedy="go on without its shares",
        )
    expected = [dealt[owner].digest_for(party, label) for owner, label in zip(owners, owed, strict=True)]
    labels = [item.label for item in message.shares]
    if labels != owed or not equal(
        b"".join(expected),
        b"".join(share_digests(ctx, party, [(item.owner, item.label, item.share) for item in message.shares])),
    ):
        raise RemoteProtocolError(
            f"{name} gave a share that is not the one it was dealt",
            phase=Step.UNMASK,
            suspects=(name,),
            remedy="go on without its shares",
        )
    shares = dict.fromkeys(owners, b"")
    for item in message.shares:
        shares[item.owner] += item.share
    return shares


def remove_masks(
    context: RoundContext,
    ctx: bytes,
    total: Words,
    *,
    reported: Mapping[int, frozenset[int]],
    entries: Mapping[int, KeyEntry],
    dealt: Mapping[int, Dealt],
    answers: Mapping[int, Mapping[int, bytes]],
    names: Sequence[str],
) -> dict[int, dict[int, bytes]]:
    """Turn the sum of y_u into the sum of x_u, in place; returns each survivor's seeds of excess noise by number.

    Args:
        context: the round.
        ctx: its context.
        total: sum of y_u over U3 mod 2^b; overwritten.
        reported: A_u of each party in U3.
        entries: the advertised keys.
        dealt: commitments of each party that dealt.
        answers: checked shares, by holder and owner, as `check_answer` returns them.
        names: party names by index, for errors.

    Raises:
        RoundAbortedError: a dealer's shares do not rebuild the secret it committed to; the dealer is named.
    """
    survivors = frozenset(reported)
    rebuilder = Rebuilder(ctx, answers, context.threshold)

    def rebuild(owner: int, label: str, place: int = 0) -> bytes:
        try:
            return rebuilder.rebuild(owner, label, dealt[owner].commitments[label], place=place)
        except CryptoError as error:
            raise _bad_dealer(names[owner], error.message) from error

    # Whoever left, and which survivors bear its mask.
    left: dict[int, list[int]] = {}
    for peer in sorted(survivors):
        for party in reported[peer] - survivors:
            left.setdefault(party, []).append(peer)

    def masks() -> Iterator[tuple[bytes, int]]:
        """All masks in the sum, as (key, sign)."""
        for party in sorted(survivors):
            yield self_key(ctx, party, rebuild(party, Label.SELF_MASK)), -1
        for party, bearers in sorted(left.items()):
            mask = KeyPair.from_private(rebuild(party, Label.MASK_KEY))
            if not equal(mask.public, entries[party].mask_key):
                raise _bad_dealer(names[party], "the rebuilt mask key is not the one it advertised")
            peers = {peer: entries[peer].mask_key for peer in bearers}
            # A mask of the party that left carries the opposite sign of its peer's: adding it cancels the one in the sum.
            yield from pairwise_masks(ctx, party, mask, peers, names=names, phase=Step.UNMASK)

    # Derived first, all of them: that holds the interpreter's lock, for which threads that mask would wait.
    derived, numbers = list(masks()), excess(context, survivors)
    seeds = {
        party: {number: rebuild(party, noise_label(number), place) for place, number in enumerate(numbers, 1)}
        for party in sorted(survivors)
        if numbers
    }
    apply_masks(total, derived, bits=context.ring_bits)
    return seeds


def _bad_dealer(name: str, reason: str) -> RoundAbortedError:
    return RoundAbortedError(
        f"the shares that {name} dealt cannot be used: {reason}",
        phase=Step.UNMASK,
        suspects=(name,),
        remedy="start a new round without the party named",
    )
