"""Rows of the Paillier benchmark, from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from harness import Row, row
from paillier_ours import Ours

Rates: TypeAlias = dict[str, dict[str, float]]
"""Operation, case: operations a second."""

TARGET_BITS = 3072
"""The size of key that the targets are for."""
ENCRYPT_TARGETS = {"djn": 1500.0, "short": 5000.0, "full pool": 50_000.0}
DECRYPT_TARGET = 50.0
"""Of values a second, over phe's."""
BITS_TARGET = 48
SINGLE_TARGET = 2.0
"""Of short's ciphertexts a second, over pypaillier's and HEU's."""
CORES_TARGET = 1.6
"""Of two cores, over one."""
CKKS = "TenSEAL CKKS"


def size_rows(ours: Ours, peers: Mapping[str, float]) -> list[Row]:
    """Bits a value, as sent."""
    unpacked = 2 * ours.bits
    case = f"{ours.bits} bits: ciphertext bits of a 16-bit value, {ours.parties} parties"
    least = unpacked / BITS_TARGET if ours.bits == TARGET_BITS else None
    rows = [row(case, ours.bits_a_value, unpacked, unit="bits", peer_name="a ciphertext a value", target=least)]
    return rows + [row(case, ours.bits_a_value, bits, unit="bits", peer_name=name) for name, bits in peers.items()]


def single_rows(ours: Ours, peers: Mapping[str, float], rates: Rates) -> list[Row]:
    """One ciphertext each on one core: what packing has no part in, so without CKKS."""
    slots, single = ours.layout.slots, rates["single"]
    rows = []
    for name in peers:
        if name == CKKS:
            continue
        figures = [
            ("encrypt, djn", rates["encrypt"]["djn"] / slots, "encrypt", None),
            ("encrypt, short", rates["encrypt"]["short"] / slots, "encrypt", None if name == "phe" else SINGLE_TARGET),
            ("add", rates["add"]["ours"] / slots, "add", None),
            ("decrypt", rates["decrypt"]["ours"] / slots, "decrypt", None),
            ("decrypt, variable time", single["decrypt, variable time"], "decrypt", None),
        ]
        if name == "phe":
            figures += [(case, rate, "encrypt", None) for case, rate in single.items() if case.startswith("encrypt")]
        rows += [
            row(
                f"{ours.bits} bits, one ciphertext: {case}",
                rate,
                rates[operation][name],
                unit="per s",
                peer_name=name,
                better="more",
                target=target,
            )
            for case, rate, operation, target in figures
        ]
    return rows


def value_rows(ours: Ours, peers: Mapping[str, float], rates: Rates) -> list[Row]:
    """Whole vectors on one core, ours against each peer by the value."""
    rows = []
    for name in peers:
        cases = [("encrypt", mode, target) for mode, target in ENCRYPT_TARGETS.items()]
        for operation, mode, target in [*cases, ("add", "ours", None), ("decrypt", "ours", DECRYPT_TARGET)]:
            rows.append(
                row(
                    f"{ours.bits} bits, {ours.count} values: {operation}{'' if mode == 'ours' else ', ' + mode}",
                    rates[operation][mode],
                    rates[operation][name],
                    unit="values/s",
                    peer_name=name,
                    better="more",
                    target=target if name == "phe" and ours.bits == TARGET_BITS else None,
                )
            )
    return rows


def core_rows(ours: Ours, rates: Mapping[str, float], cores: int) -> list[Row]:
    """A thread a core against one thread, by the clock."""
    return [
        row(
            f"{ours.bits} bits: {operation}, {cores} cores",
            rates[f"{operation}, all cores"],
            rates[f"{operation}, one thread"],
            unit="per s",
            peer_name="ours, one thread",
            better="more",
            target=CORES_TARGET if operation == "decrypt" and cores == 2 else None,
        )
        for operation in ("encrypt, djn", "encrypt, short", "decrypt")
        if cores > 1
    ]
