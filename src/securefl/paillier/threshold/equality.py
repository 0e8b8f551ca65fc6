"""One proof that a whole vector of partial decryptions was made with the share that the dealer published v_i of.

With x = Delta s_i, party i shows that p_j^2 = (c_j^4)^x for every j and v_i = v^x. The statements about the c_j are folded into one
about C = prod c_j^(e_j) and P = prod p_j^(e_j), for random e_j of 128 bits that the hash of all statements gives; it is proven by
Chaum and Pedersen's protocol made non-interactive.

Why a false p_j does not get through: squares modulo n^2 are a cyclic group of order n p' q', whose prime factors are all far above
2^128. So an error p_j^2 / c_j^(4 x) other than 1 has at most one e_j in 2^128 that lets it vanish from the folded statement, and two
accepted challenges differ by an exponent that can be inverted. Outside the squares -1 would vanish for every even e_j; here it
does not count, since what is combined are squares: -p_j is as good as p_j.

Source: Chaum, Pedersen, Wallet databases with observers (1992); Damgard, Jurik (2001), section 4.1; Bellare, Garay, Rabin, Fast batch
verification for modular exponentiation and digital signatures (1998), small exponents test.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Final

from securefl.crypto.digest import digest, equal, shake256
from securefl.crypto.random import OS, RandomSource
from securefl.errors import CryptoError
from securefl.paillier.arithmetic import integer, inverse, power, power_secret
from securefl.paillier.ciphertexts import Ciphertexts
from securefl.paillier.threads import share_out
from securefl.paillier.threshold.verification import VerificationKeys, joined

CHALLENGE_BYTES: Final = 16
_COEFFICIENT_BYTES: Final = 16
_SLACK_BYTES: Final = 16
"""The nonce is 2^128 times as large as what it hides."""
_COEFFICIENTS_LABEL: Final = b"securefl/threshold-coefficients"
_NONCE_LABEL: Final = b"securefl/threshold-nonce"


@dataclasses.dataclass(frozen=True, slots=True)
class Proof:
    """The challenge h, and the response z = r + h x, an integer: nobody but the dealer knows the order of the group."""

    challenge: bytes
    response: int


def response_bytes(keys: VerificationKeys) -> int:
    """Bytes of a response: one more than those of a nonce, for the carry."""
    return _nonce_bytes(keys) + 1


@dataclasses.dataclass(frozen=True, slots=True)
class Statement:
    """What a party proves: that these are its partials of these ciphertexts, in this context.

    Args:
        keys: the dealing.
        party: index of the party.
        ctx: what the decryption belongs to: session, round, plan.
        ciphertexts: c_j.
        partials: p_j, as many, units modulo n^2.
        threads: None means one a core.
    """

    keys: VerificationKeys
    party: int
    ctx: bytes
    ciphertexts: Ciphertexts
    partials: Sequence[int]
    threads: int | None = None

    def prove(self, exponent: int, *, random: RandomSource = OS) -> Proof:
        """Return the proof.

        The nonce is hashed from the secret, the statement and fresh randomness together: should the source ever repeat itself,
        two different statements still have different nonces, and the secret stays one.

        Args:
            exponent: x = Delta s_i.
            random: where a part of the nonce comes from.
        """
        keys, transcript = self.keys, self.transcript()
        size = _nonce_bytes(keys)
        secret = int(exponent).to_bytes(size, "big")
        hashed = shake256(size, _NONCE_LABEL, secret, transcript, random.token(32))
        nonce = integer(int.from_bytes(hashed, "big"))
        base = self._folded(transcript, self.ciphertexts.values, 4)
        at_v, at_base = (power_secret(b, nonce, keys.key.squared) for b in (keys.base, base))
        challenge = _challenge(keys, transcript, at_v, at_base)
        return Proof(challenge, int(nonce + int.from_bytes(challenge, "big") * integer(exponent)))

    def verify(self, proof: Proof) -> None:
        """Accept a proof silently, or raise.

        Raises:
            CryptoError: it does not show this.
        """
        keys, transcript, squared = self.keys, self.transcript(), self.keys.key.squared
        h, z = integer(int.from_bytes(proof.challenge, "big")), integer(proof.response)

        def commitment(base: int, raised: int) -> int:
            return power(base, z, squared) * inverse(power(raised, h, squared), squared) % squared

        base = self._folded(transcript, self.ciphertexts.values, 4)
        raised = self._folded(transcript, self.partials, 2)
        at_v, at_base = commitment(keys.base, keys.values[self.party]), commitment(base, raised)
        if not equal(_challenge(keys, transcript, at_v, at_base), proof.challenge):
            raise CryptoError("the proof does not show that these partials were made with this party's share")

    def transcript(self) -> bytes:
        """Return 32 bytes that bind dealing, party, context, ciphertexts and partials."""
        return digest(
            "paillier-partials",
            self.keys.dealing_id,
            self.party,
            self.ctx,
            len(self.partials),
            self.ciphertexts.to_bytes(),
            joined(self.keys.key, self.partials),
        )

    def _folded(self, transcript: bytes, values: Sequence[int], exponent: int) -> int:
        """Return prod values_j^(e_j), raised to a small exponent."""
        squared = self.keys.key.squared

        def work(items: Sequence[tuple[int, int]]) -> list[int]:
            return [power(value, e, squared) for value, e in items]

        items = list(zip(values, coefficients(transcript, len(values)), strict=True))
        product = functools.reduce(lambda a, b: a * b % squared, share_out(work, items, self.threads), integer(1))
        return power(product, exponent, squared)


def coefficients(transcript: bytes, count: int) -> list[int]:
    """Return e_j, uniform in 0..2^128 - 1: SHAKE256("securefl/threshold-coefficients" || transcript), big-endian."""
    drawn = shake256(count * _COEFFICIENT_BYTES, _COEFFICIENTS_LABEL, transcript)
    starts = range(0, len(drawn), _COEFFICIENT_BYTES)
    return [integer(int.from_bytes(drawn[start : start + _COEFFICIENT_BYTES], "big")) for start in starts]


def _nonce_bytes(keys: VerificationKeys) -> int:
    # x = Delta s_i is below Delta n^2.
    exponent_bits = keys.delta.bit_length() + 2 * keys.key.bits
    return -(-exponent_bits // 8) + CHALLENGE_BYTES + _SLACK_BYTES


def _challenge(keys: VerificationKeys, transcript: bytes, at_v: int, at_base: int) -> bytes:
    hashed = digest("paillier-partials-challenge", transcript, joined(keys.key, [at_v, at_base]))
    return hashed[:CHALLENGE_BYTES]
