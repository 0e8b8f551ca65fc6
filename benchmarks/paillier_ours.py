"""Our side of the Paillier benchmark: packed vectors of 16-bit values under one key, and single ciphertexts."""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Callable

import numpy as np
from paillier_peers import MAX_VALUE
from paillier_turns import Work, by_the_clock, one_core, pinned

from securefl.paillier import Ciphertexts, Encryptor, PrivateKey, SlotLayout, SmallKeyWarning

FEW = 16
ENCRYPTED_BY_CORES, DECRYPTED_BY_CORES = 512, 64


class Ours:
    """One key, its tables, and a vector.

    Args:
        bits: of the key.
        parties: vectors that a slot has room for.
        count: values of the vector.
        key: made before; None makes one.
        encryptors: made before, of this key.
    """

    def __init__(
        self,
        bits: int,
        parties: int,
        count: int,
        *,
        key: PrivateKey | None = None,
        encryptors: dict[str, Encryptor] | None = None,
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallKeyWarning)  # the size is what is asked for
            self.key = key or PrivateKey.generate(bits)
            self.layout = SlotLayout(bits, parties, MAX_VALUE)
        self.bits, self.parties, self.count = bits, parties, count
        self.values = np.random.default_rng(2).integers(-MAX_VALUE, MAX_VALUE + 1, count)
        self.ciphertexts = self.layout.plaintexts(count)
        if encryptors is None:
            encryptors = {mode: Encryptor(self.key.public_key, mode) for mode in ("standard", "djn", "short")}
            encryptors["key holder"] = Encryptor(self.key.public_key, "short", private_key=self.key)
            for encryptor in encryptors.values():
                encryptor.prepare()
        self.encryptors = encryptors
        self.encrypted = encryptors["short"].encrypt(self.layout.pack(self.values))
        self.total = Ciphertexts.total([self.encrypted, self.encrypted])
        self.decrypted = np.empty(0, dtype=np.int64)

    def longer(self, count: int) -> Ours:
        """The same key with another vector."""
        return Ours(self.bits, self.parties, count, key=self.key, encryptors=self.encryptors)

    @property
    def bits_a_value(self) -> float:
        """Bits of a vector as it is sent, over its values."""
        return 8 * len(self.encrypted.to_bytes()) / self.count

    def packed(self) -> dict[str, dict[str, Work]]:
        """Whole vectors on one core, from integers to ciphertexts and back: by operation and name; an operation is a value."""
        cases = {
            "encrypt": {
                "djn": one_core(self._encrypting("djn")),
                "short": one_core(self._encrypting("short")),
                "full pool": self._pooled,
            },
            "add": {"ours": one_core(lambda: Ciphertexts.total([self.encrypted, self.encrypted], threads=1))},
            "decrypt": {"ours": one_core(self._decrypt)},
        }
        return {
            operation: {name: Work(self.count, case) for name, case in named.items()}
            for operation, named in cases.items()
        }

    def check(self) -> None:
        """Stop unless the last decryption gave the sum of what was encrypted."""
        if not np.array_equal(self.decrypted, 2 * self.values):
            raise SystemExit("what was decrypted is not the sum of what was encrypted")

    def by_cores(self) -> dict[str, Work]:
        """Some ciphertexts with one thread and with one a core, by the clock; an operation is a ciphertext."""
        plaintexts = self.layout.pack(self.values)[:ENCRYPTED_BY_CORES]
        djn, short, total = self.encryptors["djn"], self.encryptors["short"], self.total[:DECRYPTED_BY_CORES]
        cases: dict[str, tuple[int, Callable[[int | None], object]]] = {
            "encrypt, djn": (len(plaintexts), lambda threads: djn.encrypt(plaintexts, threads=threads)),
            "encrypt, short": (len(plaintexts), lambda threads: short.encrypt(plaintexts, threads=threads)),
            "decrypt": (len(total), lambda threads: self.key.decrypt(total, threads=threads)),
        }
        return {
            f"{name}, {cores}": Work(count, by_the_clock(functools.partial(case, threads)))
            for name, (count, case) in cases.items()
            for cores, threads in (("one thread", 1), ("all cores", None))
        }

    def single(self) -> dict[str, Work]:
        """Cases beside the usual ones; an operation is a ciphertext."""
        few = min(FEW, self.ciphertexts)
        plaintexts = self.layout.pack(self.values[: self.layout.slots * few])
        some = self.total[:few]
        holder, standard = self.encryptors["key holder"], self.encryptors["standard"]
        return {
            "encrypt, standard": Work(few, one_core(lambda: standard.encrypt(plaintexts, threads=1))),
            "encrypt, short, key holder": Work(few, one_core(lambda: holder.encrypt(plaintexts, threads=1))),
            "decrypt, variable time": Work(
                few, one_core(lambda: self.key.decrypt(some, threads=1, constant_time=False))
            ),
        }

    def _encrypting(self, mode: str) -> Callable[[], object]:
        return lambda: self.encryptors[mode].encrypt(self.layout.pack(self.values), threads=1)

    def _decrypt(self) -> None:
        self.decrypted = self.layout.unpack(self.key.decrypt(self.total, threads=1), self.count, vectors=2)

    def _pooled(self) -> float:
        """Processor seconds of this thread while masks are in stock: a new stock for each run, whose making is not measured."""
        with Encryptor(self.key.public_key, "short", pool=self.ciphertexts) as encryptor:
            if encryptor.pool is not None:
                encryptor.pool.wait_until(self.ciphertexts)
            with pinned():
                started = time.thread_time()
                encryptor.encrypt(self.layout.pack(self.values), threads=1)
                return time.thread_time() - started
