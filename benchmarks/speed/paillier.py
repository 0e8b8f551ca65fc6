"""Packed Paillier encryption beside phe, pypaillier and SecretFlow's HEU, under keys of one size, all in one run.

    python benchmarks/speed/paillier.py [--json FILE] [--repeats N] [--bits 3072] [--parties 10] [--quick]

First the operations on one ciphertext each: a peer's own way of making masks is beside ours of the same kind (phe raises to
n, pypaillier to half as many bits from a table, HEU to fewer, on all cores). Then what
a federated round is made of: 16-bit values, of which one of our plaintexts holds many and a peer's one.
"""

from __future__ import annotations

import importlib
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from securefl.paillier import Ciphertexts, Encryptor, Masks, PrivateKey, SlotLayout
from securefl.paillier.masks import SHORT_BITS
from securefl.paillier.threads import cores

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, medians, parser, publish, row, version

HERE = Path(__file__).resolve().parent
MAX_VALUE = (1 << 15) - 1
PEERS = ("phe", "pypaillier", "sf-heu")
LANES = 10**6


def peer(module: str) -> ModuleType | None:
    """A library that may be missing; not this script, which has the name of one of them."""
    path = sys.path
    sys.path = [entry for entry in path if Path(entry or ".").resolve() != HERE]
    try:
        return importlib.import_module(module)
    except ImportError:
        return None
    finally:
        sys.path = path


def per_second(cases: dict[str, tuple[int, Callable[[], object]]], repeats: int) -> dict[str, float]:
    """Operations a second of each case, which does so many at a call."""
    took = medians({name: case for name, (_, case) in cases.items()}, repeats=repeats)
    return {name: count / took[name] for name, (count, _) in cases.items()}


class Bench:
    """Keys of every library, and the same integers to encrypt under all of them."""

    def __init__(self, bits: int, parties: int, work: int) -> None:
        self.key = PrivateKey.generate(bits)
        self.layout = SlotLayout(bits, parties, MAX_VALUE)
        self.work = work
        rng = np.random.default_rng(1)
        self.values = rng.integers(-MAX_VALUE, MAX_VALUE + 1, work * self.layout.slots)
        self.plaintexts = self.layout.pack(self.values)
        self.small = self.values[: max(8, work // 8)].tolist()
        self.ours = {mode: Encryptor(self.key.public_key, mode) for mode in ("standard", "djn", "short")}
        self.holder = Encryptor(self.key.public_key, "short", private_key=self.key)
        for encryptor in (*self.ours.values(), self.holder):
            encryptor.prepare()
        self.encrypted = self.ours["short"].encrypt(self.plaintexts)
        self.phe = peer("phe")
        self.pypaillier = peer("paillier")
        heu = peer("heu")
        self.heu = heu and (importlib.import_module("heu.phe"), importlib.import_module("heu.numpy"))
        self.bits = bits

    def encrypting(self) -> dict[str, tuple[int, Callable[[], object]]]:
        """One plaintext a ciphertext, everywhere."""
        n, few = len(self.plaintexts), len(self.small)
        cases: dict[str, tuple[int, Callable[[], object]]] = {
            "standard": (few, lambda: self.ours["standard"].encrypt(self.plaintexts[:few], threads=1)),
            "djn": (n, lambda: self.ours["djn"].encrypt(self.plaintexts, threads=1)),
            "short": (n, lambda: self.ours["short"].encrypt(self.plaintexts, threads=1)),
            "djn, all cores": (n, lambda: self.ours["djn"].encrypt(self.plaintexts)),
            "short, all cores": (n, lambda: self.ours["short"].encrypt(self.plaintexts)),
            "short, key holder": (n, lambda: self.holder.encrypt(self.plaintexts, threads=1)),
        }
        if self.phe:
            cases["phe"] = (few, lambda: [self.phe_keys[0].encrypt(v) for v in self.small])
        if self.pypaillier:
            module, public = self.pypaillier, self.pypaillier_keys[0]
            cases["pypaillier"] = (n, lambda: module.encrypt_integers(public, self.many))
        if self.heu:
            kit, array = self.heu_kit
            cases["HEU ZPaillier"] = (n, lambda: kit.encryptor().encrypt(array))
        return cases

    def decrypting(self) -> dict[str, tuple[int, Callable[[], object]]]:
        """One ciphertext each."""
        few = len(self.small)
        some = self.encrypted[:few]
        cases: dict[str, tuple[int, Callable[[], object]]] = {
            "one core": (few, lambda: self.key.decrypt(some, threads=1)),
            "all cores": (few, lambda: self.key.decrypt(some)),
            "one core, variable time": (few, lambda: self.key.decrypt(some, threads=1, constant_time=False)),
        }
        if self.phe:
            (public, private) = self.phe_keys
            numbers = [public.encrypt(v) for v in self.small]
            cases["phe"] = (few, lambda: [private.decrypt(number) for number in numbers])
        if self.pypaillier:
            module, (their_key, secret) = self.pypaillier, self.pypaillier_keys
            blobs = [bytes(b) for b in module.encrypt_integers(their_key, self.small)]
            cases["pypaillier"] = (few, lambda: module.decrypt_exact_many(secret, blobs))
        if self.heu:
            kit, array = self.heu_kit
            encrypted = kit.encryptor().encrypt(array)
            cases["HEU ZPaillier"] = (len(self.plaintexts), lambda: kit.decryptor().decrypt(encrypted))
        return cases

    def adding(self) -> dict[str, tuple[int, Callable[[], object]]]:
        """Two vectors of ciphertexts."""
        n, few = len(self.encrypted), len(self.small)
        cases: dict[str, tuple[int, Callable[[], object]]] = {
            "one core": (n, lambda: Ciphertexts.total([self.encrypted, self.encrypted], threads=1))
        }
        if self.phe:
            numbers = [self.phe_keys[0].encrypt(v) for v in self.small]
            cases["phe"] = (50 * few, lambda: [number + number for _ in range(50) for number in numbers])
        if self.pypaillier:
            module, public = self.pypaillier, self.pypaillier_keys[0]
            blobs = [bytes(b) for b in module.encrypt_integers(public, self.many)]
            cases["pypaillier"] = (n - 1, lambda: module.add_many(public, blobs))
        if self.heu:
            kit, array = self.heu_kit
            encrypted = kit.encryptor().encrypt(array)
            cases["HEU ZPaillier"] = (n, lambda: kit.evaluator().add(encrypted, encrypted))
        return cases

    @property
    def many(self) -> list[int]:
        """As many small integers as we have plaintexts: the peers' plaintexts."""
        small: list[int] = self.values[: len(self.plaintexts)].tolist()
        return small

    def make_peers_keys(self) -> None:
        """Once, outside of what is measured."""
        if self.phe:
            self.phe_keys = self.phe.generate_paillier_keypair(n_length=self.bits)
        if self.pypaillier:
            self.pypaillier_keys = self.pypaillier.generate_keypair(self.bits)
        if self.heu:
            scheme, arrays = self.heu
            kit: Any = arrays.setup(scheme.SchemaType.ZPaillier, self.bits)
            self.heu_kit = (kit, kit.array(np.array(self.many)))

    def pooled(self, repeats: int) -> float:
        """Encryptions a second while masks are in stock: a new stock for each run, whose making is not measured."""
        count, took = len(self.plaintexts), []
        for _ in range(repeats):
            with Encryptor(self.key.public_key, "short", pool=count) as encryptor:
                if encryptor.pool is not None:
                    encryptor.pool.wait_until(count)
                started = time.perf_counter()
                encryptor.encrypt(self.plaintexts, threads=1)
                took.append(time.perf_counter() - started)
        return count / statistics.median(took)


def operations(bench: Bench, repeats: int) -> tuple[list[Row], dict[str, dict[str, float]]]:
    """Rows for single ciphertexts, and the figures from which those for values follow."""
    encrypt = per_second(bench.encrypting(), repeats)
    encrypt["pool"] = bench.pooled(repeats)
    decrypt = per_second(bench.decrypting(), repeats)
    add = per_second(bench.adding(), repeats)
    rows = []

    def compare(what: str, figures: dict[str, float], ours: str, theirs: str) -> None:
        if theirs in figures:
            label = f"{what}, {ours}" if ours else what
            rows.append(row(label, figures[ours], figures[theirs], unit="per s", peer_name=theirs, better="more"))

    for mode in ("standard", "djn", "short", "djn, all cores", "short, all cores", "short, key holder", "pool"):
        compare("encrypt", encrypt, mode, "phe")
    compare("encrypt", encrypt, "djn", "pypaillier")
    compare("encrypt", encrypt, "short, all cores", "HEU ZPaillier")
    for name in ("phe", "pypaillier"):
        compare("decrypt", decrypt, "one core", name)
    compare("decrypt", decrypt, "one core, variable time", "phe")
    compare("decrypt", decrypt, "all cores", "HEU ZPaillier")
    for name in ("phe", "pypaillier", "HEU ZPaillier"):
        compare("add", add, "one core", name)
    return rows, {"encrypt": encrypt, "decrypt": decrypt, "add": add}


def rounds(bench: Bench, figures: dict[str, dict[str, float]]) -> list[Row]:
    """Rows for 16-bit values: ours travel `slots` to a ciphertext, a peer's one."""
    slots, bits = bench.layout.slots, 8 * bench.key.public_key.ciphertext_bytes
    rows = [row("ciphertext bits per 16-bit value", bits / slots, bits, unit="bits", peer_name="any, unpacked")]
    for name in ("phe", "pypaillier", "HEU ZPaillier"):
        for operation, modes in (
            ("encrypt", ("djn, all cores", "short, all cores", "pool")),
            ("add", ("one core",)),
            ("decrypt", ("all cores",)),
        ):
            measured = figures[operation]
            if name in measured:
                rows += [
                    row(
                        f"{operation} a packed vector, {mode}",
                        measured[mode] * slots,
                        measured[name],
                        unit="values/s",
                        peer_name=name,
                        better="more",
                    )
                    for mode in modes
                ]
    return rows


def packing(bench: Bench, repeats: int, count: int) -> list[str]:
    """How long a million values take from numpy to integers and back."""
    layout = bench.layout
    values = np.random.default_rng(2).integers(-MAX_VALUE, MAX_VALUE + 1, count)
    packed = layout.pack(values)
    took = medians(
        {"pack": lambda: layout.pack(values), "unpack": lambda: layout.unpack(packed, count, vectors=1)},
        repeats=repeats,
    )
    note = (
        f"{count} values: packed in {took['pack'] * 1e3:.1f} ms, unpacked in {took['unpack'] * 1e3:.1f} ms; "
        f"{layout.slots} slots of {layout.slot_bits} bits for {layout.parties} parties"
    )
    return [note]


def tables(bench: Bench) -> list[str]:
    """How long the table of a key takes, once."""
    notes = []
    for mode, window in (("djn", 8), ("short", 8), ("short", 10)):
        took = medians({"table": Masks(bench.key.public_key, mode, window=window)._fixed_base}, repeats=1)  # noqa: SLF001
        notes.append(f"table of {mode}, window {window}: {took['table']:.2f} s, once for a key")
    return notes


def main() -> None:
    """Measure and print."""
    made = parser(__doc__ or "", repeats=5, quick=True)
    made.add_argument("--bits", type=int, default=3072, help="of the keys (%(default)s)")
    made.add_argument("--parties", type=int, default=10, help="vectors that a slot has room for (%(default)s)")
    made.add_argument("--work", type=int, default=256, help="ciphertexts a run (%(default)s)")
    options = made.parse_args()
    if options.quick:
        options.repeats, options.work, options.bits = 1, 16, 2048
    bench = Bench(options.bits, options.parties, options.work)
    bench.make_peers_keys()
    rows, figures = operations(bench, options.repeats)
    rows += rounds(bench, figures)
    notes = packing(bench, options.repeats, LANES // 10 if options.quick else LANES)
    notes += [] if options.quick else tables(bench)
    missing = [name for name in PEERS if not version(name)]
    if missing:
        notes.append(f"not installed, so their rows are missing: {', '.join(missing)}; run `make bench`")
    if bench.pypaillier:
        ours = f"{options.bits // 2} (djn) and {SHORT_BITS} (short)"
        notes.append(f"pypaillier's exponents have {bench.pypaillier_keys[0].exponent_bits} bits, ours {ours}")
    publish(
        rows,
        options.json,
        notes=notes,
        bits=options.bits,
        cores=cores(),
        per_second=figures,
        peers={name: version(name) for name in ("gmpy2", *PEERS) if version(name)},
    )


if __name__ == "__main__":
    main()
