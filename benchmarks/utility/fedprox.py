"""FedProx beside FedAvg where parties differ and many are slow: training loss by round, 0, 50 and 90 % stragglers.

    securefl bench fedprox        or        python benchmarks/utility/fedprox.py

The study of Li et al. 2020 (arXiv:1812.06127, section 5.2): synthetic(alpha, beta), 30 parties, 10 of them a round, 20 local epochs of
batches of 10 at rate 0.01, multinomial logistic regression. A straggler completes 1 to 19 epochs. FedAvg throws its work away; FedProx
keeps it, with mu = 0, 0.1, or 1, the paper's best here. Stragglers, samples and batches are the same for all four. Parties are
sampled uniformly and weighted by their examples, as the authors' program does; their text samples by size and averages plainly.

So that it ends within some minutes no party has more than 60 examples and there are 20 rounds; `--full` leaves the sizes to the paper's
law, whose largest parties have thousands, and trains 200 rounds. Losses are over all parties' training data, which only a simulation can
see. Trained in the clear; one run is repeated over real secure aggregation.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from securefl.errors import SecureFLError
from securefl.federated.algorithms import Algorithm, FedAvg, FedProx
from securefl.federated.datasets import Dataset
from securefl.federated.federation import Federation
from securefl.federated.models import SoftmaxRegression
from securefl.federated.planning import plan_for
from securefl.federated.sampling import FixedSize
from securefl.federated.stragglers import StragglerSchedule
from securefl.federated.synthetic import synthetic

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, parser, publish, row
from progress import Progress, shown
from trainings import add_workers, spread, train_all

MODEL = SoftmaxRegression(60, 10)
PARTIES, SAMPLED, EPOCHS, BATCH, RATE = 30, 10, 20, 10, 0.01
SPREADS = ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0))
SHARES = (0.0, 0.5, 0.9)
MOST_EXAMPLES = 60
"""Of a party's training set, without `--full`."""

DROPS, MU_0, MU_SMALL, MU_1 = "FedAvg", "FedProx, mu 0", "FedProx, mu 0.1", "FedProx, mu 1"
MUS = {MU_0: 0.0, MU_SMALL: 0.1, MU_1: 1.0}
"""Of the paper's grid: none, one between, and its best at 200 rounds on these data."""
BOUND = 16.0
"""Of a value of an update in the secure run: 20 epochs move some weights far."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One training.

    Args:
        spread: alpha and beta.
        share: of the parties that are slow.
        method: one of the four.
        seed: of data, samples, batches and stragglers.
        rounds: T.
        full: whether parties are as large as the paper's law makes them.
    """

    spread: tuple[float, float]
    share: float
    method: str
    seed: int
    rounds: int
    full: bool = False

    @property
    def case(self) -> tuple[tuple[float, float], float, str]:
        """All but the seed."""
        return self.spread, self.share, self.method


def data(task: Task) -> tuple[dict[str, Dataset], Dataset]:
    """The parties, and all their examples together."""
    clients, _ = synthetic(*task.spread, seed=task.seed, parties=PARTIES)
    if not task.full:
        clients = {party: own.subset(range(min(len(own), MOST_EXAMPLES))) for party, own in clients.items()}
    own = clients.values()
    return clients, Dataset(np.concatenate([part.x for part in own]), np.concatenate([part.y for part in own]))


def algorithm_of(method: str) -> Algorithm:
    """What a party does."""
    if method == DROPS:
        return FedAvg(epochs=EPOCHS, batch_size=BATCH, learning_rate=RATE)
    return FedProx(epochs=EPOCHS, batch_size=BATCH, learning_rate=RATE, mu=MUS[method])


def federation(task: Task, *, secure: bool = False) -> Federation:
    """The parties; the "test set" is their training data, so that each round's record has the training loss."""
    clients, everything = data(task)
    algorithm = algorithm_of(task.method)
    missing = task.method == DROPS
    return Federation(
        MODEL,
        clients,
        plan=plan_for(MODEL, clients, algorithm=algorithm, parties=SAMPLED, bound=BOUND) if secure else None,
        algorithm=algorithm,
        test=everything,
        seed=task.seed,
        sampler=FixedSize(SAMPLED),
        stragglers=StragglerSchedule(**{"missing" if missing else "partial": task.share}, seed=task.seed),
    )


def train(task: Task) -> list[float]:
    """Train in the clear; the training loss after each round."""
    return federation(task).fit(task.rounds).curve("loss")


def tasks_for(
    *,
    quick: bool,
    full: bool,
    seeds: int,
    rounds: int,
    spreads: Sequence[tuple[float, float]] = SPREADS,
    shares: Sequence[float] = SHARES,
) -> list[Task]:
    """The study. Without stragglers FedProx with mu = 0 is FedAvg, and is left out."""
    return [
        Task(spread, share, method, seed, rounds, full)
        for spread in (spreads[-1:] if quick else spreads)
        for share in (shares[-1:] if quick else shares)
        for method in (DROPS, MU_0, MU_SMALL, MU_1)
        if share or method != MU_0
        for seed in range(seeds)
    ]


def secure_run(rounds: int) -> dict[str, Any]:
    """One training, in the clear and over secure aggregation; and what becomes of FedAvg, which drops nine of ten."""
    task = Task(SPREADS[-1], SHARES[-1], MU_1, seed=0, rounds=rounds)
    clear = train(task)
    masked = federation(task, secure=True)
    found: dict[str, Any] = {"rounds": rounds, "clear": clear, "secure": masked.fit(rounds).curve("loss")}
    found["largest_difference"] = float(np.abs(np.subtract(clear, found["secure"])).max())
    try:
        federation(dataclasses.replace(task, method=DROPS), secure=True).fit(1)
        found["dropping"] = "made a sum"
    except SecureFLError as error:
        found["dropping"] = str(error)
    return found


def cells_of(tasks: Sequence[Task], found: Sequence[list[float]]) -> list[dict[str, Any]]:
    """The seeds of each case together."""
    curves: dict[Any, list[list[float]]] = {}
    for task, curve in zip(tasks, found, strict=True):
        curves.setdefault(task.case, []).append(curve)
    return [
        {"alpha": spread[0], "beta": spread[1], "share": share, "method": method, "curves": own}
        for (spread, share, method), own in curves.items()
    ]


def rows_of(cells: Sequence[Mapping[str, Any]]) -> list[Row]:
    """FedProx's last loss beside FedAvg's, means over seeds."""
    rows = []
    for cell in cells:
        if cell["method"] == DROPS:
            continue
        key = ("alpha", "beta", "share")
        beside = next(c for c in cells if c["method"] == DROPS and all(c[name] == cell[name] for name in key))
        # Without stragglers the paper expects nothing of a mu above 0.
        rows.append(
            row(
                f"{_where(cell)}, {cell['method']}",
                _last(cell),
                _last(beside),
                unit="loss",
                peer_name=DROPS,
                target=1.0 if cell["share"] else None,
            )
        )
    return rows


def _last(cell: Mapping[str, Any]) -> float:
    return float(np.mean([curve[-1] for curve in cell["curves"]]))


def _where(cell: Mapping[str, Any]) -> str:
    return f"synthetic({cell['alpha']:g}, {cell['beta']:g}), {100 * cell['share']:g} % stragglers"


def notes_of(cells: Sequence[Mapping[str, Any]], secure: Mapping[str, Any]) -> list[str]:
    """What the rows do not say."""
    first = cells[0]["curves"]
    notes = [f"training loss after {len(first[0])} rounds, mean and standard error over {len(first)} seeds"]
    notes += [f"{_where(cell)}, {cell['method']}: {spread([curve[-1] for curve in cell['curves']])}" for cell in cells]
    notes.append(
        f"synthetic(1, 1), 90 % stragglers, {MU_1}, seed 0, {secure['rounds']} rounds of the reduced form "
        f"over secure aggregation: last loss {secure['secure'][-1]:.4f}, in the clear {secure['clear'][-1]:.4f}; "
        f"the curves differ by at most {secure['largest_difference']:.1g}"
    )
    notes.append(f"FedAvg there, which drops 9 of 10, over secure aggregation: {secure['dropping']}")
    return notes


def draw(cells: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A row of panels a data set, a column a share of stragglers."""
    from federated_plots import Curves, draw_curves

    spreads = sorted({(cell["alpha"], cell["beta"]) for cell in cells})
    shares = sorted({cell["share"] for cell in cells})
    looks = {DROPS: 1, MU_0: 2, MU_SMALL: 3, MU_1: 0}
    panels = []
    for alpha, beta in spreads:
        line = []
        for share in shares:
            here = [c for c in cells if (c["alpha"], c["beta"], c["share"]) == (alpha, beta, share)]
            curves = [Curves(c["method"], c["curves"], looks[c["method"]]) for c in here]
            line.append((f"synthetic({alpha:g}, {beta:g}), {100 * share:g} % stragglers", curves))
        panels.append(line)
    draw_curves(
        "Training loss by round: FedAvg drops stragglers, FedProx keeps their work", panels, "loss", path, log=True
    )


def measure(tasks: Sequence[Task], workers: int, secure_rounds: int, progress: Progress) -> tuple[list[Any], Any]:
    """All trainings, and the one over secure aggregation."""
    cells = cells_of(tasks, train_all(train, tasks, workers, progress))
    progress.case("over secure aggregation")
    return cells, secure_run(secure_rounds)


def main() -> None:
    """Train, print, draw."""
    made = parser(__doc__ or "", repeats=5, quick=True, plot=True, repeated="seeds of which the mean is given")
    made.add_argument("--full", action="store_true", help="the paper's sizes and 200 rounds: hours")
    made.add_argument(
        "--spread", type=float, action="append", choices=[alpha for alpha, _ in SPREADS], help="only this data set"
    )
    made.add_argument("--share", type=float, action="append", choices=SHARES, help="only this share of stragglers")
    made.add_argument("--rounds", type=int, help="rounds of training (20; 200 with --full)")
    add_workers(made)
    options = made.parse_args()
    seeds = min(2, options.repeats) if options.quick else options.repeats
    rounds = options.rounds or (6 if options.quick else 200 if options.full else 20)
    tasks = tasks_for(
        quick=options.quick,
        full=options.full,
        seeds=seeds,
        rounds=rounds,
        spreads=[spread for spread in SPREADS if spread[0] in (options.spread or [alpha for alpha, _ in SPREADS])],
        shares=[share for share in SHARES if share in (options.share or SHARES)],
    )
    with shown() as progress:
        cells, secure = measure(tasks, options.workers, min(rounds, 10), progress)
    publish(rows_of(cells), options.json, notes=notes_of(cells, secure), cells=cells, secure=secure)
    if options.plot is not None:
        draw(cells, options.plot)


if __name__ == "__main__":
    main()
