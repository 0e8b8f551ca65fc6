"""R0, AdvertiseKeys: each party makes two ephemeral X25519 key pairs for this round and publishes them.

The `mask` pair agrees on pairwise masks; its private half is dealt to the others, so that they can remove the masks of a party that
leaves. The `share` pair seals the shares themselves and is never dealt.
"""

from __future__ import annotations

from securefl.crypto.digest import digest
from securefl.crypto.kex import KeyPair, is_usable
from securefl.crypto.random import RandomSource
from securefl.crypto.secret import Redacted
from securefl.crypto.signing import SigningKey, verify
from securefl.errors import CryptoError, RemoteProtocolError
from securefl.types import Step
from securefl.wire.messages import Advertise, KeyEntry


class Advertised(Redacted):
    """Kept from R0: the private halves of both key pairs."""

    def __init__(self, mask: KeyPair, share: KeyPair) -> None:
        self.mask = mask
        self.share = share

    def wipe(self) -> None:
        """Forget both private keys."""
        self.mask.wipe()
        self.share.wipe()


def _signed_data(ctx0: bytes, party: int, mask_key: bytes, share_key: bytes) -> bytes:
    return digest("advertise", ctx0, party, mask_key, share_key)


def advertise(
    ctx0: bytes, party: int, *, identity: SigningKey | None, random: RandomSource
) -> tuple[Advertised, Advertise]:
    """Make this round's key pairs; signed by `identity` under an active server."""
    mask, share = KeyPair.generate(random), KeyPair.generate(random)
    signature = identity.sign(_signed_data(ctx0, party, mask.public, share.public)) if identity else b""
    return Advertised(mask, share), Advertise(mask.public, share.public, signature)


def entry_of(party: int, message: Advertise) -> KeyEntry:
    """The advertised keys as the others will see them."""
    return KeyEntry(party, message.mask_key, message.share_key, message.signature)


def check_entry(ctx0: bytes, entry: KeyEntry, *, verify_key: bytes | None, name: str) -> None:
    """Check an advertised pair of keys against the roster; both roles do.

    Args:
        ctx0: the pre-context that the signature covers.
        entry: the keys.
        verify_key: the party's identity key from this side's own roster; None under a semi-honest server.
        name: the party's name, for the error.

    Raises:
        RemoteProtocolError: not signed by that identity for this session and round, a key that is unusable, or both the same.
    """
    if not (is_usable(entry.mask_key) and is_usable(entry.share_key)):
        raise RemoteProtocolError(
            f"a key that {name} advertised is no usable X25519 key: of small order, or not in its canonical form",
            phase=Step.ADVERTISE,
            suspects=(name,),
            remedy="drop the party",
        )
    if entry.mask_key == entry.share_key:
        raise RemoteProtocolError(
            "the two advertised keys are the same", phase=Step.ADVERTISE, suspects=(name,), remedy="drop the party"
        )
    if verify_key is None:
        if entry.signature:
            raise RemoteProtocolError(
                "keys are signed under a semi-honest plan, where nobody would check them",
                phase=Step.ADVERTISE,
                suspects=(name, "server"),
                remedy="agree on an active plan, or send no signature",
            )
        return
    try:
        verify(verify_key, entry.signature, _signed_data(ctx0, entry.party, entry.mask_key, entry.share_key))
    except CryptoError as error:
        raise RemoteProtocolError(
            f"the advertised keys of {name} are not signed by the identity on this roster",
            phase=Step.ADVERTISE,
            suspects=(name, "server"),
            remedy="compare the party's fingerprint with `securefl roster show`",
        ) from error
