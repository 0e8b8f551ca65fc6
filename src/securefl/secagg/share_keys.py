"""R1, ShareKeys: each party deals its two secrets, and its seeds of noise, to its neighbours under the ctx that the key list fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from securefl.crypto.kex import KeyPair
from securefl.crypto.random import RandomSource
from securefl.crypto.secret import Redacted, Secret
from securefl.errors import CryptoError, LocalProtocolError, MalformedMessageError, RemoteProtocolError
from securefl.secagg.advertise import Advertised
from securefl.secagg.dealing import Label, deal, labels_of, noise_label, sealed_bytes
from securefl.secagg.derive import share_key
from securefl.secagg.key_list import KeyList
from securefl.types import SERVER, Step
from securefl.wire.messages import Shares


class Dealer(Redacted):
    """Kept from R1: the seed b_u, the mask key pair, the seeds of noise, and the keys under which others' shares will arrive."""

    def __init__(
        self, seed: Secret, mask: KeyPair, incoming: Mapping[int, bytes], noise: Sequence[Secret] = ()
    ) -> None:
        self.seed = seed
        self.mask = mask
        self.incoming = dict(incoming)
        self.noise = tuple(noise)
        self._given = False

    def give_noise(self) -> tuple[Secret, ...]:
        """The seeds of noise, once: for the one vector that is masked; they are wiped with everything else.

        Raises:
            LocalProtocolError: they were given before.
        """
        if self._given:
            raise LocalProtocolError(
                "the seeds of this round's noise were given out", phase=Step.MASKED_INPUT, remedy="start a new round"
            )
        self._given = True
        return self.noise

    @property
    def wiped(self) -> bool:
        """Whether its secrets were used up, by masking or by the end of the round."""
        return not self.incoming

    def wipe(self) -> None:
        """Forget everything."""
        self.seed.wipe()
        self.mask.wipe()
        for seed in self.noise:
            seed.wipe()
        self.incoming.clear()


def share_secrets(
    keys: KeyList, party: int, own: Advertised, *, random: RandomSource, names: Sequence[str]
) -> tuple[Dealer, Shares]:
    """Draw the seed b_u and the seeds of noise and deal them, with the private mask key, to every neighbour.

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
    noise = [Secret(random.token(32)) for _ in range(keys.context.noise_labels)]
    message = deal(
        keys.ctx,
        party,
        {
            Label.SELF_MASK: seed.reveal(),
            Label.MASK_KEY: own.mask.private.reveal(),
            **{noise_label(number): drawn.reveal() for number, drawn in enumerate(noise, 1)},
        },
        keys=outgoing,
        threshold=keys.context.threshold,
        random=random,
    )
    return Dealer(seed, own.mask, incoming, noise), message


def check_shares(message: Shares, *, party: int, name: str, neighbours: frozenset[int], noise_labels: int = 0) -> None:
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
    labels, length = labels_of(noise_labels), sealed_bytes(noise_labels)
    if len(message.commitments) != len(labels) or any(
        (len(item.share_digests), len(item.ciphertext)) != (32 * len(labels), length) for item in message.sealed
    ):
        raise MalformedMessageError(
            f"{name} dealt another number of secrets than {len(labels)}, or sealed them in another length than {length} bytes",
            phase=Step.SHARE_KEYS,
            suspects=(name,),
            remedy="drop the party",
        )
