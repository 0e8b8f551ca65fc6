"""Exact integer noise against numpy's floating-point normal generator, which is neither secure nor exact.

    python benchmarks/speed/samplers.py [--json FILE] [--repeats N]

A million draws on one core; a ratio of 0.2 and more is aimed at. Below it: the first call with new parameters, which makes
the table, and memory beyond the result.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from securefl.crypto.seeded import SeededRandom
from securefl.dp.samplers import discrete_gaussian, discrete_laplace, skellam
from securefl.dp.samplers.skellam import _sampler

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, arguments, medians, publish, row

DRAWS = 1_000_000
TARGET = 0.2
CASES: list[tuple[str, Callable[..., object], Fraction | int]] = [
    ("discrete Gaussian, sigma 1/2", discrete_gaussian, Fraction(1, 4)),
    ("discrete Gaussian, sigma 10", discrete_gaussian, 100),
    ("discrete Gaussian, sigma 1e4", discrete_gaussian, 10**8),
    ("discrete Gaussian, sigma 1e6", discrete_gaussian, 10**12),
    ("discrete Laplace, scale 10", discrete_laplace, 10),
    ("discrete Laplace, scale 1e4", discrete_laplace, 10**4),
    ("Skellam, sigma 10", skellam, 100),
    ("Skellam, sigma 1e4", skellam, 10**8),
    ("Skellam, sigma 1e6", skellam, 10**12),
]


def speed(repeats: int) -> list[Row]:
    """A million draws each; numpy takes its turn beside each case."""
    generator = np.random.default_rng(1)
    rows = []
    for name, sampler, parameter in CASES:
        took = medians(
            {"ours": partial(sampler, parameter, DRAWS), "normal": partial(generator.normal, size=DRAWS)},
            repeats=repeats,
        )
        line = row(
            name, took["ours"] * 1e3, took["normal"] * 1e3, unit="ms", peer_name="default_rng().normal", target=TARGET
        )
        rows.append(line)
    exact = medians(
        {
            "ours": partial(skellam, 100, DRAWS),
            "theirs": lambda: generator.poisson(50, DRAWS) - generator.poisson(50, DRAWS),
        },
        repeats=repeats,
    )
    rows.append(
        row(
            "Skellam, sigma 10",
            exact["ours"] * 1e3,
            exact["theirs"] * 1e3,
            unit="ms",
            peer_name="two of numpy's Poisson",
        )
    )
    return rows


def memory() -> str:
    """The most memory that a call takes, over the size of its result."""
    tracemalloc.start()
    discrete_gaussian(10**8, DRAWS, SeededRandom(bytes(32)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return f"a million draws at sigma 1e4 take {peak / (8 * DRAWS):.2f} times the memory of the result, at most"


def tables(repeats: int) -> list[str]:
    """How long a new table takes."""
    notes = []
    for variance in (100, 10**8, 10**12):
        took = medians({"table": lambda variance=variance: _sampler.__wrapped__(Fraction(variance))}, repeats=repeats)
        notes.append(f"table of a new Skellam variance of {variance:g}: {took['table'] * 1e3:.0f} ms, once")
    return notes


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__ or "")
    publish(speed(options.repeats), options.json, notes=[memory(), *tables(min(3, options.repeats))])


if __name__ == "__main__":
    main()
