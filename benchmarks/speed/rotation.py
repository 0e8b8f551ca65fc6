"""The randomised Hadamard rotation beside one copy of the same vector, on one thread, with warm buffers.

    python benchmarks/speed/rotation.py [--json FILE] [--repeats N]

The figure that is aimed at is a time of at most 45 copies for 2^20 values, so a ratio of at least 1/45. A copy of that many
values stays in a large last-level cache; where it does not, the ratio is better.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from securefl.dp.rotation import Rotation, walsh_hadamard

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, arguments, medians, publish, row

TARGET = 1 / 45
TARGET_BITS = 20


def measure(bits: int, repeats: int) -> list[Row]:
    """One row for the bare transform, one for each way of the rotation."""
    vector = np.random.default_rng(1).normal(size=1 << bits)
    zeros, sink = np.zeros_like(vector), np.empty_like(vector)
    rotation = Rotation(bytes(32), vector.size)
    cases = {
        "Walsh-Hadamard transform in place": lambda: walsh_hadamard(
            zeros
        ),  # of zeros, which do not grow from run to run
        "rotation": lambda: rotation.apply(vector),
        "rotation back": lambda: rotation.invert(vector),
    }
    took = medians(cases | {"copy": lambda: np.copyto(sink, vector)}, repeats=repeats)
    target = TARGET if bits == TARGET_BITS else None
    return [
        row(f"{case}, 2^{bits}", took[case] * 1e3, took["copy"] * 1e3, unit="ms", peer_name="one copy", target=target)
        for case in cases
    ]


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__ or "")
    publish([line for bits in (14, 17, 20, 22) for line in measure(bits, options.repeats)], options.json)


if __name__ == "__main__":
    main()
