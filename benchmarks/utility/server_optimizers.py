"""Server optimizers on digits of skewed labels: test accuracy by round of averaging, momentum and the adaptive three.

    securefl bench server_optimizers        or        python benchmarks/utility/server_optimizers.py

1437 digits dealt out to 30 parties by Dir(0.1) of each class, so that most hold two or three digits; 10 parties a round, one local epoch
of batches of 20 at rate 0.1, a perceptron with 32 hidden units, 60 rounds in the clear. Each optimizer has the rates that were best
of a small grid on seeds that are not used for the figures; `--tune` runs that grid again. Figures are means over seeds, each with
its own split, deal, samples and batches, which are the same for all optimizers; one run is repeated over secure aggregation.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from securefl.federated.algorithms import FedAvg
from securefl.federated.datasets import digits
from securefl.federated.federation import Federation
from securefl.federated.models import Perceptron
from securefl.federated.optimizers import Averaging, FedAdagrad, FedAdam, FedAvgM, FedYogi, ServerOptimizer
from securefl.federated.partition import dirichlet
from securefl.federated.planning import plan_for
from securefl.federated.sampling import FixedSize

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, parser, publish, row
from progress import Progress, shown
from trainings import add_workers, spread, train_all

MODEL = Perceptron(64, 10, (32,))
PARTIES, SAMPLED, ALPHA = 30, 10, 0.1
ALGORITHM = FedAvg(epochs=1, batch_size=20, learning_rate=0.1)
ROUNDS, QUICK_ROUNDS = 60, 6
REACHED = 0.8
"""The accuracy whose first round is told."""

MAKERS: dict[str, Callable[[float], ServerOptimizer]] = {
    "Averaging": lambda rate: Averaging(learning_rate=rate),
    "FedAvgM": lambda rate: FedAvgM(lr=rate, momentum=0.9),
    "FedAdagrad": lambda rate: FedAdagrad(lr=rate, tau=1e-2),
    "FedAdam": lambda rate: FedAdam(lr=rate, tau=1e-2),
    "FedYogi": lambda rate: FedYogi(lr=rate, tau=1e-2),
}
RATES = {"Averaging": 3.0, "FedAvgM": 1.0, "FedAdagrad": 0.1, "FedAdam": 0.3, "FedYogi": 0.3}
GRID = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
FIRST_TUNING_SEED = 100


@dataclasses.dataclass(frozen=True)
class Task:
    """One training.

    Args:
        optimizer: its name.
        rate: of the server.
        seed: of split, deal, samples and batches.
        rounds: T.
    """

    optimizer: str
    rate: float
    seed: int
    rounds: int


def federation(task: Task, *, secure: bool = False) -> Federation:
    """The parties of one seed, in the clear or over secure aggregation."""
    dealt, test = digits(task.seed)
    parts = dirichlet(dealt.y, PARTIES, ALPHA, task.seed)
    clients = {f"party-{i:02}": dealt.subset(part) for i, part in enumerate(parts)}
    return Federation(
        MODEL,
        clients,
        plan=plan_for(MODEL, clients, parties=SAMPLED) if secure else None,
        algorithm=ALGORITHM,
        server=MAKERS[task.optimizer](task.rate),
        test=test,
        seed=task.seed,
        sampler=FixedSize(SAMPLED),
    )


def train(task: Task) -> list[float]:
    """Train in the clear; the test accuracy after each round."""
    return federation(task).fit(task.rounds).curve("accuracy")


def secure_run(rounds: int) -> dict[str, Any]:
    """FedAdam in the clear and over secure aggregation."""
    task = Task("FedAdam", RATES["FedAdam"], seed=0, rounds=rounds)
    masked = federation(task, secure=True).fit(rounds)
    return {"rounds": rounds, "clear": train(task), "secure": masked.curve("accuracy")}


def tune(seeds: int, rounds: int, workers: int, progress: Progress) -> dict[str, dict[float, float]]:
    """Accuracy in the last rounds by optimizer and rate, on seeds of its own."""
    tasks = [
        Task(name, rate, FIRST_TUNING_SEED + seed, rounds) for name in MAKERS for rate in GRID for seed in range(seeds)
    ]
    found: dict[str, dict[float, list[float]]] = {name: {rate: [] for rate in GRID} for name in MAKERS}
    for task, curve in zip(tasks, train_all(train, tasks, workers, progress), strict=True):
        found[task.optimizer][task.rate].append(_late(curve))
    return {name: {rate: float(np.mean(own)) for rate, own in rates.items()} for name, rates in found.items()}


def _late(curve: Sequence[float]) -> float:
    """The mean over the last ten rounds: with ten parties of two digits a round, single rounds jump."""
    return float(np.mean(curve[-10:]))


def lines_of(tasks: Sequence[Task], found: Sequence[list[float]]) -> list[dict[str, Any]]:
    """The seeds of each optimizer together."""
    lines = []
    for name in MAKERS:
        curves = [curve for task, curve in zip(tasks, found, strict=True) if task.optimizer == name]
        mean = np.mean(curves, axis=0)
        reached = np.flatnonzero(mean >= REACHED)
        lines.append(
            {
                "optimizer": name,
                "rate": RATES[name],
                "curves": curves,
                "last": [curve[-1] for curve in curves],
                "late": [_late(curve) for curve in curves],
                "reached": int(reached[0]) + 1 if reached.size else None,
            }
        )
    return lines


def rows_of(lines: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Each optimizer beside plain averaging."""
    peer = float(np.mean(next(line["late"] for line in lines if line["optimizer"] == "Averaging")))
    return [
        row(
            f"{line['optimizer']}, rate {line['rate']:g}",
            float(np.mean(line["late"])),
            peer,
            unit="accuracy",
            peer_name="Averaging",
            better="more",
        )
        for line in lines
        if line["optimizer"] != "Averaging"
    ]


def notes_of(lines: Sequence[Mapping[str, Any]], secure: Mapping[str, Any]) -> list[str]:
    """What the rows do not say."""
    first = lines[0]["curves"]
    notes = [
        f"accuracy, mean of the last ten of {len(first[0])} rounds; mean and standard error over {len(first)} seeds"
    ]
    for line in lines:
        first_round = "not reached" if line["reached"] is None else f"round {line['reached']}"
        notes.append(
            f"{line['optimizer']}, rate {line['rate']:g}: {spread(line['late'])}; after the last round {spread(line['last'])}; "
            f"mean curve at {REACHED:g}: {first_round}"
        )
    notes.append(
        f"FedAdam, seed 0, {secure['rounds']} rounds over secure aggregation: last accuracy {secure['secure'][-1]:.4f}, "
        f"in the clear {secure['clear'][-1]:.4f}"
    )
    return notes


def draw(lines: Sequence[Mapping[str, Any]], path: Path) -> None:
    """One panel, a line an optimizer."""
    from federated_plots import Curves, draw_curves

    curves = [Curves(line["optimizer"], line["curves"], number) for number, line in enumerate(lines)]
    draw_curves("Server optimizers, digits by Dir(0.1)", [[("30 parties, 10 a round", curves)]], "test accuracy", path)


def main() -> None:
    """Train, print, draw; or tune."""
    made = parser(__doc__ or "", repeats=5, quick=True, plot=True, repeated="seeds of which the mean is given")
    made.add_argument("--tune", action="store_true", help="run the grid of rates instead, on seeds of its own")
    add_workers(made)
    options = made.parse_args()
    seeds, rounds = (min(2, options.repeats), QUICK_ROUNDS) if options.quick else (options.repeats, ROUNDS)
    with shown() as progress:
        if options.tune:
            table = tune(seeds, rounds, options.workers, progress)
            publish(
                [],
                options.json,
                notes=_table(table),
                grid=[{"optimizer": name, **_best(t)} for name, t in table.items()],
            )
            return
        tasks = [Task(name, RATES[name], seed, rounds) for name in MAKERS for seed in range(seeds)]
        lines = lines_of(tasks, train_all(train, tasks, options.workers, progress))
        progress.case("over secure aggregation")
        secure = secure_run(min(rounds, 20))
    publish(rows_of(lines), options.json, notes=notes_of(lines, secure), lines=lines, secure=secure)
    if options.plot is not None:
        draw(lines, options.plot)


def _best(rates: Mapping[float, float]) -> dict[str, Any]:
    best = max(rates, key=lambda rate: rates[rate])
    return {"best": best, "accuracy": {f"{rate:g}": own for rate, own in rates.items()}}


def _table(table: Mapping[str, Mapping[float, float]]) -> list[str]:
    return [
        f"{name}: best rate {_best(rates)['best']:g}; "
        + ", ".join(f"{rate:g}: {own:.3f}" for rate, own in rates.items())
        for name, rates in table.items()
    ]


if __name__ == "__main__":
    main()
