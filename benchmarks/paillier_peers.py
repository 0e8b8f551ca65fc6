"""What other libraries need to encrypt, add and decrypt 16-bit values one by one: a process of its own, on one core.

`securefl bench paillier` starts this script as `python paillier_peers.py BITS SHARE SEED`, with SHARE of a sample of values (1 is all of
it), and asks it, a line each, for the processor seconds of a library's operation. HEU and pypaillier spread over all cores by
themselves; here they find one. Every result is checked before the first answer.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import os
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, TextIO

import numpy as np
from paillier_turns import pin

MAX_VALUE = (1 << 15) - 1
OPERATIONS = ("encrypt", "add", "decrypt")


class Peer(Protocol):
    """One library under one key; after `encrypt` and `add` the attributes have what they made."""

    distribution: ClassVar[str]
    samples: ClassVar[tuple[int, int, int]]
    """How many values are encrypted, added and decrypted at a call."""

    def __init__(self, bits: int, values: Sequence[int]) -> None: ...
    def encrypt(self, count: int) -> object:
        """Encrypt the first values."""

    def add(self, count: int) -> object:
        """Add ciphertexts that are there, so many times."""

    def decrypt(self, count: int) -> Sequence[float]:
        """Decrypt the first of the ciphertexts that are there."""

    def bits_a_value(self) -> float:
        """Bits of a ciphertext, as it would be sent, over the values in it."""


class Phe:
    """phe: r^n, and integers, which have the exponent 0."""

    distribution: ClassVar[str] = "phe"
    samples: ClassVar[tuple[int, int, int]] = (8, 2000, 16)

    def __init__(self, bits: int, values: Sequence[int]) -> None:
        phe = importlib.import_module("phe")
        self.public, self.private = phe.generate_paillier_keypair(n_length=bits)
        self.values = values
        self.ready = self.encrypt(self.samples[2])

    def encrypt(self, count: int) -> list[Any]:
        """Encrypt the first values."""
        return [self.public.encrypt(value) for value in self.values[:count]]

    def add(self, count: int) -> list[Any]:
        """Add ciphertexts that are there."""
        ready = self.ready
        return [ready[i % len(ready)] + ready[i % len(ready)] for i in range(count)]

    def decrypt(self, count: int) -> list[int]:
        """Decrypt ciphertexts that are there."""
        return [self.private.decrypt(number) for number in self.ready[:count]]

    def bits_a_value(self) -> float:
        """Bits of a ciphertext over its values."""
        return 2 * int(self.public.n.bit_length())


class PyPaillier:
    """pypaillier: Rust and GMP, powers of a fixed base with n / 2 bits."""

    distribution: ClassVar[str] = "pypaillier"
    samples: ClassVar[tuple[int, int, int]] = (128, 2000, 32)

    def __init__(self, bits: int, values: Sequence[int]) -> None:
        self.library = importlib.import_module("paillier")
        self.public, self.secret = self.library.generate_keypair(bits)
        self.values = values
        self.ready = self.encrypt(self.samples[2])

    def encrypt(self, count: int) -> list[bytes]:
        """Encrypt the first values."""
        return [bytes(blob) for blob in self.library.encrypt_integers(self.public, list(self.values[:count]))]

    def add(self, count: int) -> object:
        """Add ciphertexts that are there."""
        ready = self.ready
        return self.library.add_many(self.public, [ready[i % len(ready)] for i in range(count + 1)])

    def decrypt(self, count: int) -> list[int]:
        """Decrypt ciphertexts that are there."""
        decrypted = self.library.decrypt_exact_many(self.secret, self.ready[:count])
        return [mantissa for mantissa, _ in decrypted]  # integers have the exponent 0

    def bits_a_value(self) -> float:
        """Bits of a ciphertext over its values."""
        return 8 * len(self.ready[0])


class Heu:
    """SecretFlow's HEU, schema ZPaillier: C++, powers of a fixed base with n / 2 bits."""

    distribution: ClassVar[str] = "sf-heu"
    samples: ClassVar[tuple[int, int, int]] = (128, 2048, 32)

    def __init__(self, bits: int, values: Sequence[int]) -> None:
        schemes, arrays = importlib.import_module("heu.phe"), importlib.import_module("heu.numpy")
        self.kit = arrays.setup(schemes.SchemaType.ZPaillier, bits)
        self.decoder = schemes.BigintDecoder()
        self.values = np.array(values)
        self.many = self.encrypt(self.samples[0])
        self.ready = self.encrypt(self.samples[2])

    def encrypt(self, count: int) -> Any:
        """Encrypt the first values."""
        return self.kit.encryptor().encrypt(self.kit.array(self.values[:count]))

    def add(self, count: int) -> object:
        """Add ciphertexts that are there."""
        evaluator, many = self.kit.evaluator(), self.many
        return [evaluator.add(many, many) for _ in range(count // self.samples[0])]

    def decrypt(self, count: int) -> Any:
        """Decrypt ciphertexts that are there."""
        del count  # as many as are in the array
        return self.kit.decryptor().decrypt(self.ready).to_numpy(self.decoder)

    def bits_a_value(self) -> float:
        """Bits of a ciphertext over its values."""
        return 8 * len(pickle.dumps(self.many)) / self.samples[0]


class Ckks:
    """TenSEAL's CKKS, no Paillier: approximate sums of 2048 values a ciphertext, 128 bits of security.

    46 bits of ciphertext modulus and a scale of 2^23 are about the least with which sums of 100 vectors of 16-bit values still round
    to the right integers. The modulus does not depend on the size of Paillier keys.
    """

    distribution: ClassVar[str] = "tenseal"
    samples: ClassVar[tuple[int, int, int]] = (32 * 2048, 512 * 2048, 128 * 2048)
    degree: ClassVar[int] = 4096

    def __init__(self, bits: int, values: Sequence[int]) -> None:
        del bits
        self.library = importlib.import_module("tenseal")
        scheme = self.library.SCHEME_TYPE.CKKS
        self.context = self.library.context(scheme, self.degree, coeff_mod_bit_sizes=[46, 46], n_threads=1)
        self.context.global_scale = 2.0**23
        self.slots = self.degree // 2
        self.values = np.resize(np.array(values, dtype=float), self.slots)
        (self.ready,) = self.encrypt(self.slots)

    def encrypt(self, count: int) -> list[Any]:
        """Encrypt the first values."""
        return [self.library.ckks_vector(self.context, self.values) for _ in range(count // self.slots)]

    def add(self, count: int) -> object:
        """Add ciphertexts that are there."""
        return [self.ready + self.ready for _ in range(count // self.slots)]

    def decrypt(self, count: int) -> list[float]:
        """Decrypt ciphertexts that are there."""
        vectors: list[list[float]] = [self.ready.decrypt() for _ in range(count // self.slots)]
        return [value for vector in vectors for value in vector]

    def bits_a_value(self) -> float:
        """Bits of a ciphertext over its values."""
        return 8 * len(self.ready.serialize()) / self.slots

    def unchecked(self) -> list[str]:
        """What it decrypts where there is nothing to decrypt: a ciphertext under another key, and a sum beyond its modulus."""
        other = Ckks(0, [1, 2, 3]).ready.serialize()
        foreign = self.library.ckks_vector_from(self.context, other).decrypt()[0]
        large = 2.0**21
        vector = self.library.ckks_vector(self.context, [large])
        wrapped = (vector + vector + vector + vector).decrypt()[0]
        return [
            f"TenSEAL CKKS, 1 under another key: decrypted to {foreign:.3g}, without an error",
            f"TenSEAL CKKS, {large:.3g} added four times: decrypted to {wrapped:.3g}, without an error",
        ]


PEERS: dict[str, type[Peer]] = {"phe": Phe, "pypaillier": PyPaillier, "HEU": Heu, "TenSEAL CKKS": Ckks}


def installed() -> list[str]:
    """The peers that are there."""
    return [name for name, peer in PEERS.items() if _version(peer.distribution)]


def versions() -> dict[str, str]:
    """Of the peers that are there."""
    return {PEERS[name].distribution: _version(PEERS[name].distribution) for name in installed()}


def how_to_get() -> list[str]:
    """A line for each peer that is missing."""
    missing = [name for name in PEERS if name not in installed()]
    return [
        f"{name} is not installed, its rows are missing: pip install {PEERS[name].distribution}" for name in missing
    ]


def sample(name: str, operation: str, share: float) -> int:
    """How many values a call works on: at least 2, and of vectors whole ones."""
    full = PEERS[name].samples[OPERATIONS.index(operation)]
    whole = Ckks.degree // 2 if PEERS[name] is Ckks else 2
    # HEU's arrays have one length for each operation.
    return full if PEERS[name] is Heu else max(whole, int(full * share) // whole * whole)


def serve(bits: int, share: float, seed: int, out: TextIO) -> None:
    """Answer questions from stdin until it ends."""
    values: list[int] = np.random.default_rng(seed).integers(-MAX_VALUE, MAX_VALUE + 1, 4096).tolist()
    peers = {name: PEERS[name](bits, values) for name in installed()}
    for name, peer in peers.items():
        count = sample(name, "decrypt", share)
        _check(name, peer.decrypt(count), values)
    sizes = {name: peer.bits_a_value() for name, peer in peers.items()}
    notes = [note for peer in peers.values() if isinstance(peer, Ckks) for note in peer.unchecked()]
    print(json.dumps([sizes, notes]), file=out, flush=True)
    for line in sys.stdin:
        name, operation = json.loads(line)
        case: Callable[[int], object] = getattr(peers[name], operation)
        count = sample(name, operation, share)
        started = time.process_time()
        case(count)
        print(time.process_time() - started, file=out, flush=True)


def _check(name: str, found: Sequence[float], values: Sequence[int]) -> None:
    few = min(len(found), len(values), Ckks.degree // 2)
    if [round(float(value)) for value in found[:few]] != list(values[:few]):
        raise SystemExit(f"{name} decrypts something else than was encrypted")


def _version(distribution: str) -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(distribution)
    return ""


if __name__ == "__main__":
    pin()
    # HEU writes its log to stdout, where only answers belong.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        serve(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), answers)
