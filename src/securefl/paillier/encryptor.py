"""Encryption under one key: all cores, in chunks, with masks made on the spot or ahead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, Self

from securefl.crypto.random import OS, RandomSource
from securefl.crypto.secret import Redacted
from securefl.errors import EncodingError
from securefl.paillier.arithmetic import integer
from securefl.paillier.ciphertexts import Ciphertexts
from securefl.paillier.masks import DEFAULT_WINDOW, Masks, Randomness, apply_masks
from securefl.paillier.pool import MaskPool
from securefl.paillier.private_key import PrivateKey
from securefl.paillier.public_key import PublicKey
from securefl.paillier.threads import CHUNK, Progress


class Encryptor(Redacted):
    """What encrypts under a public key, and re-randomises what was encrypted.

    Keep one for a key: its table of powers takes a second to make. Close it, or use it as a context manager, when it has
    a pool.

    Args:
        key: the public key; its fingerprint was compared.
        randomness: `djn` (the default), `standard`, or `short` with an assumption more; see `Randomness`.
        pool: how many masks to make ahead in the background; 0 for none.
        pool_threads: how many threads make them.
        window: bits of a digit of the table, 1 to 12.
        private_key: the key holder's own, who encrypts faster with it.
        random: source of the masks.

    Attributes:
        key: as given.
        randomness: as given.

    Raises:
        CryptoError: a fixed base under a key that is not made for it, or the private key of another one.
        ValueError: an unknown randomness, or a pool below 0.
    """

    __slots__ = ("_masks", "_pool", "key", "randomness")

    key: Final[PublicKey]
    randomness: Final[Randomness]

    def __init__(
        self,
        key: PublicKey,
        randomness: Randomness | str = Randomness.DJN,
        *,
        pool: int = 0,
        pool_threads: int = 1,
        window: int = DEFAULT_WINDOW,
        private_key: PrivateKey | None = None,
        random: RandomSource = OS,
    ) -> None:
        self._masks = Masks(key, randomness, window=window, private_key=private_key, random=random)
        self._pool = MaskPool(self._masks, pool, threads=pool_threads) if pool else None
        self.key = key
        self.randomness = self._masks.randomness

    def prepare(self) -> None:
        """Make the table of powers now; otherwise the first encryption, or the pool, does."""
        self._masks.prepare()

    @property
    def pool(self) -> MaskPool | None:
        """The masks made ahead."""
        return self._pool

    def encrypt(
        self, plaintexts: Sequence[int], *, threads: int | None = None, progress: Progress | None = None
    ) -> Ciphertexts:
        """Encrypt integers.

        Args:
            plaintexts: Python integers in -(n - 1)/2..(n - 1)/2. All are looked at before the first is encrypted.
            threads: None means one a core.
            progress: told after each chunk of 1024.

        Raises:
            EncodingError: no Python integer, or beyond these bounds; by its index.
        """
        self._check(plaintexts, 0)
        values: list[int] = []
        for start in range(0, len(plaintexts), CHUNK):
            values += self._encrypt(plaintexts[start : start + CHUNK], threads)
            if progress is not None:
                progress(len(values), len(plaintexts))
        return Ciphertexts.trusted(self.key, values)

    def encrypt_chunks(self, plaintexts: Iterable[int], *, threads: int | None = None) -> Iterator[Ciphertexts]:
        """Yield the ciphertexts of any number of integers, at most 1024 at a time: only these are held in memory.

        Raises:
            EncodingError: as `encrypt`; the chunks before were yielded.
        """
        rest, done = iter(plaintexts), 0
        while chunk := list(islice(rest, CHUNK)):
            self._check(chunk, done)
            yield Ciphertexts.trusted(self.key, self._encrypt(chunk, threads))
            done += len(chunk)

    def rerandomise(self, ciphertexts: Ciphertexts, *, threads: int | None = None) -> Ciphertexts:
        """Return ciphertexts of the same plaintexts that nobody can link to these without the private key.

        Raises:
            CryptoError: they are under another key.
        """
        ciphertexts.check_key(self.key)
        values: list[int] = []
        for start in range(0, len(ciphertexts), CHUNK):
            chunk = ciphertexts.values[start : start + CHUNK]
            values += apply_masks(chunk, self._draw(len(chunk), threads), self.key.squared)
        return Ciphertexts.trusted(self.key, values)

    def close(self) -> None:
        """Stop the pool and forget its masks."""
        if self._pool is not None:
            self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _encrypt(self, plaintexts: Sequence[int], threads: int | None) -> list[int]:
        n = self.key.n
        # (n + 1)^m = 1 + m n modulo n^2. A negative m becomes n + m first: it takes the way of all others.
        plain = [1 + integer(m) % n * n for m in plaintexts]
        return apply_masks(plain, self._draw(len(plain), threads), self.key.squared)

    def _draw(self, count: int, threads: int | None) -> list[int]:
        if self._pool is not None:
            return self._pool.take(count, threads=threads)
        return self._masks.draw(count, threads=threads)

    def _check(self, plaintexts: Sequence[int], start: int) -> None:
        largest = self.key.max_plaintext
        for index, m in enumerate(plaintexts, start):
            # numpy's integers wrap around in silence, and a float has lost bits already.
            if type(m) is not int:
                raise EncodingError(
                    f"plaintext {index} is a {type(m).__name__}", remedy="give Python integers; pack arrays in slots"
                )
            if not -largest <= m <= largest:
                raise EncodingError(f"plaintext {index} is beyond (n - 1) / 2", remedy="use a longer key, or split it")
