"""Federated transfer learning on digits: only a head is learnt together, on a base that was trained elsewhere.

    securefl bench transfer        or        python benchmarks/utility/transfer.py

A perceptron of 24 864 base values and a head of 330 or fewer. "public": the base was trained on a fifth of the training digits, which
stands for data that are public, and 20 parties hold the rest; "other classes": it was trained on the digits 0 to 4, and the parties
learn to tell 5 to 9. The head starts anew in both, the base is frozen. Beside it, from the same base, the whole model is trained
federatedly for as many rounds. Over real secure aggregation, so that bytes are those of the protocol: all that a party sends in a
round. Accuracies are on held-out digits of the classes that are learnt; figures are means over seeds of split, deal and base.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from securefl.federated.algorithms import Algorithm, FedAvg, LocalTask, Transfer
from securefl.federated.datasets import Dataset, digits
from securefl.federated.federation import Federation
from securefl.federated.models import Params, Perceptron
from securefl.federated.partition import iid
from securefl.federated.planning import plan_for

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, parser, publish, row
from progress import Progress, shown
from trainings import add_workers, spread, train_all

HIDDEN, FEATURES = (256, 32), 64
PARTIES, ROUNDS, QUICK_ROUNDS = 20, 15, 3
LOCAL: Mapping[str, Any] = {"epochs": 5, "batch_size": 16, "learning_rate": 0.1}
BASE_EPOCHS = 60
PUBLIC_SHARE = 0.2
PUBLIC, CLASSES = "public", "other classes"
LEAST_SAVED = 10.0
"""Times fewer bytes, at least."""
MOST_LOST = 0.01
"""Accuracy, at most."""


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A perceptron whose training starts from given parameters."""

    inner: Perceptron
    start: Params

    @property
    def classes(self) -> int:
        """Of the head."""
        return self.inner.classes

    def initial(self, seed: int) -> Params:  # noqa: ARG002 - the start is given
        """Return the given parameters."""
        return {name: leaf.copy() for name, leaf in self.start.items()}

    def loss_and_gradient(self, params: Params, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> tuple[float, Params]:
        """As the perceptron."""
        return self.inner.loss_and_gradient(params, x, y)

    def predict(self, params: Params, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """As the perceptron."""
        return self.inner.predict(params, x)

    def evaluate(self, params: Params, dataset: Dataset) -> dict[str, float]:
        """As the perceptron."""
        return self.inner.evaluate(params, dataset)


@dataclasses.dataclass(frozen=True)
class Task:
    """One base, and both trainings from it."""

    setting: str
    seed: int
    rounds: int


def parts(task: Task) -> tuple[Dataset, Dataset, Dataset, int]:
    """What the base is trained on, what the parties hold, the test set, and the number of classes of the last two."""
    train, test = digits(task.seed)
    if task.setting == PUBLIC:
        cut = round(PUBLIC_SHARE * len(train))
        return train.subset(range(cut)), train.subset(range(cut, len(train))), test, 10

    def late(whole: Dataset) -> Dataset:
        chosen = whole.subset(np.flatnonzero(whole.y >= 5))
        return Dataset(chosen.x, chosen.y - 5)

    return train.subset(np.flatnonzero(train.y < 5)), late(train), late(test), 5


def pretrained(base: Dataset, classes: int, seed: int) -> tuple[Pretrained, Params]:
    """A network with the base of one that was trained on `base`, and a head that was not; and the trained one, of its own classes."""
    teacher = Perceptron(FEATURES, int(base.y.max()) + 1, HIDDEN)
    algorithm = FedAvg(epochs=BASE_EPOCHS, batch_size=16, learning_rate=0.1)
    first = teacher.initial(seed)
    task = LocalTask(model=teacher, params=first, dataset=base, rng=np.random.default_rng(seed))
    taught = algorithm.trained(task, first).params
    model = Perceptron(FEATURES, classes, HIDDEN)
    start = {name: taught[name] if not name.startswith("head") else leaf for name, leaf in model.initial(seed).items()}
    return Pretrained(model, start), taught


def train(task: Task) -> dict[str, float]:
    """Train the head and the whole model from one base; accuracies, and bytes a party and round."""
    base, private, test, classes = parts(task)
    model, taught = pretrained(base, classes, task.seed)
    clients = {f"party-{i:02}": private.subset(p) for i, p in enumerate(iid(len(private), PARTIES, task.seed))}
    algorithms: dict[str, Algorithm] = {"head": Transfer(**LOCAL, head=("head*",)), "whole": FedAvg(**LOCAL)}
    found = {}
    for name, algorithm in algorithms.items():
        plan = plan_for(model, clients, algorithm=algorithm)
        fed = Federation(model, clients, plan=plan, algorithm=algorithm, test=test, seed=task.seed)
        history = fed.fit(task.rounds)
        found[f"{name}_accuracy"] = history.accuracy
        found[f"{name}_bytes"] = float(np.mean([record.bytes_up for record in history])) / PARTIES
        found[f"{name}_values"] = float(sum(leaf.size for leaf in algorithm.sends(model.initial(0)).values()))
    if task.setting == PUBLIC:
        found["alone_accuracy"] = Perceptron(FEATURES, 10, HIDDEN).evaluate(taught, test)["accuracy"]
    return found


def cells_of(tasks: Sequence[Task], found: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """The seeds of each setting together."""
    cells = []
    for setting in dict.fromkeys(task.setting for task in tasks):
        own = [line for task, line in zip(tasks, found, strict=True) if task.setting == setting]
        cells.append({"setting": setting, **{name: [line[name] for line in own] for name in own[0]}})
    return cells


def rows_of(cells: Sequence[Mapping[str, Any]], *, targets: bool) -> list[Row]:
    """Bytes and accuracy of the head beside the whole model's."""
    rows = []
    for cell in cells:
        mean = {name: float(np.mean(values)) for name, values in cell.items() if name != "setting"}
        whole = mean["whole_accuracy"]
        rows += [
            row(
                f"{cell['setting']}, bytes a party and round",
                mean["head_bytes"],
                mean["whole_bytes"],
                unit="B",
                peer_name="whole model",
                target=LEAST_SAVED,
            ),
            row(
                f"{cell['setting']}, accuracy",
                mean["head_accuracy"],
                whole,
                unit="accuracy",
                peer_name="whole model",
                better="more",
                target=1 - MOST_LOST / whole if targets else None,
            ),
        ]
    return rows


def notes_of(cells: Sequence[Mapping[str, Any]], rounds: int) -> list[str]:
    """What the rows do not say."""
    seeds = len(cells[0]["head_accuracy"])
    notes = [f"accuracy after {rounds} rounds, mean and standard error over {seeds} seeds"]
    for cell in cells:
        lost = np.subtract(cell["whole_accuracy"], cell["head_accuracy"]).tolist()
        text = (
            f"{cell['setting']}: head of {cell['head_values'][0]:.0f} values {spread(cell['head_accuracy'])}, whole model of "
            f"{cell['whole_values'][0]:.0f} from the same base {spread(cell['whole_accuracy'])}; lost {spread(lost)}"
        )
        if "alone_accuracy" in cell:
            text += f"; the base with its own head, without the parties, {spread(cell['alone_accuracy'])}"
        notes.append(text)
    return notes


def measure(tasks: Sequence[Task], workers: int, progress: Progress) -> list[dict[str, Any]]:
    """All trainings."""
    return cells_of(tasks, train_all(train, tasks, workers, progress, "bases, two trainings from each"))


def main() -> None:
    """Train and print."""
    made = parser(__doc__ or "", repeats=3, quick=True, repeated="seeds of which the mean is given")
    add_workers(made)
    options = made.parse_args()
    seeds, rounds = (1, QUICK_ROUNDS) if options.quick else (options.repeats, ROUNDS)
    tasks = [Task(setting, seed, rounds) for setting in (PUBLIC, CLASSES) for seed in range(seeds)]
    with shown() as progress:
        cells = measure(tasks, options.workers, progress)
    publish(
        rows_of(cells, targets=not options.quick),
        options.json,
        notes=notes_of(cells, rounds),
        cells=cells,
        rounds=rounds,
    )


if __name__ == "__main__":
    main()
