"""Secure aggregation in cohorts on Ray: measured points, the model that they fit, and its curve to a million parties.

    securefl bench ray_cohorts --plot ray.png        or        python benchmarks/scale/ray_cohorts.py --full

Every party's update is made inside a task, cohorts have 25 parties or a few more, the server is active, and every twentieth party is
lost before its vector leaves. Each sum is compared with the exact one. Seconds are of processor time, of all tasks and of the process that
adds their sums, so that other programs on the machine disturb them little; by the clock they are divided by the cores.

`--full` measures 1000, 3000 and 10 000 parties with 10 000 values each. What lies beyond the measured sizes is extrapolated, and marked so.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import securefl as sfl

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import medians, parser, publish, row
from progress import Progress, shown

from securefl.errors import ConfigError

COHORT, COLLUDERS = 25, 5
DEFAULT = (*itertools.product((100, 200, 400), (1_000, 10_000, 100_000)), (100, 1_000_000))
QUICK = tuple(itertools.product((50, 75, 100), (100, 1_000)))
FULL = ((1_000, 10_000), (3_000, 10_000), (10_000, 10_000))
LARGEST = (1_000_000, 100_000_000)
_LIMIT = 2**15
Point = dict[str, Any]


def main() -> None:
    """Measure, fit, print and draw."""
    made = parser(__doc__ or "", repeats=1, quick=True, plot=True)
    made.add_argument("--full", action="store_true", help="1000, 3000 and 10 000 parties as well (minutes)")
    options = made.parse_args()
    sizes = QUICK if options.quick else DEFAULT
    with shown() as progress:
        progress.case("Ray starts")
        measured(COHORT, 10, progress)  # starts Ray, and has every worker import what it needs
        points = [
            _median([measured(*size, progress) for _ in range(options.repeats)])
            for size in sizes + (FULL if options.full else ())
        ]
        rows = [_against_one_process(sizes[len(sizes) // 2], progress)]
    time_fit, memory_fit = fit_time(points), fit_memory(points)
    notes = [_said(point) for point in points]
    notes += [time_fit["text"], memory_fit["text"], *_linear(points), *_extrapolated(time_fit, memory_fit)]
    notes.append(f"load of the machine at the end, all programs: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if options.plot:
        from scale_plots import draw

        draw(points, time_fit["of"], memory_fit["of"], options.plot, cohort=COHORT, largest=LARGEST)
    fits = {
        what: {k: v for k, v in fit.items() if k != "of"} for what, fit in (("time", time_fit), ("memory", memory_fit))
    }
    publish(rows, options.json, notes=notes, points=points, **fits)


class Updates:
    """Makes the update of a party: integers that its name alone decides."""

    def __init__(self, values: int) -> None:
        self.values = values

    def __call__(self, party: str) -> dict[str, np.ndarray]:
        """The update, `values` integers of 16 bits."""
        rng = np.random.default_rng(int(party.removeprefix("party-")))
        return {"w": rng.integers(1 - _LIMIT, _LIMIT, self.values, dtype=np.int32)}


def plan_of(values: int) -> sfl.Plan:
    """The plan of one cohort."""
    protocol = sfl.SecAgg(server="active", max_colluders=COLLUDERS, dropout=0.1)
    return sfl.Plan(template={"w": ((values,), "int32")}, parties=COHORT, protocol=protocol)


def measured(parties: int, values: int, progress: Progress) -> Point:
    """One round on Ray, its sum checked.

    Raises:
        ConfigError: the sum is not exact.
    """
    from securefl.flower.ray_cohorts import aggregate_cohorts_on_ray

    case = f"{parties:,} parties x {values:,} values"
    progress.case(case)
    names = [f"party-{i}" for i in range(parties)]
    updates, drop = Updates(values), dict.fromkeys(names[::20], "masked_input")
    before = time.process_time()
    result = aggregate_cohorts_on_ray(
        updates, plan_of(values), names, drop=drop, progress=lambda done, total: progress.step("cohorts", done, total)
    )
    own = time.process_time() - before
    exact = np.zeros(values, np.int64)
    for name in result.survivors:
        exact += updates(name)["w"]
    if result.failed or len(result.survivors) != parties - len(drop) or not np.array_equal(exact, result.sum["w"]):
        raise ConfigError(f"{case}: the sum is not exact", remedy="this is a bug: report it")
    return {
        "parties": parties,
        "values": values,
        "cohorts": len(result.results),
        "core_seconds": own + sum(cost.core_seconds for cost in result.costs.values()),
        "adding_seconds": own,
        "seconds": result.seconds,
        "task_bytes": result.peak_bytes,
        "bytes_up": result.bytes_up,
        "bytes_down": result.bytes_down,
    }


def fit_time(points: Sequence[Point]) -> Point:
    """Least squares of relative errors for seconds = a + parties (b + c values), none of which is negative."""
    n, d, y = (np.array([point[key] for point in points], float) for key in ("parties", "values", "core_seconds"))
    (a, b, c), worst = _fit(np.stack([np.ones_like(n), n, n * d]), y)
    text = (
        f"processor seconds = {a:.3g} + parties * ({b:.3g} + {c:.3g} * values); "
        f"of {len(points)} points the farthest is {100 * worst:.0f} % off"
    )
    return {"a": a, "b": b, "c": c, "worst": worst, "text": text, "of": lambda n, d: a + n * (b + c * d)}


def fit_memory(points: Sequence[Point]) -> Point:
    """The same for bytes of a task = m + k * values, at the cohorts' size."""
    d, y = (np.array([point[key] for point in points], float) for key in ("values", "task_bytes"))
    (m, k), worst = _fit(np.stack([np.ones_like(d), d]), y)
    text = (
        f"memory of a task = {m / 1e6:.0f} MB + {k:.0f} bytes * values, {k / COHORT:.0f} a value and party; "
        f"the farthest point is {100 * worst:.0f} % off"
    )
    return {"m": m, "k": k, "worst": worst, "text": text, "of": lambda d: m + k * d}


def _fit(columns: np.ndarray, y: np.ndarray) -> tuple[list[float], float]:
    from scipy.optimize import nnls

    weighted = (columns / y).T
    scale = weighted.max(axis=0)  # the columns differ by many orders of magnitude
    found, _ = nnls(weighted / scale, np.ones_like(y))
    return [float(value) for value in found / scale], float(np.abs(weighted @ (found / scale) - 1).max())


def _linear(points: Sequence[Point]) -> list[str]:
    """How time grows with parties where nothing else changes."""
    notes = []
    for values in sorted({point["values"] for point in points}):
        same = [point for point in points if point["values"] == values]
        if len(same) < 3:
            continue
        n, y = (np.log([point[key] for point in same]) for key in ("parties", "core_seconds"))
        power = float(np.polyfit(n, y, 1)[0])
        notes.append(f"with {values:,} values processor time grows as parties^{power:.2f}, over {len(same)} sizes")
    return notes


def _extrapolated(time_fit: Point, memory_fit: Point) -> list[str]:
    notes = []
    for parties, values in ((100_000, 10_000), (1_000_000, 10_000), (1_000_000, 1_000_000), LARGEST):
        hours, task = time_fit["of"](parties, values) / 3600, memory_fit["of"](values)
        notes.append(
            f"extrapolated, not measured: {parties:,} parties x {values:,} values: {hours:,.3g} core hours, "
            f"{task / 1e9:.3g} GB a task"
        )
    return notes


def _against_one_process(size: tuple[int, int], progress: Progress) -> Point:
    from securefl.flower.ray_cohorts import aggregate_cohorts_on_ray

    parties, values = size
    progress.case(f"{parties:,} parties x {values:,} values in one process")
    names, updates, plan = [f"party-{i}" for i in range(parties)], Updates(values), plan_of(values)
    cases: dict[str, Callable[[], object]] = {
        "ray": lambda: aggregate_cohorts_on_ray(updates, plan, names),
        "one": lambda: sfl.aggregate_cohorts({name: updates(name) for name in names}, plan),
    }
    took = medians(cases, repeats=1)
    case = f"{parties:,} parties x {values:,} values, by the clock"
    return row(case, took["ray"], took["one"], unit="s", peer_name="aggregate_cohorts, one process")


def _median(runs: Sequence[Point]) -> Point:
    return sorted(runs, key=lambda run: run["core_seconds"])[len(runs) // 2]


def _said(point: Point) -> str:
    return (
        f"{point['parties']:,} parties x {point['values']:,} values in {point['cohorts']} cohorts: sum exact, "
        f"{point['core_seconds']:.1f} s of processor time ({point['adding_seconds']:.1f} s where sums are added), "
        f"{point['seconds']:.1f} s by the clock, at most {point['task_bytes'] / 1e6:.0f} MB a task, "
        f"{point['bytes_up'] / point['parties'] / 1e3:.1f} kB up a party"
    )


if __name__ == "__main__":
    main()
