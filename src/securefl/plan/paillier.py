"""Paillier as a protocol of a plan: under whose key, who decrypts, and how many must be in a sum."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, TypeAlias

import msgspec

from securefl.crypto.signing import fingerprint
from securefl.errors import UnsafePlanError
from securefl.secagg.parameters import ASSUMED, Parameters
from securefl.types import Graph, KeyModel, ServerModel
from securefl.wire.messages import MAX_PARTIES

if TYPE_CHECKING:
    from securefl.dp.mechanisms import Release
    from securefl.paillier import PublicKey, Randomness, SlotLayout
    from securefl.paillier.threshold import VerificationKeys

    Keys: TypeAlias = PublicKey | VerificationKeys

_MIN_PARTIES: Final = 3
_TAIL_BITS: Final = 80
"""Noise leaves the room that a slot has for it in no coordinate of any party, except with probability 2^-80 a round."""


class PaillierMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What travels of a `Paillier`, beside what all plans have."""

    key: Annotated[bytes, msgspec.Meta(max_length=1 << 20)]
    holder: Annotated[str, msgspec.Meta(max_length=16)]
    audited: bool
    randomness: Annotated[str, msgspec.Meta(max_length=16)]


@dataclasses.dataclass(frozen=True, slots=True)
class PaillierParameters(Parameters):
    """As `Parameters`; `threshold` is how many key holders decrypt together, and there is no graph of masks.

    Args:
        holder: who holds the key.
    """

    holder: KeyModel = KeyModel.SEPARATE

    @property
    def quorum(self) -> int:
        """Parties that must stay to the end for the sum to be decrypted."""
        return max(self.threshold, self.min_survivors)


@dataclasses.dataclass(frozen=True, slots=True)
class Paillier:
    """Packed Paillier encryption: one message a party, and whoever holds the key decrypts the sum, never a summand.

        key = sfl.paillier.PrivateKey.generate()
        plan = sfl.Plan(template=..., parties=10, protocol=sfl.Paillier(key.public_key))
        result = sfl.aggregate(updates, plan, key_holder=key)

    Args:
        key: the public key; or what a trusted dealer published, where shares of the key are dealt to the parties.
        holder: "separate" (neither the server nor a party), "clients" (all parties have it: one of them and the server together see
            everything) or "threshold" (any t parties decrypt together, fewer do not); follows from the key unless given.
        audited: parties sign their ciphertexts and the holder gets them all, checks who signed, and adds them itself: holds against a
            server that deviates. Otherwise the server's word is taken that a ciphertext is the round's sum.
        randomness: "djn", "standard" (slower, the plain assumption) or "short" (faster, an assumption more).
        max_colluders: c, how many parties may collude with the server.
        dropout: the fraction of parties that a round must be able to lose, 0 <= dropout < 1.
        min_survivors: the least number of vectors in a sum.

    Raises:
        UnsafePlanError: a field of another type, or who holds the key does not go with it.

    Source: paillier.md, Decisions.
    """

    key: Keys
    holder: KeyModel | str | None = None
    audited: bool = False
    randomness: Randomness | str = "djn"
    max_colluders: int | None = None
    dropout: float = 0.0
    min_survivors: int | None = None

    name: ClassVar[str] = "paillier"

    def __post_init__(self) -> None:
        from securefl.paillier import PublicKey, Randomness
        from securefl.paillier.threshold import VerificationKeys

        dealt = isinstance(self.key, VerificationKeys)
        if not dealt and not isinstance(self.key, PublicKey):
            raise UnsafePlanError(
                "the key of a Paillier plan is of another type",
                value=type(self.key).__name__,  # which may be a private key's, and is not shown
                bound="a PublicKey, or the VerificationKeys of a dealing",
                remedy="pass key.public_key, or dealing.keys",
            )
        if not isinstance(self.audited, bool):
            raise UnsafePlanError(
                "audited is of another type", value=repr(self.audited)[:80], bound="True or False", remedy="pass one"
            )
        holder = self.holder if self.holder is not None else KeyModel.THRESHOLD if dealt else KeyModel.SEPARATE
        if not isinstance(holder, str) or holder not in list(KeyModel):
            raise UnsafePlanError(
                "who holds the key is unknown", value=repr(holder)[:80], bound=" or ".join(KeyModel), remedy="use one"
            )
        if (holder == KeyModel.THRESHOLD) != dealt:
            raise UnsafePlanError(
                "who holds the key does not go with the key",
                value=str(holder),
                bound="threshold" if dealt else "separate or clients",
                remedy="give the verification keys of a dealing with `threshold`, a public key otherwise",
            )
        if not isinstance(self.randomness, str) or self.randomness not in list(Randomness):
            raise UnsafePlanError(
                "the randomness is unknown",
                value=repr(self.randomness)[:80],
                bound=" or ".join(Randomness),
                remedy='use "djn"',
            )
        object.__setattr__(self, "holder", KeyModel(holder))
        object.__setattr__(self, "randomness", Randomness(self.randomness))
        if self.randomness is not Randomness.STANDARD and not self.public_key.blum:
            raise UnsafePlanError(
                "a fixed base under a key whose primes are not known to be 3 modulo 4",
                value=str(self.randomness),
                bound="standard",
                remedy='use randomness="standard", or a key that securefl made',
            )

    @property
    def prefetch(self) -> bool:
        """Never: there are no keys to send ahead."""
        return False

    @property
    def public_key(self) -> PublicKey:
        """What everybody encrypts under."""
        from securefl.paillier import PublicKey

        return self.key if isinstance(self.key, PublicKey) else self.key.key

    @property
    def verification_keys(self) -> VerificationKeys | None:
        """What the dealer published, where shares were dealt."""
        from securefl.paillier.threshold import VerificationKeys

        return self.key if isinstance(self.key, VerificationKeys) else None

    @property
    def fingerprint(self) -> str:
        """What parties pin: of the public key, or of the dealing, which has its dealer, the key and every party's share in it."""
        keys = self.verification_keys
        return self.public_key.fingerprint if keys is None else fingerprint(keys.dealing_id)

    @property
    def assumption(self) -> str:
        """What the secrecy of ciphertexts rests on, in words."""
        from securefl.paillier import Randomness

        return Randomness(self.randomness).assumption

    def settled(self, _parameters: Parameters) -> Paillier:
        """Nothing of it depends on who the parties are."""
        return self

    def resolve(self, parties: int, *, identities: bool, noisy: bool = False) -> PaillierParameters:  # noqa: ARG002
        """The parameters for n parties.

        Args:
            parties: n.
            identities: not needed here: an audited plan asks for them when its session begins.
            noisy: whether noise is sized for the floor and the colluders: what is not given is then 5 % of each.

        Raises:
            UnsafePlanError: nothing safe satisfies what was asked for.
        """
        n = _whole("parties", parties, _MIN_PARTIES, MAX_PARTIES, "with fewer than 3 a sum reveals a vector")
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise UnsafePlanError(
                "dropout is a fraction of the parties",
                value=repr(self.dropout)[:80],
                bound="0 <= dropout < 1",
                remedy="use 0.1 for 10 %",
            )
        keys = self.verification_keys
        if keys is not None and len(keys.names) != n:
            raise UnsafePlanError(
                "the key was dealt to another number of parties",
                value=len(keys.names),
                bound=f"{n}",
                remedy="have it dealt to the parties of the plan",
            )
        why: list[str] = []
        threshold = 1 if keys is None else keys.threshold
        assumed = ASSUMED if noisy else Fraction(1, 3)
        lost = math.floor((Fraction(str(self.dropout)) or assumed) * n)
        floor = self.min_survivors
        if floor is None:
            floor = max(_MIN_PARTIES, n - lost)
            why.append(f"min_survivors {floor}: all but the {lost} that may drop out")
        floor = _whole("min_survivors", floor, _MIN_PARTIES, n, "fewer than 3 vectors leave one alone")
        colluders = self.max_colluders
        most = self._most_colluders(n, threshold, floor)
        if colluders is None:
            colluders = max(0, min(math.floor(ASSUMED * n), most) if noisy else most)
            why.append(
                f"max_colluders {colluders}: {'5 % of the parties' if noisy else 'the most that the rest bears'}"
            )
        _whole("max_colluders", colluders, 0, max(0, most), self._bound_on_colluders())
        if self.audited and self.holder == KeyModel.CLIENTS:
            raise UnsafePlanError(
                "clients who all have the key could each be shown another sum of one round, and their difference is a vector",
                value="audited, held by the clients",
                bound="a separate holder, or a key that was dealt",
                remedy='use holder="separate", or the verification keys of a dealing',
            )
        if self.audited and keys is not None and 2 * threshold <= n + colluders:
            raise UnsafePlanError(
                "two groups of share-holders could be shown two sums of one round",
                value=threshold,
                bound=f"> (n + c) / 2 = {(n + colluders) / 2:g}",
                remedy="have the key dealt with a higher threshold, or assume fewer colluders",
            )
        chosen = PaillierParameters(
            n,
            ServerModel.ACTIVE if self.audited else ServerModel.SEMI_HONEST,
            Graph.COMPLETE,
            threshold,
            colluders,
            floor,
            n - 1,
            holder=KeyModel(self.holder or KeyModel.SEPARATE),
        )
        if n - math.floor(Fraction(str(self.dropout)) * n) < chosen.quorum:
            raise UnsafePlanError(
                f"with {self.dropout:.0%} dropouts too few of {n} parties stay",
                value=n - math.floor(Fraction(str(self.dropout)) * n),
                bound=f">= {chosen.quorum} = max(t, min_survivors)",
                remedy="expect fewer dropouts, or lower min_survivors",
            )
        why.append(f"liveness: a round ends well while {chosen.quorum} parties stay, it can lose {chosen.max_dropouts}")
        return dataclasses.replace(chosen, explanation=tuple(why))

    def _most_colluders(self, parties: int, threshold: int, floor: int) -> int:
        """The most parties that may side with the server: two honest vectors stay in a sum, and the key stays shut."""
        if self.holder == KeyModel.CLIENTS:
            return 0
        bounds = [floor - 2]
        if self.holder == KeyModel.THRESHOLD:
            bounds.append(2 * threshold - parties - 1 if self.audited else threshold - 1)
        return min(bounds)

    def _bound_on_colluders(self) -> str:
        return {
            KeyModel.SEPARATE: "two honest vectors must be in every sum",
            KeyModel.CLIENTS: "one party has the whole key, and with the server sees everything",
            KeyModel.THRESHOLD: "fewer parties than decrypt together, and two honest vectors in every sum",
        }[KeyModel(self.holder or KeyModel.SEPARATE)]

    def slots(self, parties: int, max_value: int, max_weight: int) -> SlotLayout:
        """How the vectors of a plan without noise lie in plaintexts.

        Raises:
            UnsafePlanError: a sum could overflow its slot, or no plaintext holds one.
        """
        from securefl.paillier import SlotLayout

        return SlotLayout(self.public_key.bits, parties, max_value, max_weight)

    def slots_for(self, release: Release) -> SlotLayout:
        """How noisy vectors lie in plaintexts: as they are before they are reduced in the ring.

        Reduced first, their integer sum would say how often each wrapped around, which no noise accounts for.

        Raises:
            UnsafePlanError: noise that must be taken off again (XNoise), or a slot that no plaintext holds.
        """
        from securefl.paillier import SlotLayout

        if release.seeds:
            raise UnsafePlanError(
                "noise that is taken off again is dealt as shares, and Paillier parties deal none",
                value=f"max_dropouts={release.seeds}",
                bound="0",
                remedy="use SecAgg, or a mechanism without max_dropouts",
            )
        noise = 0
        if not release.noise_by_server:
            # Bernstein's bound for Skellam noise, which is more than that for the discrete Gaussian.
            length = math.log(2 * release.dimension * release.floor.parties) + _TAIL_BITS * math.log(2)
            noise = math.ceil(math.sqrt(2 * release.variance * length) + length)
        return SlotLayout.for_noise(
            self.public_key.bits, release.floor.parties, math.floor(release.bound.l2) + 1, max_noise=noise
        )

    def message(self) -> PaillierMessage:
        """What travels of it.

        Raises:
            UnsafePlanError: more than a plan has room for.
        """
        key = self.key.to_bytes()
        if len(key) > 1 << 19:
            raise UnsafePlanError(
                "the verification keys are too long for a plan: bytes",
                value=len(key),
                bound=f"<= {1 << 19}",
                remedy="deal to fewer parties, or use a shorter key",
            )
        return PaillierMessage(key, str(self.holder), self.audited, str(self.randomness))

    @classmethod
    def of(cls, message: PaillierMessage, *, max_colluders: int, min_survivors: int) -> Paillier:
        """The protocol that travelled.

        Raises:
            CryptoError: no key, or one that is not as it should be.
            UnsafePlanError: as for a new one.
        """
        from securefl.paillier import PublicKey
        from securefl.paillier.threshold.verification import VerificationKeys, dealer_of

        key: Keys
        if message.holder == KeyModel.THRESHOLD:
            # Whether this dealer is trusted is for the party's policy to say, which pins the dealing's fingerprint.
            key = VerificationKeys.from_bytes(message.key, dealer=dealer_of(message.key))
        else:
            key = PublicKey.from_bytes(message.key)
        return cls(
            key,
            message.holder,
            message.audited,
            message.randomness,
            max_colluders=max_colluders,
            min_survivors=min_survivors,
        )

    def __repr__(self) -> str:
        audited = ", audited" if self.audited else ""
        return f"<Paillier: {self.public_key!r}, {self.holder}{audited}, {self.randomness}>"


def _whole(name: str, value: object, low: int, high: int, reason: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UnsafePlanError(
            f"{name} is out of bounds",
            value=repr(value)[:80],
            bound=f"{low}..{high}",
            remedy=f"choose within the bounds: {reason}",
        )
    return value
