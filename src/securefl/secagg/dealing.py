"""Dealing secrets: commit, split, seal to each holder; open and check; rebuild and check.

Every secret is committed to by its dealer, and so is every share of it. A holder checks its shares against those digests when it
receives them, so it can later be held to them; a rebuilt secret is checked before it is used. Whoever lies is named.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Final

from securefl.crypto import aead
from securefl.crypto.digest import digest, equal, u32
from securefl.crypto.random import RandomSource
from securefl.crypto.secret import Redacted
from securefl.crypto.shamir import SHARE_BYTES, LagrangeBasis, is_share, split
from securefl.errors import BelowThresholdError, CryptoError, MalformedMessageError, SecretMisuseError
from securefl.types import Step
from securefl.wire import codec
from securefl.wire.messages import LabelledShare, SealedShares, ShareBundle, Shares


class Label(enum.StrEnum):
    """Which of its secrets a party's share is of."""

    SELF_MASK = "self_mask"
    MASK_KEY = "mask_key"


LABELS: Final = (Label.SELF_MASK, Label.MASK_KEY)
"""The secrets that every party deals, in the order in which commitments and digests are listed."""


SEALED_BYTES: Final = aead.OVERHEAD + len(
    codec.encode(ShareBundle([LabelledShare(label.value, bytes(SHARE_BYTES)) for label in LABELS]))
)
"""The one length of a sealed bundle of shares."""


def point(party: int) -> int:
    """The point at which a party's shares are taken: x = index + 1, never 0, where the secret lies."""
    return party + 1


def commitment(ctx: bytes, owner: int, label: Label, secret: bytes) -> bytes:
    """H(ctx, owner, label, secret): binds the dealer; hides a secret of 256 bits."""
    return digest("commitment", ctx, owner, label.value, secret)


def share_digest(ctx: bytes, owner: int, holder: int, label: Label, share: bytes) -> bytes:
    """H(ctx, owner, holder, label, share): what the holder is held to."""
    return digest("share", ctx, owner, holder, label.value, share)


def _sealing_data(ctx: bytes, source: int, destination: int) -> bytes:
    return ctx + u32(source) + u32(destination)


def deal(
    ctx: bytes,
    owner: int,
    secrets: Mapping[Label, bytes],
    *,
    keys: Mapping[int, bytes],
    threshold: int,
    random: RandomSource,
) -> Shares:
    """The message that deals each secret to every holder.

    Args:
        ctx: the round's context.
        owner: the dealer, who keeps no share of its own secrets.
        secrets: 32 bytes a label, in the order of `LABELS`.
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
        bundle = codec.encode(ShareBundle([LabelledShare(label.value, share) for label, share in shares.items()]))
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

    def __init__(self, shares: Mapping[Label, bytes]) -> None:
        self._shares = dict(shares)

    def release(self, label: Label) -> bytes:
        """Give out one share, once, and forget all others with it: both shares of one owner never leave this party.

        Raises:
            SecretMisuseError: a share of this owner was given out before.
        """
        held, self._shares = self._shares, {}
        if label not in held:
            raise SecretMisuseError("these shares were given out or wiped", remedy="a party answers once a round")
        return held[label]

    def wipe(self) -> None:
        """Forget the shares."""
        self._shares.clear()


def open_shares(ctx: bytes, source: int, destination: int, key: bytes, item: SealedShares) -> HeldShares:
    """Open what `source` dealt to `destination` and check it against the digests that the server holds.

    Raises:
        CryptoError: it does not decrypt, is no bundle of the labels expected, or does not match its digests.
    """
    plain = aead.unseal(key, item.ciphertext, aad=_sealing_data(ctx, source, destination))
    try:
        bundle = codec.decode(ShareBundle, plain, limit=len(plain))
    except MalformedMessageError as error:
        raise CryptoError("the sealed bundle of shares does not parse") from error
    if tuple(share.label for share in bundle.shares) != tuple(label.value for label in LABELS):
        raise CryptoError(
            f"a bundle holds shares of {[share.label for share in bundle.shares]}, expected {list(LABELS)}"
        )
    shares = {label: labelled.share for label, labelled in zip(LABELS, bundle.shares, strict=True)}
    if not all(map(is_share, shares.values())):
        raise CryptoError("a share is no field element: it would spoil the sum at its very end")
    expected = b"".join(share_digest(ctx, source, destination, label, share) for label, share in shares.items())
    if not equal(expected, item.share_digests):
        raise CryptoError("a share differs from the digest that its dealer published")
    return HeldShares(shares)


@dataclasses.dataclass(frozen=True, slots=True)
class Dealt:
    """What the server knows of one party's dealing: commitments by label, share digests by (holder, label)."""

    commitments: Mapping[Label, bytes]
    digests: Mapping[tuple[int, Label], bytes]

    @classmethod
    def of(cls, message: Shares) -> Dealt:
        """Read a Shares message whose sizes have been checked."""
        digests = {
            (item.party, label): item.share_digests[32 * i : 32 * (i + 1)]
            for item in message.sealed
            for i, label in enumerate(LABELS)
        }
        return cls(dict(zip(LABELS, message.commitments, strict=True)), digests)


class Rebuilder:
    """Rebuilds secrets from exactly t shares each, with Lagrange's weights computed once for nearly all of them.

    Args:
        ctx: the round's context.
        answers: shares by holder and owner, each already checked against its digest.
        threshold: t.
    """

    def __init__(self, ctx: bytes, answers: Mapping[int, Mapping[int, bytes]], threshold: int) -> None:
        self._ctx = ctx
        self._answers = answers
        self._threshold = threshold
        self._holders = sorted(answers)
        self._base = tuple(self._holders[:threshold])
        self._bases: dict[tuple[int, ...], LagrangeBasis] = {}

    def rebuild(self, owner: int, label: Label, expected: bytes) -> bytes:
        """The secret of `owner`, 32 bytes, checked against its dealer's commitment.

        Raises:
            BelowThresholdError: fewer than t of those who answered hold a share of it.
            CryptoError: the dealer's shares do not lie on one polynomial through the committed secret.
        """
        chosen = self._choose(owner)
        secret = self._basis(chosen).combine([self._answers[holder][owner] for holder in chosen])
        if not equal(commitment(self._ctx, owner, label, secret), expected):
            raise CryptoError("the rebuilt secret is not the one that its dealer committed to")
        return secret

    def _choose(self, owner: int) -> tuple[int, ...]:
        """T parties that hold a share, in an order that differs from the base's in as few places as can be."""
        spare = (holder for holder in self._holders[self._threshold :] if owner in self._answers[holder])
        chosen = tuple(holder if owner in self._answers[holder] else next(spare, None) for holder in self._base)
        holders = tuple(holder for holder in chosen if holder is not None)
        if len(holders) < self._threshold:
            raise BelowThresholdError(
                f"{len(holders)} shares of a secret that must be opened are there, {self._threshold} are needed",
                phase=Step.UNMASK,
                remedy="start a new round; too many parties left before the last step",
            )
        return holders

    def _basis(self, holders: tuple[int, ...]) -> LagrangeBasis:
        """The weights for these holders: owners among the base cost one exchanged point each, not a new interpolation."""
        if holders not in self._bases:
            changed = [(old, new) for old, new in zip(self._base, holders, strict=True) if old != new]
            if len(changed) == 1 and self._base in self._bases:
                ((old, new),) = changed
                basis = self._bases[self._base].replace(point(old), point(new))
            else:
                basis = LagrangeBasis([point(holder) for holder in holders])
            self._bases[holders] = basis
        return self._bases[holders]
