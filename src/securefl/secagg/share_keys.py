"""R1, ShareKeys: each party checks the key list, fixes ctx by it, and deals its two secrets to its neighbours."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from securefl.crypto.digest import equal
from securefl.crypto.kex import KeyPair
from securefl.crypto.random import RandomSource
from securefl.crypto.secret import Redacted, Secret
from securefl.errors import CryptoError, MalformedMessageError, RemoteProtocolError
from securefl.secagg.advertise import Advertised, check_entry
from securefl.secagg.context import bind, key_list_root, pre_context
from securefl.secagg.dealing import LABELS, SEALED_BYTES, Label, deal
from securefl.secagg.derive import share_key
from securefl.types import SERVER, RoundContext, Step
from securefl.wire.messages import KeyEntry, Roster, Shares


@dataclasses.dataclass(frozen=True, slots=True)
class KeyList:
    """The keys that a party accepted, and the context that follows from them."""

    context: RoundContext
    ctx: bytes
    entries: Mapping[int, KeyEntry]


class Dealer(Redacted):
    """Kept from R1: the seed b_u, the mask key pair, and the keys under which others' shares will arrive."""

    def __init__(self, seed: Secret, mask: KeyPair, incoming: Mapping[int, bytes]) -> None:
        self.seed = seed
        self.mask = mask
        self.incoming = dict(incoming)

    def wipe(self) -> None:
        """Forget everything."""
        self.seed.wipe()
        self.mask.wipe()
        self.incoming.clear()


def accept_roster(
    context: RoundContext,
    party: int,
    own: Advertised,
    message: Roster,
    *,
    verify_keys: Sequence[bytes] | None,
    names: Sequence[str],
) -> KeyList:
    """Check the key list as a party does that trusts nobody.

    Args:
        context: the round as this party knows it; its model digest is taken from the message.
        party: this party's index.
        own: the keys it advertised.
        message: what the server sent.
        verify_keys: identity keys by index, from this party's own disk; None under a semi-honest server.
        names: party names by index, for errors.

    Raises:
        RemoteProtocolError: another plan, keys that are missing, doubled, foreign or wrongly signed, too few parties, or another root.
    """

    def refuse(reason: str, remedy: str, *suspects: str) -> RemoteProtocolError:
        return RemoteProtocolError(reason, phase=Step.SHARE_KEYS, suspects=suspects or (SERVER,), remedy=remedy)

    if not equal(message.plan_digest, context.plan_digest):
        raise refuse(
            "the key list is for another plan than the one agreed", "compare `securefl plan show` on both sides"
        )
    context = dataclasses.replace(context, model_digest=message.model_digest)
    parties = [entry.party for entry in message.entries]
    if parties != sorted(set(parties)) or (parties and parties[-1] >= context.parties):
        raise refuse(
            "the key list is unordered, names a party twice, or one that is not on the roster", "leave this server"
        )
    entries = {entry.party: entry for entry in message.entries}
    mine = entries.get(party)
    if mine is None or (mine.mask_key, mine.share_key) != (own.mask.public, own.share.public):
        raise refuse("this party's own keys are missing from the key list or were replaced", "leave this server")
    published = [key for entry in message.entries for key in (entry.mask_key, entry.share_key)]
    if len(set(published)) != len(published):
        doubled = [names[e.party] for e in message.entries if {e.mask_key, e.share_key} & _repeated(published)]
        raise refuse("a key appears twice in the key list", "leave out the parties named", SERVER, *doubled)
    ctx0 = pre_context(context)
    for entry in message.entries:
        verify_key = verify_keys[entry.party] if verify_keys is not None else None
        check_entry(ctx0, entry, verify_key=verify_key, name=names[entry.party])
    check_attendance(context, len(entries))
    if not equal(key_list_root(message.entries), message.root):
        raise refuse("the key list does not have the root that was sent with it", "leave this server")
    return KeyList(context, bind(context, message.root), entries)


def _repeated(keys: Sequence[bytes]) -> set[bytes]:
    seen: set[bytes] = set()
    return {key for key in keys if key in seen or seen.add(key)}  # type: ignore[func-returns-value]


def check_attendance(context: RoundContext, attending: int) -> None:
    """The rule for t, for the number of parties that advertised.

    Raises:
        RemoteProtocolError: too few to ever open a sum, or a threshold that a server with c colluders could meet twice.
    """
    if attending < context.quorum:
        raise RemoteProtocolError(
            f"{attending} parties advertised, a sum needs {context.quorum}",
            phase=Step.SHARE_KEYS,
            suspects=(SERVER,),
            remedy="wait for more parties and start a new round",
        )
    if context.active and 2 * context.threshold <= attending + context.max_colluders:
        raise RemoteProtocolError(
            f"threshold {context.threshold} is unsafe for {attending} parties and {context.max_colluders} colluders",
            phase=Step.SHARE_KEYS,
            suspects=(SERVER,),
            remedy="refuse; 2t > n + c keeps a server from collecting both shares of anybody's secrets",
        )


def share_secrets(
    keys: KeyList, party: int, own: Advertised, *, random: RandomSource, names: Sequence[str]
) -> tuple[Dealer, Shares]:
    """Draw the seed b_u and deal it, with the private mask key, to every neighbour.

    Raises:
        RemoteProtocolError: a neighbour's key is of small order, so that the agreed secret would be known to all.
    """
    outgoing: dict[int, bytes] = {}
    incoming: dict[int, bytes] = {}
    for peer, entry in keys.entries.items():
        if peer == party:
            continue
        try:
            agreed = own.share.exchange(entry.share_key)
        except CryptoError as error:
            raise RemoteProtocolError(
                f"the share key of {names[peer]} is no usable X25519 key",
                phase=Step.SHARE_KEYS,
                suspects=(names[peer], SERVER),
                remedy="leave the party out and start a new round",
            ) from error
        outgoing[peer] = share_key(keys.ctx, agreed, party, peer)
        incoming[peer] = share_key(keys.ctx, agreed, peer, party)
    own.share.wipe()
    seed = Secret(random.token(32))
    message = deal(
        keys.ctx,
        party,
        {Label.SELF_MASK: seed.reveal(), Label.MASK_KEY: own.mask.private.reveal()},
        keys=outgoing,
        threshold=keys.context.threshold,
        random=random,
    )
    return Dealer(seed, own.mask, incoming), message


def check_shares(message: Shares, *, party: int, name: str, neighbours: frozenset[int]) -> None:
    """Check the sizes and destinations of a dealing, as the server does; what is sealed only its holder can check.

    Raises:
        MalformedMessageError: shares for others than exactly the neighbours, or another number of labels.
    """
    destinations = [item.party for item in message.sealed]
    if destinations != sorted(neighbours - {party}):
        raise MalformedMessageError(
            f"{name} dealt to {len(destinations)} parties, expected each of its {len(neighbours - {party})} neighbours once",
            phase=Step.SHARE_KEYS,
            suspects=(name,),
            remedy="drop the party",
        )
    if len(message.commitments) != len(LABELS) or any(
        (len(item.share_digests), len(item.ciphertext)) != (32 * len(LABELS), SEALED_BYTES) for item in message.sealed
    ):
        raise MalformedMessageError(
            f"{name} dealt another number of secrets than {len(LABELS)}, or sealed them in another length than {SEALED_BYTES} bytes",
            phase=Step.SHARE_KEYS,
            suspects=(name,),
            remedy="drop the party",
        )
