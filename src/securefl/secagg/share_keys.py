"""R1, ShareKeys: each party deals its two secrets to its neighbours, under the ctx that the key list fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from securefl.crypto.kex import KeyPair
from securefl.crypto.random import RandomSource
from securefl.crypto.secret import Redacted, Secret
from securefl.errors import CryptoError, MalformedMessageError, RemoteProtocolError
from securefl.secagg.advertise import Advertised
from securefl.secagg.dealing import LABELS, SEALED_BYTES, Label, deal
from securefl.secagg.derive import share_key
from securefl.secagg.key_list import KeyList
from securefl.types import SERVER, Step
from securefl.wire.messages import Shares


class Dealer(Redacted):
    """Kept from R1: the seed b_u, the mask key pair, and the keys under which others' shares will arrive."""

    def __init__(self, seed: Secret, mask: KeyPair, incoming: Mapping[int, bytes]) -> None:
        self.seed = seed
        self.mask = mask
        self.incoming = dict(incoming)

    @property
    def wiped(self) -> bool:
        """Whether its secrets were used up, by masking or by the end of the round."""
        return not self.incoming

    def wipe(self) -> None:
        """Forget everything."""
        self.seed.wipe()
        self.mask.wipe()
        self.incoming.clear()


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
