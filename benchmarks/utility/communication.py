"""Smaller updates on digits: bits a value and random subspaces, accuracy against the bytes that a party sends.

    securefl bench communication        or        python benchmarks/utility/communication.py

1437 digits dealt out evenly to 20 parties, 360 held out; a perceptron of 4 060 values, 12 rounds of 5 epochs at rate 0.1, averaged over
real secure aggregation. Bytes are all that a party sends in a round: its masked vector, and what the protocol adds. `FixedPoint` has 4
to 16 bits a value, of magnitude up to 1; a value in the ring has more, for 20 weighted values have to fit. `RandomSubspace` sends 2048
to 256 of 4 096 rotated coordinates at 12 bits; the server's rate is then four times the share that is sent and at most 1, since what
is left out comes back as noise (once, twice and four times were tried, on a seed that is not used here). Figures are means over seeds
of split, deal and batches.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from securefl.federated.algorithms import Algorithm, FedAvg, RandomSubspace
from securefl.federated.datasets import digits
from securefl.federated.federation import Federation
from securefl.federated.models import Perceptron
from securefl.federated.optimizers import Averaging
from securefl.federated.partition import iid
from securefl.federated.planning import plan_for

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, parser, publish, row
from progress import shown
from trainings import add_workers, spread, train_all

MODEL = Perceptron(64, 10, (54,))
ROTATED = 4096
"""Coordinates of the rotated update: the next power of two."""

PARTIES, ROUNDS, QUICK_ROUNDS = 20, 12, 3
INNER = FedAvg(epochs=5, batch_size=16, learning_rate=0.1)
BOUND = 1.0
BITS = (4, 6, 8, 10, 12, 14, 16)
SIZES = (2048, 1024, 512, 256)
SUBSPACE_BITS = 12
RATE_OVER_SHARE = 4


@dataclasses.dataclass(frozen=True)
class Task:
    """One training.

    Args:
        bits: of an encoded value; None in the clear, float32.
        size: coordinates that travel; None for all values.
        seed: of split, deal and batches.
        rounds: T.
    """

    bits: int | None
    size: int | None
    seed: int
    rounds: int

    @property
    def case(self) -> str:
        """What it is called."""
        if self.bits is None:
            return "in the clear, float32"
        return f"{self.bits} bits" + ("" if self.size is None else f", {self.size} of {ROTATED} coordinates")


def train(task: Task) -> dict[str, float]:
    """Train; the last accuracy and test loss, and bytes a party and round."""
    dealt, test = digits(task.seed)
    clients = {f"party-{i:02}": dealt.subset(p) for i, p in enumerate(iid(len(dealt), PARTIES, task.seed))}
    algorithm: Algorithm = INNER
    rate = 1.0
    if task.size is not None:
        algorithm, rate = (
            RandomSubspace(INNER, size=task.size, seed=task.seed),
            min(1.0, RATE_OVER_SHARE * task.size / ROTATED),
        )
    plan = None
    if task.bits is not None:
        # A coordinate of a subspace is scaled up only after the sum has been opened: one bound fits all.
        plan = plan_for(MODEL, clients, algorithm=algorithm, bound=BOUND, value_bits=task.bits)
    fed = Federation(MODEL, clients, plan=plan, algorithm=algorithm, server=Averaging(rate), test=test, seed=task.seed)
    history = fed.fit(task.rounds)
    found = {
        "accuracy": history.accuracy,
        "loss": history.curve("loss")[-1],
        "bytes": float(np.mean([record.bytes_up for record in history])) / PARTIES,
    }
    return found if plan is None else {**found, "ring_bits": float(plan.ring.bits)}


def tasks_for(*, quick: bool, seeds: int, rounds: int) -> list[Task]:
    """In the clear, by bits, by size."""
    cases: list[tuple[int | None, int | None]] = [(None, None)]
    cases += [(bits, None) for bits in ((8, 16) if quick else BITS)]
    cases += [(SUBSPACE_BITS, size) for size in (SIZES[1:2] if quick else SIZES)]
    return [Task(bits, size, seed, rounds) for bits, size in cases for seed in range(seeds)]


def cells_of(tasks: Sequence[Task], found: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """The seeds of each case together."""
    cells: dict[str, dict[str, Any]] = {}
    for task, line in zip(tasks, found, strict=True):
        cell = cells.setdefault(task.case, {"case": task.case, "bits": task.bits, "size": task.size})
        for name, value in line.items():
            cell.setdefault(name, []).append(value)
    return list(cells.values())


def rows_of(cells: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Accuracy beside the clear's, and bytes beside those of 16 bits."""
    clear = float(np.mean(next(cell["accuracy"] for cell in cells if cell["bits"] is None)))
    widest = next(cell for cell in cells if cell["bits"] == max(BITS) and cell["size"] is None)
    rows = []
    for cell in cells:
        if cell["bits"] is None:
            continue
        accuracy, sent = float(np.mean(cell["accuracy"])), float(np.mean(cell["bytes"]))
        rows.append(
            row(f"{cell['case']}, accuracy", accuracy, clear, unit="accuracy", peer_name="in the clear", better="more")
        )
        if cell is not widest:
            rows.append(
                row(f"{cell['case']}, bytes", sent, float(np.mean(widest["bytes"])), unit="B", peer_name="16 bits")
            )
    return rows


def notes_of(cells: Sequence[Mapping[str, Any]], rounds: int) -> list[str]:
    """What the rows do not say."""
    notes = [f"after {rounds} rounds; mean and standard error over {len(cells[0]['accuracy'])} seeds"]
    for cell in cells:
        ring = f", {cell['ring_bits'][0]:.0f} bits a value in the ring" if "ring_bits" in cell else ""
        notes.append(
            f"{cell['case']}: accuracy {spread(cell['accuracy'])}, test loss {np.mean(cell['loss']):.5f}, "
            f"{np.mean(cell['bytes']) / 1000:.2f} kB a party and round{ring}"
        )
    return notes


def draw(cells: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Accuracy against bytes."""
    from federated_plots import Points, draw_costs

    def points(label: str, key: str, own: Sequence[Mapping[str, Any]], unit: str) -> Points:
        names = [f"{cell[key]}{unit}" for cell in own]
        return Points(label, names, [float(np.mean(c["bytes"])) for c in own], [c["accuracy"] for c in own])

    all_values = [cell for cell in cells if cell["bits"] is not None and cell["size"] is None]
    subspaces = [cell for cell in cells if cell["size"] is not None]
    clear = float(np.mean(next(cell["accuracy"] for cell in cells if cell["bits"] is None)))
    series = [
        points("all 4 060 values, bits a value", "bits", all_values, " bits"),
        points(f"random subspace at {SUBSPACE_BITS} bits, coordinates", "size", subspaces, ""),
    ]
    draw_costs("Smaller updates: digits, 20 parties, secure aggregation", series, clear, "in the clear, float32", path)


def main() -> None:
    """Train, print, draw."""
    made = parser(__doc__ or "", repeats=3, quick=True, plot=True, repeated="seeds of which the mean is given")
    add_workers(made)
    options = made.parse_args()
    seeds, rounds = (1, QUICK_ROUNDS) if options.quick else (options.repeats, ROUNDS)
    tasks = tasks_for(quick=options.quick, seeds=seeds, rounds=rounds)
    with shown() as progress:
        cells = cells_of(tasks, train_all(train, tasks, options.workers, progress))
    publish(rows_of(cells), options.json, notes=notes_of(cells, rounds), cells=cells)
    if options.plot is not None:
        draw(cells, options.plot)


if __name__ == "__main__":
    main()
