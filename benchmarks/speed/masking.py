"""Masks generated and added: ours against bare AES-256-CTR, and against Flower's SecAgg+ where flwr is installed.

    python benchmarks/speed/masking.py [--json FILE]

The floor is OpenSSL's AES-256-CTR writing into a buffer that it reuses, without adding anything.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from securefl.crypto.prg import apply_masks

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import arguments, medians, publish, row

LENGTH = 1_000_000
BITS = 23
MASKS = 20


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__ or "")
    keys = [os.urandom(32) for _ in range(MASKS)]
    masks = [(key, 1) for key in keys]
    vector = np.zeros(LENGTH, dtype=np.uint32)
    zeros, sink = bytes(vector.nbytes), bytearray(vector.nbytes + 16)

    def bare() -> None:
        for key in keys:
            Cipher(AES256(key), CTR(bytes(16))).encryptor().update_into(zeros, sink)

    cases = {
        "bare": bare,
        "one": lambda: apply_masks(vector, masks, bits=BITS, threads=1),
        "two": lambda: apply_masks(vector, masks, bits=BITS, threads=2),
    }
    flower = importlib.util.find_spec("flwr") is not None
    if flower:
        from flwr.common.secure_aggregation.ndarrays_arithmetic import parameters_addition, parameters_mod
        from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen

        def theirs() -> None:
            total = [np.zeros(LENGTH, dtype=np.int64)]
            for key in keys:
                total = parameters_addition(total, pseudo_rand_gen(key, 1 << BITS, [(LENGTH,)]))
            parameters_mod(total, 1 << BITS)

        cases["flower"] = theirs
    took = medians(cases, repeats=options.repeats)
    rate = {name: MASKS * vector.nbytes / seconds / 1e9 for name, seconds in took.items()}
    what = f"{MASKS} masks of {LENGTH:,} words"
    rows = [
        row(
            f"{what}, one thread, against the floor",
            rate["one"],
            rate["bare"],
            unit="GB/s",
            peer_name="AES-256-CTR alone",
            better="more",
        ),
        row(
            f"{what}, two threads against one",
            rate["two"],
            rate["one"],
            unit="GB/s",
            peer_name="one thread",
            better="more",
        ),
    ]
    if flower:
        rows.append(
            row(
                f"{what}, one thread",
                rate["one"],
                rate["flower"],
                unit="GB/s",
                peer_name="Flower SecAgg+",
                better="more",
            )
        )
    publish(rows, options.json)


if __name__ == "__main__":
    main()
