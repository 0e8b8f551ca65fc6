"""Distributed mean estimation of Kairouz et al. 2021: the error of the distributed mechanisms beside a central Gaussian's.

    securefl bench dme        or        python benchmarks/utility/dme.py

n parties hold vectors of 250 values, uniform on the sphere of radius 10; what is measured is the mean squared error of the mean per
value, over that of a curator who adds Gaussian noise to the exact sum, (10 sigma / n)^2, sigma by the analytic formula. delta 1e-5,
beta e^(-1/2), RDP at orders 2..128 and 256. Sums may wrap (k = 2) and a party's sigma may go down to 0.75 grid points, as in the paper;
nobody drops out and nobody colludes. `peer` is the table of the maintainers' own specification of this benchmark.

Sums are added in the clear, since masks change nothing: one repetition a cell of 100 parties runs through real secure aggregation, too,
and must give the same integers. Vectors and rotations are the same for all cells of a repetition; rounding and noise are not.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import securefl as sfl
from securefl.crypto.random import RandomSource
from securefl.crypto.seeded import SEED_BYTES, SeededRandom
from securefl.dp.accounting import (
    Accountant,
    GaussianRelease,
    Relation,
    calibrate,
    epsilon_of,
    gaussian_noise_multiplier,
)
from securefl.dp.accounting.events import Event
from securefl.dp.conditional_rounding import MAX_TRIES, RoundingBound
from securefl.dp.mechanisms import DistributedDiscreteGaussian, DistributedSkellam, Floor, Mechanism, Release, choose
from securefl.dp.modular_grid import ModularGrid, Wrap
from securefl.dp.rotation import Rotation, padded
from securefl.encoding.ring import Ring
from securefl.encoding.rounding import stochastic_round

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, parser, publish, row
from private_rounds import SecureRounds
from progress import Progress, shown

SIZE = 250
DIMENSION = padded(SIZE)
RADIUS = 10.0
DELTA = 1e-5
ORDERS = (*range(2, 129), 256)
BITS = (10, 12, 14, 16, 18)
MOST = 1.05
"""Times the table's figure, at most."""

MECHANISMS: dict[str, Mechanism] = {
    "DDG": DistributedDiscreteGaussian(clip=RADIUS, min_sigma=0.75),
    "Skellam": DistributedSkellam(clip=RADIUS),
}
TABLE: dict[tuple[int, float], dict[str, tuple[float, ...]]] = {
    (100, 1.0): {"DDG": (1.28, 1.19, 1.17, 1.18, 1.18), "Skellam": (1.29, 1.19, 1.18, 1.17, 1.18)},
    (1000, 1.0): {"DDG": (7.23, 1.60, 1.21, 1.19, 1.19), "Skellam": (7.27, 1.60, 1.23, 1.18, 1.18)},
    (1000, 6.0): {"DDG": (80.6, 5.37, 1.25, 1.16, 1.16), "Skellam": (20.9, 2.58, 1.25, 1.16, 1.16)},
}

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One figure of the table, and the release that it is measured with."""

    name: str
    parties: int
    epsilon: float
    bits: int
    table: float
    release: Release

    @property
    def baseline(self) -> float:
        """The central Gaussian's error per value."""
        return central_error(self.parties, self.epsilon)

    def __str__(self) -> str:
        return f"{self.name}, n={self.parties}, epsilon {self.epsilon:g}, {self.bits} bits"


def central_error(parties: int, epsilon: float) -> float:
    """Mean squared error per value of the mean, if a curator adds the least Gaussian noise."""
    return (RADIUS * gaussian_noise_multiplier(epsilon, DELTA) / parties) ** 2


def rdp_floor(epsilon: float) -> float:
    """What a central Gaussian that is accounted by RDP has of that error: what no distributed mechanism here goes below."""
    found = calibrate(GaussianRelease, epsilon=epsilon, delta=DELTA, relation=Relation.ZERO_OUT, orders=ORDERS)
    return (found.noise / gaussian_noise_multiplier(epsilon, DELTA)) ** 2


def release_for(mechanism: Mechanism, parties: int, epsilon: float, bits: int) -> Release:
    """The release with the least noise for this epsilon.

    Found by the variance of a party's noise, since some multipliers that a search by multiplier meets first have less noise than the
    mechanism allows.
    """
    grid = ModularGrid(bits, Wrap.MODULAR, 2)
    floor = Floor(parties=parties, survivors=parties, colluders=0, threshold=None)
    draws = parties * DIMENSION

    def event_of(variance: float) -> Event:
        radius = grid.radius(noise=math.sqrt(variance), parties=parties, dimension=DIMENSION)
        return mechanism.event(RoundingBound(radius, DIMENSION, mechanism.slack), variance, floor)

    least = calibrate(event_of, epsilon=epsilon, delta=DELTA, relation=Relation.ZERO_OUT, orders=ORDERS, draws=draws)
    multiplier: float = event_of(least.noise).noise_multiplier  # type: ignore[attr-defined] # both events have one
    return choose(dataclasses.replace(mechanism, noise_multiplier=multiplier), floor, SIZE, grid)


def cells(chosen: Sequence[tuple[int, float]], bits: Sequence[int]) -> list[Cell]:
    """The cells of some lines of the table."""
    return [
        Cell(name, *key, b, TABLE[key][name][BITS.index(b)], release_for(mechanism, *key, b))
        for key in chosen
        for name, mechanism in MECHANISMS.items()
        for b in bits
    ]


def on_the_sphere(parties: int, rng: np.random.Generator) -> Floats:
    """Vectors of norm 10, one a line."""
    vectors = rng.normal(size=(parties, SIZE))
    vectors *= RADIUS / np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def rounded(vectors: Floats, release: Release, source: RandomSource) -> Integers:
    """`round_conditionally` for all parties at once, shape (n, d): each that is too long is drawn again."""
    scaled, limit = vectors * release.scale, release.bound.squared
    values = np.empty(scaled.shape, dtype=np.int64)
    late = np.arange(len(scaled))
    for _ in range(MAX_TRIES):
        values[late] = stochastic_round(scaled[late], source)
        drawn = values[late]
        late = late[np.einsum("ij,ij->i", drawn, drawn) > limit]
        if not late.size:
            return values
    values[late] = np.trunc(scaled[late] * (1 - 2.0**-38))
    return values


def noisy_sum(vectors: Floats, release: Release, source: RandomSource) -> Integers:
    """The sum of rotated vectors and their noise, as the ring leaves it."""
    noise = release.mechanism.draw_party(release.exact_variance, release.floor, vectors.size, source)
    total = rounded(vectors, release, source).sum(axis=0)
    if noise is not None:
        total += noise.reshape(vectors.shape).sum(axis=0)
    ring = Ring(release.grid.ring_bits)
    return ring.centre(ring.reduce(total))


def errors_of(group: Sequence[Cell], parties: int, number: int, seed: int) -> list[float]:
    """Squared error per value of each cell in one repetition."""
    entropy = np.random.SeedSequence(seed, spawn_key=(parties, number))
    vectors = on_the_sphere(parties, np.random.default_rng(entropy))
    # A stream of its own, rather than the one that the vectors come from.
    source = SeededRandom(entropy.spawn(1)[0].generate_state(SEED_BYTES // 4).astype("<u4").tobytes())
    rotation = Rotation(source.token(SEED_BYTES), SIZE)
    clipping = sfl.dp.FlatClip(RADIUS)
    rotated = np.stack([rotation.apply(clipping.clip(vector).vector) for vector in vectors])
    exact = vectors.mean(axis=0)
    errors = []
    for cell in group:
        total = noisy_sum(rotated, cell.release, source)
        mean = rotation.invert(total / cell.release.scale) / cell.release.denominator
        errors.append(float(np.mean((mean - exact) ** 2)))
    return errors


def secure_repetition(cell: Cell, seed: int) -> dict[str, Any]:
    """One repetition through real secure aggregation, and the same draws in the clear.

    Raises:
        SystemExit: they do not agree in every bit.
    """
    vectors = on_the_sphere(cell.parties, np.random.default_rng(seed))
    updates = {f"party-{i}": {"x": vector} for i, vector in enumerate(vectors)}
    plan = sfl.Plan.for_updates(
        updates,
        protocol=sfl.SecAgg(max_colluders=0, min_survivors=cell.parties),
        encoding=cell.release.grid,
        privacy=cell.release.mechanism,
    )
    chosen = plan.release
    if chosen is None or (chosen.radius, chosen.variance) != (cell.release.radius, cell.release.variance):
        raise SystemExit(f"dme: {cell}: the plan has other noise than the cell")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        ledger = sfl.PrivacyLedger(Path(folder) / "ledger.jsonl", budget=sfl.Budget(epsilon=1000.0, delta=DELTA))
        result, clear = SecureRounds(plan, tuple(updates), ledger).round(updates)
    if not np.array_equal(result.integers, clear):
        raise SystemExit(f"dme: {cell}: secure aggregation and the sum in the clear differ")
    sums: Any = result.sum
    error = float(np.mean((sums["x"] / cell.parties - vectors.mean(axis=0)) ** 2))
    return {
        "case": str(cell),
        "equal": True,
        "error": error / cell.baseline,
        "bytes_up": result.bytes_up,
        "seconds": time.perf_counter() - started,
    }


def measure(
    wanted: Sequence[Cell], progress: Progress, *, repeats: int, seed: int, targets: bool
) -> tuple[list[Row], list[dict[str, Any]]]:
    """All cells, in the clear: rows to print, and what they rest on."""
    errors: dict[Cell, list[float]] = {cell: [] for cell in wanted}
    for parties in dict.fromkeys(cell.parties for cell in wanted):
        group = [cell for cell in wanted if cell.parties == parties]
        progress.case(f"{parties} parties, {len(group)} cells, {repeats} repetitions")
        for number in range(repeats):
            for cell, error in zip(group, errors_of(group, parties, number, seed), strict=True):
                errors[cell].append(error)
            progress.step("repetition", number + 1, repeats)
    rows, details = [], []
    for cell, found in errors.items():
        ours = float(np.mean(found)) / cell.baseline
        spread = float(np.std(found, ddof=1)) / math.sqrt(repeats) / cell.baseline if repeats > 1 else math.inf
        target = 1 / MOST if targets else None
        rows.append(row(str(cell), ours, cell.table, unit="x central", peer_name="table", target=target))
        release = cell.release
        details.append(
            {
                "mechanism": cell.name,
                "parties": cell.parties,
                "epsilon": cell.epsilon,
                "bits": cell.bits,
                "ours": ours,
                "standard_error": spread if math.isfinite(spread) else None,
                "table": cell.table,
                "repetitions": repeats,
                "radius": release.radius,
                "sigma": math.sqrt(release.variance),
                "noise_multiplier": release.noise_multiplier,
                "d2_over_radius": release.bound.l2 / release.radius,
                "noise_alone": parties_noise(cell) / cell.baseline,
                "spent": epsilon_of(
                    release.event, DELTA, Relation.ZERO_OUT, Accountant.RDP, orders=ORDERS, draws=release.draws
                ),
            }
        )
    return rows, details


def parties_noise(cell: Cell) -> float:
    """The error that the parties' noise alone makes: without rounding, and without sums that wrap."""
    return cell.release.noise_std**2


def main() -> None:
    """Measure, print, draw."""
    options = _options()
    chosen = [(100, 1.0)] if options.quick else list(TABLE)
    bits = (10, 16) if options.quick else BITS
    repeats = min(options.repeats, 5) if options.quick else options.repeats
    with shown() as progress:
        progress.case("calibration")
        wanted = cells(chosen, bits)
        rows, details = measure(wanted, progress, repeats=repeats, seed=options.seed, targets=not options.quick)
        secure = []
        checked = [cell for cell in wanted if cell.parties == 100 and (not options.quick or cell.bits == 16)]
        for cell in checked:
            progress.case(f"{cell}: secure aggregation")
            secure.append(secure_repetition(cell, options.seed))
    baselines = [
        {"parties": n, "epsilon": epsilon, "central": central_error(n, epsilon), "rdp_floor": rdp_floor(epsilon)}
        for n, epsilon in chosen
    ]
    notes = [
        f"n={line['parties']}, epsilon {line['epsilon']:g}: central Gaussian {line['central']:.4g} per value is 1; "
        f"accounted by RDP, as the others are, it has {line['rdp_floor']:.3f}"
        for line in baselines
    ]
    worst = max((line["standard_error"] or math.inf) / line["ours"] for line in details)
    notes.append(f"means of {repeats} repetitions, standard errors up to {100 * worst:.1f} %")
    notes.append(
        f"secure aggregation gave the integers of the sum in the clear, bit for bit, in {len(secure)} of {len(checked)} cells"
    )
    publish(rows, options.json, notes=notes, baselines=baselines, cells=details, secure=secure)
    if options.plot is not None:
        import utility_plots

        utility_plots.draw_dme(details, baselines, options.plot)


def _options() -> argparse.Namespace:
    made = parser(__doc__ or "", repeats=200, quick=True, plot=True, repeated="repetitions of which the mean is given")
    made.add_argument("--seed", type=int, default=0, help="of vectors, rotation, rounding and noise (%(default)s)")
    return made.parse_args()


if __name__ == "__main__":
    main()
