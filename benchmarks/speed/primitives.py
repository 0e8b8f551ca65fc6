"""Each primitive against its floor: what the same work costs in bare OpenSSL, hashlib, numpy or integers.

    python benchmarks/speed/primitives.py [--json FILE] [--repeats N]

A ratio is floor / ours, at most about 1. With two threads, the bare generator's own gain is the most there is to have: a
machine that is busy, or shares out its cores, has none to give.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from securefl.crypto import aead, shamir
from securefl.crypto.digest import digest
from securefl.crypto.kdf import derive_key
from securefl.crypto.kex import KeyPair
from securefl.crypto.prg import apply_masks
from securefl.encoding import FixedPoint, pack, stochastic_round, unpack
from securefl.pipeline import encode_update
from securefl.plan import Plan
from securefl.wire.codec import decode, encode
from securefl.wire.envelope import check_seal, parse, seal
from securefl.wire.messages import Kind, MaskedInput

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import arguments, medians, publish, row

BITS = 23
Case = Callable[[], object]
Comparison = tuple[str, Case, Case, str]
"""What is measured, ours, the floor, and the floor's name."""


def masking(length: int, count: int) -> Iterator[Comparison]:
    """Masks by one thread and by two; the floor writes keystreams into a buffer and adds nothing."""
    keys = [os.urandom(32) for _ in range(count)]
    masks = [(key, 1) for key in keys]
    vector = np.zeros(length, dtype=np.uint32)
    zeros, sinks = bytes(vector.nbytes), [bytearray(vector.nbytes + 16) for _ in range(2)]

    def bare(keys: list[bytes], sink: bytearray) -> None:
        for key in keys:
            Cipher(AES256(key), CTR(bytes(16))).encryptor().update_into(zeros, sink)

    def bare_two() -> None:
        other = threading.Thread(target=bare, args=(keys[::2], sinks[1]))
        other.start()
        bare(keys[1::2], sinks[0])
        other.join()

    def ours(threads: int | None) -> Case:
        return lambda: apply_masks(vector, masks, bits=BITS, threads=threads)

    what = f"{count} masks of {length:,} words"
    yield f"{what}, one thread", ours(1), lambda: bare(keys, sinks[0]), "AES-256-CTR"
    yield f"{what}, two threads", ours(2), bare_two, "AES-256-CTR, two threads"
    yield f"{what}, two threads, gain", ours(2), ours(1), "ours, one thread"
    yield f"{what}, as many threads as pay", ours(None), ours(1), "ours, one thread"


def keys() -> Iterator[Comparison]:
    """Key agreement, key derivation, sealing and hashing of short strings, a hundred of each."""
    pair, peer, raw = KeyPair.generate(), KeyPair.generate().public, X25519PrivateKey.generate()
    parsed = X25519PrivateKey.generate().public_key()
    yield "X25519 exchange", _often(lambda: pair.exchange(peer)), _often(lambda: raw.exchange(parsed)), "parsed keys"
    ctx, secret, share = os.urandom(32), os.urandom(32), os.urandom(33)
    blocks = [os.urandom(96)] * 4

    def four_hashes() -> None:
        for block in blocks:
            hashlib.sha256(block).digest()

    def derive() -> object:
        return derive_key(secret, salt=ctx, info=b"pair" + ctx[:8])

    yield "HKDF-SHA256", _often(derive), _often(four_hashes), "four SHA-256"
    joined = bytes(160)
    yield (
        "digest of a share",
        _often(lambda: digest("share", ctx, 3, 4, "self_mask", share)),
        _often(lambda: hashlib.sha256(joined).digest()),
        "one SHA-256",
    )
    cipher, bundle = AESGCM(secret), bytes(96)
    yield (
        "AES-256-GCM seal of 96 bytes",
        _often(lambda: aead.seal(secret, bundle, aad=ctx)),
        _often(lambda: cipher.encrypt(ctx[:12], bundle, ctx)),
        "a cipher set up, a fixed nonce",
    )


def sharing(parties: int, threshold: int) -> Iterator[Comparison]:
    """Shamir's steps beside the integer operations that cannot be done without."""
    points, secret = range(1, parties + 1), os.urandom(32)
    shares = shamir.split(secret, threshold=threshold, points=points)
    chosen = points[:threshold]
    basis = shamir.LagrangeBasis(chosen)
    values = [shares[x] for x in chosen]
    a, b, small = secrets.randbelow(shamir.PRIME), secrets.randbelow(shamir.PRIME), 999

    def multiply(times: int, one: int, other: int) -> Case:
        def run() -> None:
            for _ in range(times):
                one * other

        return run

    where = f"n = {parties}, t = {threshold}"
    yield (
        f"Shamir split, {where}",
        lambda: shamir.split(secret, threshold=threshold, points=points),
        multiply(parties * (threshold - 1), a, small),
        "n(t-1) products by a point",
    )
    yield (
        f"Lagrange weights, {where}",
        lambda: shamir.LagrangeBasis(chosen),
        lambda: pow(a, -1, shamir.PRIME),
        "one inversion",
    )
    yield f"combine, {where}", lambda: basis.combine(values), multiply(threshold, a, b), "t products"
    yield (
        f"replace a point, {where}",
        lambda: basis.replace(2, parties),
        multiply(5 * threshold, a, b),
        "5t products",
    )


def encoding(length: int) -> Iterator[Comparison]:
    """Rounding, packing and the whole encoding of an update."""
    size = f"{length:,} values"
    values = np.random.default_rng(1).normal(size=length)
    words = (np.abs(values) * 1000).astype(np.uint32)
    packed = pack(words, BITS)
    yield f"stochastic rounding of {size}", lambda: stochastic_round(values), lambda: os.urandom(8 * length), "urandom"
    yield f"pack, {size}", lambda: pack(words, BITS), words.tobytes, "a copy of the words"
    yield f"unpack, {size}", lambda: unpack(packed, BITS, length), words.copy, "a copy of the words"
    plan = Plan(template={"w": ((length,), "float32")}, parties=100, encoding=FixedPoint(16, 8.0))
    update = {"w": values.astype(np.float32)}
    yield f"encode_update, {size}", lambda: encode_update(plan, update), lambda: os.urandom(8 * length), "urandom"


def messages(size: int) -> Iterator[Comparison]:
    """An envelope around a large body."""
    body = MaskedInput(0, bytes(13), os.urandom(size))
    header = {"session": bytes(16), "round_number": 0, "sender": 1, "binding": bytes(32)}
    data = seal(Kind.MASKED_INPUT, body, **header)
    envelope = parse(data, parties=100)

    def sealing() -> object:
        return seal(Kind.MASKED_INPUT, body, **header)

    def receive() -> None:
        received = parse(data, parties=100)
        check_seal(received, binding=bytes(32), verify_key=None, suspect="")
        decode(MaskedInput, received.body, limit=len(data))

    def checked() -> None:
        check_seal(envelope, binding=bytes(32), verify_key=None, suspect="")

    floor, what = (lambda: hashlib.sha256(data).digest()), f"body of {size:,} bytes"
    yield f"encode, {what}", lambda: encode(body), lambda: bytearray(body.words), "a copy"
    yield f"seal, {what}", sealing, floor, "SHA-256"
    yield f"check the seal, {what}", checked, floor, "SHA-256"
    yield f"parse, check and decode, {what}", receive, floor, "SHA-256"


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__ or "")
    groups = [
        *(masking(length, count) for length, count in ((1_000_000, 20), (1_000_000, 40), (100_000, 1000))),
        keys(),
        *(sharing(n, t) for n, t in ((34, 18), (99, 67), (999, 400))),
        *(encoding(length) for length in (100_000, 1_000_000)),
        messages(300_000),
    ]
    rows = []
    for group in groups:
        for case, ours, floor, name in group:
            took = medians({"ours": ours, "floor": floor}, repeats=options.repeats)
            rows.append(row(case, took["ours"] * 1e3, took["floor"] * 1e3, unit="ms", peer_name=name))
    publish(rows, options.json)


def _often(case: Case) -> Case:
    """The case a hundred times: one alone is too short for the clock."""

    def run() -> None:
        for _ in range(100):
            case()

    return run


if __name__ == "__main__":
    main()
