"""Dealing secrets: commit, split, seal to each holder; open and check; rebuild and check.

Every secret is committed to by its dealer, and so is every share of it. A holder checks its shares against those digests when it
receives them, so it can later be held to them; a rebuilt secret is checked before it is used. Whoever lies is named.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from securefl.crypto import aead
from securefl.crypto.digest import DIGEST_BYTES, continued, digest, equal, framed, opening, u32
from securefl.crypto.random import RandomSource
from securefl.crypto.secret import Redacted
from securefl.crypto.shamir import SHARE_BYTES, LagrangeBasis, is_share, split
from securefl.errors import BelowThresholdError, CryptoError, MalformedMessageError, SecretMisuseError
from securefl.types import Step
from securefl.wire import codec
from securefl.wire.messages import MAX_LABELS, LabelledShare, SealedShares, ShareBundle, Shares


class Label(enum.StrEnum):
    """Which of its secrets a party's share is of."""

    SELF_MASK = "self_mask"
    MASK_KEY = "mask_key"


LABELS: Final = (Label.SELF_MASK, Label.MASK_KEY)
"""The secrets that every party deals in every round."""

MAX_NOISE: Final = MAX_LABELS - len(LABELS)
"""Seeds of noise that a party can deal beside them."""


def noise_label(number: int) -> str:
    """The label of a seed of noise, 1..J."""
    return f"noise_{number}"


@lru_cache(maxsize=MAX_NOISE + 1)
def labels_of(noise: int) -> tuple[str, ...]:
    """All that a party deals with `noise` seeds of noise, in the order in which commitments and digests are listed."""
    return (*LABELS, *map(noise_label, range(1, noise + 1)))


@lru_cache(maxsize=MAX_NOISE + 1)
def sealed_bytes(noise: int) -> int:
    """The one length of a sealed bundle of shares."""
    bundle = ShareBundle([LabelledShare(str(label), bytes(SHARE_BYTES)) for label in labels_of(noise)])
    return aead.OVERHEAD + len(codec.encode(bundle))


def point(party: int) -> int:
    """The point at which a party's shares are taken: x = index + 1, never 0, where the secret lies."""
    return party + 1


def holder_at(point: int) -> int:
    """Whose shares are taken at a point."""
    return point - 1


def commitment(ctx: bytes, owner: int, label: str, secret: bytes) -> bytes:
    """H(ctx, owner, label, secret): binds the dealer; hides a secret of 256 bits."""
    return digest("commitment", ctx, owner, label, secret)


def share_digest(ctx: bytes, owner: int, holder: int, label: str, share: bytes) -> bytes:
    """H(ctx, owner, holder, label, share): what the holder is held to."""
    return digest("share", ctx, owner, holder, label, share)


def share_digests(ctx: bytes, holder: int, shares: Iterable[tuple[int, str, bytes]]) -> list[bytes]:
    """`share_digest` of many (owner, label, share) of one holder: tens of thousands in a round, which begin alike."""
    head, held, eight = opening("share", ctx), framed(holder), (8).to_bytes(8, "big")
    tails = {label: held + framed(label) + SHARE_BYTES.to_bytes(8, "big") for label in _PLACE}
    return continued(head + eight, [owner.to_bytes(8, "big") + tails[label] + share for owner, label, share in shares])


def _sealing_data(ctx: bytes, source: int, destination: int) -> bytes:
    return ctx + u32(source) + u32(destination)


def deal(
    ctx: bytes,
    owner: int,
    secrets: Mapping[str, bytes],
    *,
    keys: Mapping[int, bytes],
    threshold: int,
    random: RandomSource,
) -> Shares:
    """The message that deals each secret to every holder.

    Args:
        ctx: the round's context.
        owner: the dealer, who keeps no share of its own secrets.
        secrets: 32 bytes a label, in the order of `labels_of`.
        keys: sealing key by holder.
        threshold: t, the number of shares that rebuild a secret.
        random: the source of the polynomials and nonces.
    """
    holders = sorted(keys)
    points = [point(holder) for holder in holders]
    dealt = {
        label: split(secret, threshold=threshold, points=points, random=random) for label, secret in secrets.items()
    }
    sealed = []
    for holder in holders:
        shares = {label: dealt[label][point(holder)] for label in dealt}
        bundle = codec.encode(ShareBundle([LabelledShare(str(label), share) for label, share in shares.items()]))
        sealed.append(
            SealedShares(
                holder,
                aead.seal(keys[holder], bundle, aad=_sealing_data(ctx, owner, holder), random=random),
                b"".join(share_digest(ctx, owner, holder, label, share) for label, share in shares.items()),
            )
        )
    return Shares([commitment(ctx, owner, label, secret) for label, secret in secrets.items()], sealed)


class HeldShares(Redacted):
    """The shares that one party holds of another's secrets.

    Args:
        shares: 33 bytes a label.
    """

    def __init__(self, shares: Mapping[str, bytes]) -> None:
        self._shares = dict(shares)

    def release(self, label: Label, noise: Sequence[str] = ()) -> list[bytes]:
        """Give out what is opened of this owner, once, and forget all else with it: both its shares never leave this party.

        Args:
            label: which of its two secrets.
            noise: the seeds of noise whose shares go with it; with the self mask only, for noise is taken off vectors in the sum.

        Raises:
            SecretMisuseError: shares of this owner were given out before, or these never go together.
        """
        held, self._shares = self._shares, {}
        if label not in held or not held.keys() >= set(noise):
            raise SecretMisuseError("these shares were given out or wiped", remedy="a party answers once a round")
        if noise and (label is not Label.SELF_MASK or not set(LABELS).isdisjoint(noise)):
            raise SecretMisuseError("these shares never leave together", remedy="open one secret of each party")
        return [held[label], *(held[name] for name in noise)]

    def wipe(self) -> None:
        """Forget the shares."""
        self._shares.clear()

    def save(self) -> list[bytes]:
        """The shares in the order of their labels, for an encrypted snapshot; none once they were given out."""
        return list(self._shares.values())


def open_shares(
    ctx: bytes, source: int, destination: int, key: bytes, item: SealedShares, *, labels: Sequence[str]
) -> HeldShares:
    """Open what `source` dealt to `destination` and check it against the digests that the server holds.

    Raises:
        CryptoError: it does not decrypt, is no bundle of the labels expected, or does not match its digests.
    """
    plain = aead.unseal(key, item.ciphertext, aad=_sealing_data(ctx, source, destination))
    try:
        bundle = codec.decode(ShareBundle, plain, limit=len(plain))
    except MalformedMessageError as error:
        raise CryptoError("the sealed bundle of shares does not parse") from error
    if tuple(share.label for share in bundle.shares) != tuple(labels):
        raise CryptoError(
            f"a bundle holds shares of {[share.label for share in bundle.shares]}, expected {list(map(str, labels))}"
        )
    shares = {label: labelled.share for label, labelled in zip(labels, bundle.shares, strict=True)}
    if not all(map(is_share, shares.values())):
        raise CryptoError("a share is no field element: it would spoil the sum at its very end")
    expected = b"".join(share_digest(ctx, source, destination, label, share) for label, share in shares.items())
    if not equal(expected, item.share_digests):
        raise CryptoError("a share differs from the digest that its dealer published")
    return HeldShares(shares)


_PLACE: Final = {label: slice(DIGEST_BYTES * i, DIGEST_BYTES * (i + 1)) for i, label in enumerate(labels_of(MAX_NOISE))}
"""Where in the digests of one holder's shares the one of a label stands."""


@dataclasses.dataclass(frozen=True, slots=True)
class Dealt:
    """What the server knows of one party's dealing: commitments by label, and by holder the digests of its shares, 32 bytes a label."""

    commitments: Mapping[str, bytes]
    digests: Mapping[int, bytes]

    @classmethod
    def of(cls, message: Shares, labels: Sequence[str]) -> Dealt:
        """Read a Shares message whose sizes have been checked."""
        digests = {item.party: item.share_digests for item in message.sealed}
        return cls(dict(zip(labels, message.commitments, strict=True)), digests)

    def digest_for(self, holder: int, label: str) -> bytes:
        """The digest of the share that `holder` was dealt; empty for nobody's."""
        return self.digests.get(holder, b"")[_PLACE[label]]


class Rebuilder:
    """Rebuilds secrets from exactly t shares each, with Lagrange's weights computed once for each set of holders, all together.

    On the complete graph nearly all secrets are rebuilt from the same holders; on the k-regular one each has its own.

    Args:
        ctx: the round's context.
        answers: by holder and owner the shares opened, one after the other, each already checked against its digest.
        threshold: t.
    """

    def __init__(self, ctx: bytes, answers: Mapping[int, Mapping[int, bytes]], threshold: int) -> None:
        self._ctx = ctx
        self._threshold = threshold
        self._shares: dict[int, dict[int, bytes]] = {}
        for holder in sorted(answers):
            for owner, share in answers[holder].items():
                self._shares.setdefault(owner, {})[holder] = share
        self._bases = _bases(
            {tuple(itertools.islice(shares, threshold)) for shares in self._shares.values()},
            tuple(sorted(answers)[:threshold]),
        )

    def rebuild(self, owner: int, label: str, expected: bytes, *, place: int = 0) -> bytes:
        """The secret of `owner`, 32 bytes, checked against its dealer's commitment.

        Args:
            owner: whose it is.
            label: which of its secrets.
            expected: the commitment.
            place: where among the shares opened of this owner those of it stand.

        Raises:
            BelowThresholdError: fewer than t of those who answered hold a share of it.
            CryptoError: the dealer's shares do not lie on one polynomial through the committed secret.
        """
        shares = self._shares.get(owner, {})
        chosen = tuple(itertools.islice(shares, self._threshold))
        if len(chosen) < self._threshold:
            raise BelowThresholdError(
                f"{len(chosen)} shares of a secret that must be opened are there, {self._threshold} are needed",
                phase=Step.UNMASK,
                remedy="start a new round; too many parties left before the last step",
            )
        basis = self._bases[chosen]
        part = slice(SHARE_BYTES * place, SHARE_BYTES * (place + 1))
        secret = basis.combine([shares[holder_at(x)][part] for x in basis.points])
        if not equal(commitment(self._ctx, owner, label, secret), expected):
            raise CryptoError("the rebuilt secret is not the one that its dealer committed to")
        return secret


def _bases(chosen: set[tuple[int, ...]], base: tuple[int, ...]) -> dict[tuple[int, ...], LagrangeBasis]:
    """The weights for each set of holders.

    On the complete graph nearly all sets are one, and the others lack just the owner: that costs one exchanged point each. On the
    k-regular graph they have little in common, and one inversion serves them all.
    """
    first = set(base)
    near = {holders: (first - set(holders), set(holders) - first) for holders in chosen if len(holders) == len(base)}
    apart = [holders for holders, (gone, _) in near.items() if len(gone) > 1]
    bases = dict(zip(apart, LagrangeBasis.many([list(map(point, holders)) for holders in apart]), strict=True))
    if len(apart) < len(near):
        common = LagrangeBasis(list(map(point, base)))
        for holders, (gone, come) in near.items():
            if len(gone) <= 1:
                bases[holders] = common.replace(point(*gone), point(*come)) if gone else common
    return bases
