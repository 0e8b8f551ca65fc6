"""What a party keeps from one step to the next, so that a round survives a crash.

Saved, it holds every secret of the round: whoever writes it down encrypts it (`securefl.session.snapshot`).
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Never

import msgspec

from securefl.crypto.kex import KeyPair
from securefl.crypto.secret import Redacted, Secret
from securefl.errors import SecretMisuseError
from securefl.secagg.advertise import Advertised
from securefl.secagg.context import bind
from securefl.secagg.dealing import HeldShares, labels_of
from securefl.secagg.key_list import KeyList, fit
from securefl.secagg.masked_input import Holder
from securefl.secagg.share_keys import Dealer
from securefl.types import RoundContext
from securefl.wire.messages import MAX_PARTIES, Bytes32, KeyEntry, Message, PartyIndex, Share33

_Few = msgspec.Meta(max_length=MAX_PARTIES)


class SecretMessage(Message, frozen=True):
    """A struct with secrets in it: it shows only its type, and goes nowhere but into an encrypted file."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: redacted>"

    def __rich_repr__(self) -> Never:
        raise SecretMisuseError("a snapshot is not shown", remedy="save it encrypted")

    def __copy__(self) -> Never:
        raise SecretMisuseError("a snapshot is not copied", remedy="save it encrypted")

    def __reduce__(self) -> Never:
        raise SecretMisuseError("a snapshot cannot be pickled", remedy="save it encrypted")


class SavedKeyList(Message, frozen=True):
    """An accepted key list."""

    root: Bytes32
    attending: int
    entries: Annotated[list[KeyEntry], _Few]


class SavedHolding(SecretMessage, frozen=True):
    """The shares held of one owner's secrets, in the order of their labels."""

    owner: PartyIndex
    shares: list[Share33]


class SavedIncoming(SecretMessage, frozen=True):
    """The key under which one party's shares will arrive."""

    source: PartyIndex
    key: Bytes32


class SavedKept(SecretMessage, frozen=True):
    """`Kept` in bytes; what is not there is empty or None."""

    advertised: list[Bytes32]
    keys: SavedKeyList | None
    dealt: list[Bytes32]
    incoming: Annotated[list[SavedIncoming], _Few]
    held: Annotated[list[SavedHolding], _Few] | None
    signed: Annotated[list[PartyIndex], _Few] | None


@dataclasses.dataclass(repr=False, eq=False)
class Kept(Redacted):
    """A party's memory of its round, filled step by step and wiped at the end.

    Args:
        advertised: from R0, both key pairs.
        keys: from R1, the key list.
        dealer: from R1, its own secrets.
        holder: from R2, the shares of others.
        signed: from R3, the survivor set that it signed.
        told: from R4, the survivor set that it opened.
    """

    advertised: Advertised | None = None
    keys: KeyList | None = None
    dealer: Dealer | None = None
    holder: Holder | None = None
    signed: frozenset[int] | None = None
    told: frozenset[int] | None = None

    def wipe(self) -> None:
        """Forget every secret; the key list, which is public, and the set that was signed stay."""
        for secret in (self.advertised, self.dealer, self.holder):
            if secret is not None:
                secret.wipe()
        self.advertised = self.dealer = None

    def save(self) -> SavedKept:
        """Everything, in clear."""
        own, keys, dealer, holder = self.advertised, self.keys, self.dealer, self.holder
        waiting = own is not None and dealer is None  # the advertised pairs serve until the secrets are dealt
        alive = dealer is not None and not dealer.wiped
        return SavedKept(
            advertised=[own.mask.private.reveal(), own.share.private.reveal()] if own and waiting else [],
            keys=SavedKeyList(keys.root, keys.attending, list(keys.entries.values())) if keys else None,
            dealt=[secret.reveal() for secret in (dealer.seed, dealer.mask.private, *dealer.noise)]
            if dealer and alive
            else [],
            incoming=[SavedIncoming(source, key) for source, key in dealer.incoming.items()] if dealer else [],
            held=[SavedHolding(owner, shares.save()) for owner, shares in holder.held.items()] if holder else None,
            signed=sorted(self.signed) if self.signed is not None else None,
        )

    @classmethod
    def restore(cls, saved: SavedKept, context: RoundContext) -> Kept:
        """What `save` wrote; `context` is the round's, with its model digest."""
        kept = cls()
        if saved.advertised:
            mask, share = map(KeyPair.from_private, saved.advertised)
            kept.advertised = Advertised(mask, share)
        if saved.keys is not None:
            fitted = fit(context, saved.keys.attending)
            entries = {entry.party: entry for entry in saved.keys.entries}
            kept.keys = KeyList(fitted, bind(fitted, saved.keys.root), saved.keys.root, entries, saved.keys.attending)
        if saved.dealt:
            seed, private, *noise = saved.dealt
            incoming = {item.source: item.key for item in saved.incoming}
            kept.dealer = Dealer(Secret(seed), KeyPair.from_private(private), incoming, list(map(Secret, noise)))
        if saved.held is not None:
            labels = labels_of(context.noise_labels)
            kept.holder = Holder(
                {item.owner: HeldShares(dict(zip(labels, item.shares, strict=False))) for item in saved.held}
            )
        kept.signed = frozenset(saved.signed) if saved.signed is not None else None
        return kept
