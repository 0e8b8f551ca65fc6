"""Federated adversarial training on digits: accuracy under PGD, beside a training that was not attacked.

    securefl bench adversarial        or        python benchmarks/utility/adversarial.py

Ten parties, a perceptron of 64 hidden units, FedAvg over real secure aggregation. One training moves each batch by PGD of 5 steps
within 0.15 of each pixel, the other trains on the digits as they are; all else is the same, seeds included. Both are then attacked on
held-out digits by PGD of 40 steps from 3 random starts, an example counting only if it withstands all of them. **That is an upper
bound on robust accuracy: a stronger attack may find less.** The curve over epsilon falls to nothing where an attack that is free to go
anywhere must win; a curve that did not would say that the attack is broken.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from securefl.federated import Algorithm, FedAvg, Federation, Perceptron, digits, iid, plan_for
from securefl.federated.adversarial import AdversarialTraining, LInfinity, RobustAccuracy

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, parser, publish, row
from progress import Progress, shown
from trainings import add_workers, spread, train_all

EPSILON, TRAIN_STEPS, TEST_STEPS, RESTARTS = 0.15, 5, 40, 3
CURVE = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
PARTIES, ROUNDS, QUICK_ROUNDS = 10, 20, 4
HIDDEN = (64,)
LOCAL: Mapping[str, Any] = {"epochs": 5, "batch_size": 16, "learning_rate": 0.1}
STANDARD, ADVERSARIAL = "standard", "adversarial"
LEAST_GAINED = 0.25
"""Robust accuracy, in [0, 1]."""
MOST_LOST = 0.08
"""Clean accuracy."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One training."""

    kind: str
    seed: int
    rounds: int


def train(task: Task) -> dict[str, Any]:
    """Train once; accuracy by round, clean and under attack, and in the end for each epsilon."""
    train_set, test = digits(task.seed)
    clients = {f"party-{i}": train_set.subset(p) for i, p in enumerate(iid(len(train_set), PARTIES, task.seed))}
    model = Perceptron(64, 10, HIDDEN)
    algorithm: Algorithm = FedAvg(**LOCAL)
    if task.kind == ADVERSARIAL:
        algorithm = AdversarialTraining(algorithm, LInfinity(EPSILON, steps=TRAIN_STEPS))
    fed = Federation(
        model,
        clients,
        plan=plan_for(model, clients, algorithm=algorithm),
        algorithm=algorithm,
        test=test,
        evaluators=[RobustAccuracy(LInfinity(EPSILON, steps=TRAIN_STEPS), restarts=1)],
        seed=task.seed,
    )
    history = fed.fit(task.rounds)

    def under(epsilon: float) -> float:
        if not epsilon:
            return history.accuracy
        attack = RobustAccuracy(LInfinity(epsilon, steps=TEST_STEPS), restarts=RESTARTS, seed=task.seed)
        return attack(model, fed.params, test)["robust_accuracy"]

    return {
        "curve": [under(epsilon) for epsilon in CURVE],
        "clean_by_round": history.curve("accuracy"),
        "robust_by_round": history.curve("robust_accuracy"),
    }


def cells_of(tasks: Sequence[Task], found: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The seeds of each training together, by kind: lists of one entry a seed."""
    return {
        kind: {
            name: [one[name] for task, one in zip(tasks, found, strict=True) if task.kind == kind] for name in found[0]
        }
        for kind in (STANDARD, ADVERSARIAL)
    }


def at(cell: Mapping[str, Any], epsilon: float) -> list[float]:
    """Accuracy at one epsilon, by seed."""
    return [curve[CURVE.index(epsilon)] for curve in cell["curve"]]


def rows_of(cells: Mapping[str, Mapping[str, Any]], *, targets: bool) -> list[Row]:
    """Accuracy under attack and without, of both trainings."""
    rows = []
    for case, epsilon, change in (
        (f"accuracy under attack within {EPSILON:g}", EPSILON, LEAST_GAINED),
        ("accuracy on the digits as they are", 0.0, -MOST_LOST),
    ):
        ours, peer = (float(np.mean(at(cells[kind], epsilon))) for kind in (ADVERSARIAL, STANDARD))
        # A standard training may have nothing left; a ratio needs something to stand on.
        peer = max(peer, 1e-3)
        target = (peer + change) / peer if targets else None
        rows.append(
            row(
                case,
                max(ours, 1e-3),
                peer,
                unit="accuracy",
                peer_name="standard training",
                better="more",
                target=target,
            )
        )
    return rows


def notes_of(cells: Mapping[str, Mapping[str, Any]], rounds: int) -> list[str]:
    """What the rows do not say."""
    ours, peer = cells[ADVERSARIAL], cells[STANDARD]
    gained = np.subtract(at(ours, EPSILON), at(peer, EPSILON)).tolist()
    lost = np.subtract(at(peer, 0.0), at(ours, 0.0)).tolist()
    first = (
        f"after {rounds} rounds, mean and standard error over {len(gained)} seeds: under attack {spread(gained)} gained (least "
        f"{min(gained):.3f}), on clean digits {spread(lost)} lost (most {max(lost):.3f})"
    )
    return [
        first,
        *(
            f"within {epsilon:g}: adversarial {spread(at(ours, epsilon))}, standard {spread(at(peer, epsilon))}"
            for epsilon in CURVE
        ),
    ]


def draw(cells: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Accuracy over epsilon, and by round."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
    from plots import STYLE

    colours = {ADVERSARIAL: "#0072b2", STANDARD: "#d55e00"}
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(10.5, 4.2), layout="constrained")
        over, by = drawn.subplots(1, 2)
        for kind, cell in cells.items():
            curves = 100 * np.array(cell["curve"])
            over.plot(CURVE, curves.mean(axis=0), "o-", color=colours[kind], label=f"{kind} training")
            over.fill_between(
                CURVE, curves.min(axis=0), curves.max(axis=0), color=colours[kind], alpha=0.15, linewidth=0
            )
            for name, style, what in (("clean_by_round", "-", "clean"), ("robust_by_round", "--", "under attack")):
                lines = 100 * np.array(cell[name])
                by.plot(
                    range(1, lines.shape[1] + 1),
                    lines.mean(axis=0),
                    style,
                    color=colours[kind],
                    label=f"{kind}, {what}",
                )
        over.axvline(EPSILON, color="#888888", linewidth=1, linestyle=":")
        over.annotate(
            "trained for", (EPSILON, 100), xytext=(4, 0), textcoords="offset points", va="top", color="#666666"
        )
        over.set(xlabel="epsilon: how far each pixel may be moved", ylabel="accuracy (%)", ylim=(-2, 102))
        over.set_title(f"PGD of {TEST_STEPS} steps, {RESTARTS} starts; band: all seeds", fontsize=10)
        over.legend()
        by.set(xlabel="round", ylabel="accuracy (%)", ylim=(-2, 102))
        by.set_title(f"PGD of {TRAIN_STEPS} steps within {EPSILON:g}, one start", fontsize=10)
        by.xaxis.set_major_locator(MaxNLocator(integer=True))
        by.legend(loc="center right", bbox_to_anchor=(1, 0.36))
        drawn.suptitle("Federated adversarial training on digits, ten parties, secure aggregation", fontsize=12)
        drawn.savefig(path, dpi=150)


def measure(tasks: Sequence[Task], workers: int, progress: Progress) -> dict[str, dict[str, Any]]:
    """All trainings."""
    return cells_of(tasks, train_all(train, tasks, workers, progress))


def main() -> None:
    """Train, attack, print, draw."""
    made = parser(__doc__ or "", repeats=3, quick=True, plot=True, repeated="seeds of which the mean is given")
    add_workers(made)
    options = made.parse_args()
    seeds, rounds = (1, QUICK_ROUNDS) if options.quick else (options.repeats, ROUNDS)
    tasks = [Task(kind, seed, rounds) for seed in range(seeds) for kind in (ADVERSARIAL, STANDARD)]
    with shown() as progress:
        cells = measure(tasks, options.workers, progress)
    publish(
        rows_of(cells, targets=not options.quick),
        options.json,
        notes=notes_of(cells, rounds),
        cells=cells,
        epsilon=list(CURVE),
        rounds=rounds,
    )
    if options.plot:
        draw(cells, options.plot)


if __name__ == "__main__":
    main()
