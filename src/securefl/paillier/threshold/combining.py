"""Plaintexts from the partials of t parties, each checked when it comes in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from securefl.errors import BelowThresholdError, CryptoError, RemoteProtocolError
from securefl.paillier.arithmetic import integer, inverse, power
from securefl.paillier.ciphertexts import Ciphertexts
from securefl.paillier.threads import share_out
from securefl.paillier.threshold.partials import Partials
from securefl.paillier.threshold.verification import VerificationKeys


class Combiner:
    """One threshold decryption: takes partials as they come, names who sends wrong ones, and needs no secret.

    Args:
        keys: the dealing.
        ciphertexts: what is decrypted.
        ctx: what the decryption belongs to, as the parties were told.
        threads: None means one a core.

    Attributes:
        keys, ciphertexts, ctx: as given.

    Raises:
        CryptoError: ciphertexts under another key than that of the dealing.

    Source: Damgard, Jurik (2001), section 4.1: share combining, with s = 1.
    """

    __slots__ = ("_partials", "_threads", "ciphertexts", "ctx", "keys")

    keys: Final[VerificationKeys]
    ciphertexts: Final[Ciphertexts]
    ctx: Final[bytes]

    def __init__(
        self, keys: VerificationKeys, ciphertexts: Ciphertexts, *, ctx: bytes, threads: int | None = None
    ) -> None:
        ciphertexts.check_key(keys.key)
        self.keys = keys
        self.ciphertexts = ciphertexts
        self.ctx = ctx
        self._threads = threads
        self._partials: dict[int, Partials] = {}

    def receive(self, party: int, data: bytes) -> None:
        """Take in what a party sent; what raises changes nothing.

        Args:
            party: its index, as the channel says.
            data: `Partials.to_bytes`.

        Raises:
            CryptoError: an index that is nobody's.
            RemoteProtocolError: a second message of this party.
            WrongPartialError: malformed, or not made with this party's share from these ciphertexts in this context.
        """
        if party in self._partials:
            name = self.keys.name(party)
            raise RemoteProtocolError(f"second partials of party {party} ({name!r})", suspects=[name])
        partials = Partials.from_bytes(data, keys=self.keys, party=party, count=len(self.ciphertexts))
        partials.verify(self.ciphertexts, ctx=self.ctx, threads=self._threads)
        self._partials[party] = partials

    def forget(self, party: int) -> None:
        """Leave out what a party sent, if anything."""
        self._partials.pop(party, None)

    @property
    def missing(self) -> int:
        """How many more parties are needed."""
        return max(0, self.keys.threshold - len(self._partials))

    def plaintexts(self) -> list[int]:
        """Return the signed integers that were encrypted, in -(n - 1)/2..(n - 1)/2.

        Raises:
            BelowThresholdError: fewer than t parties sent theirs.
            CryptoError: the dealer's shares are not those of one key.
        """
        if self.missing:
            raise BelowThresholdError(
                f"partials of {len(self._partials)} parties are there, {self.keys.threshold} are needed",
                remedy="ask the others, or start a new round",
            )
        chosen = sorted(self._partials)[: self.keys.threshold]
        weights = lagrange_at_zero([party + 1 for party in chosen], self.keys.delta)
        exponents = [2 * weights[party + 1] for party in chosen]
        columns = list(zip(*(self._partials[party].values for party in chosen), strict=True))
        n, squared = self.keys.key.n, self.keys.key.squared
        unscaled = inverse(4 * integer(self.keys.delta) ** 2, n)

        def work(run: Sequence[tuple[int, ...]]) -> list[int]:
            return [self._logarithm(_product_of_powers(column, exponents, squared)) * unscaled % n for column in run]

        return [int(m if m <= n // 2 else m - n) for m in share_out(work, columns, self._threads)]

    def _logarithm(self, x: int) -> int:
        """Return L(x) = (x - 1) / n of a power of n + 1."""
        quotient, rest = divmod(x - 1, self.keys.key.n)
        if rest:
            raise CryptoError(
                "the partials are right, yet decrypt nothing: the dealer's shares are not those of one key",
                remedy="have a key dealt anew",
            )
        return quotient

    def __repr__(self) -> str:
        return f"<Combiner: {len(self._partials)} of {self.keys.threshold} for {len(self.ciphertexts)} ciphertexts>"


def lagrange_at_zero(points: Sequence[int], delta: int) -> Mapping[int, int]:
    """Return Delta prod_{j != i} x_j / (x_j - x_i), an integer, for every point x_i in 1..n.

    Source: V. Shoup, Practical threshold signatures (2000), section 4: equation 3.
    """
    weights = {}
    for x in points:
        top, bottom = delta, 1
        for other in points:
            if other != x:
                top *= other
                bottom *= other - x
        weights[x] = top // bottom
    return weights


def _product_of_powers(bases: Sequence[int], exponents: Sequence[int], modulus: int) -> int:
    # What has negative exponents is inverted once, together: an inversion costs more than a product.
    top = bottom = integer(1)
    for base, exponent in zip(bases, exponents, strict=True):
        raised = power(base, abs(exponent), modulus)
        if exponent > 0:
            top = top * raised % modulus
        else:
            bottom = bottom * raised % modulus
    return top * inverse(bottom, modulus) % modulus
