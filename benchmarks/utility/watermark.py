"""The owner's watermark on digits: what it costs in accuracy, what a claim's p-value is, and what a thief can do about it.

    securefl bench watermark        or        python benchmarks/utility/watermark.py

Ten parties train a perceptron of 128 hidden units over real secure aggregation, once with a watermark of 60 triggers and once without,
on the same seeds. A thief has the marked model and a fifth of the training digits, which no party holds: it fine-tunes, prunes, does
both, or trains a fresh model on the marked one's answers. Figures of p-values are their zeros, -log10 p: of several seeds the worst.
How often models that know nothing would be claimed by mistake is counted with 500 further trigger sets for each unmarked model.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from securefl.crypto.digest import digest
from securefl.crypto.seeded import SeededRandom
from securefl.federated.algorithms import FedAvg
from securefl.federated.datasets import Dataset, digits
from securefl.federated.federation import Federation
from securefl.federated.models import Params, Perceptron
from securefl.federated.ownership import TriggerSet, Verification, Watermark, verify
from securefl.federated.partition import dirichlet
from securefl.federated.planning import plan_for
from securefl.threats.removal import fine_tuned, pruned

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, parser, publish, row
from progress import Progress, shown
from trainings import add_workers, spread, train_all

MODEL = Perceptron(64, 10, (128,))
PARTIES, ROUNDS, QUICK_ROUNDS = 10, 20, 5
LOCAL: Mapping[str, Any] = {"epochs": 5, "batch_size": 16, "learning_rate": 0.1}
TRIGGERS, LEAST_TRIGGERS, MOST_TRIGGERS = 60, 6, 1000
THIEFS_SHARE = 0.2
FRESH_SETS, QUICK_FRESH_SETS = 500, 50
CLAIM, SURVIVED, CHANCE = 1e-6, 1e-3, 0.05
MOST_LOST = 0.01
"""Accuracy, at most."""
TUNED, HALVED = "fine-tuned 5 epochs", "half the weights pruned"
DISTILLED = "fresh model on its answers"


def thieves(thief: Dataset, seed: int) -> dict[str, Callable[[Params], Params]]:
    """What a thief does to the model, by name; the first two are those that a watermark has to bear."""

    def tuned(params: Params, epochs: int, rate: float = 0.1) -> Params:
        return fine_tuned(MODEL, params, thief, epochs=epochs, learning_rate=rate, seed=seed)

    def distilled(params: Params) -> Params:
        answers = Dataset(thief.x, MODEL.predict(params, thief.x))
        return fine_tuned(MODEL, MODEL.initial(1000 + seed), answers, epochs=60, seed=seed)

    return {
        TUNED: lambda params: tuned(params, 5),
        HALVED: lambda params: pruned(params, 0.5),
        "fine-tuned 20 epochs": lambda params: tuned(params, 20),
        "fine-tuned 20, rate x5": lambda params: tuned(params, 20, 0.5),
        "80 % pruned": lambda params: pruned(params, 0.8),
        "90 % pruned": lambda params: pruned(params, 0.9),
        "80 % pruned, tuned 20": lambda params: tuned(pruned(params, 0.8), 20),
        DISTILLED: distilled,
    }


@dataclasses.dataclass(frozen=True)
class Task:
    """One seed: both trainings, and all thieves."""

    seed: int
    rounds: int
    fresh_sets: int
    triggers: int = TRIGGERS


def triggers_of(seed: int, number: int, size: int) -> TriggerSet:
    """A set that is the same each time this benchmark runs; real ones come from the operating system."""
    return TriggerSet.generate((64,), 10, size=size, random=SeededRandom(digest("benchmark-triggers", seed, number)))


def zeros(found: Verification) -> float:
    """-log10 p, not below 0."""
    return max(0.0, -found.log10_p_value)


def train(task: Task) -> dict[str, Any]:
    """Train both models, and let the thieves at the marked one."""
    whole, test = digits(task.seed)
    cut = round(THIEFS_SHARE * len(whole))
    thief, rest = whole.subset(range(cut)), whole.subset(range(cut, len(whole)))
    parts = dirichlet(rest.y, PARTIES, 1.0, task.seed)
    clients = {f"party-{i}": rest.subset(part) for i, part in enumerate(parts)}
    triggers = triggers_of(task.seed, 0, task.triggers)
    models, curve = {}, []
    for name, mark in (("unmarked", None), ("marked", Watermark(triggers))):
        algorithm = FedAvg(**LOCAL)
        plan = plan_for(MODEL, clients, algorithm=algorithm)
        fed = Federation(MODEL, clients, plan=plan, algorithm=algorithm, test=test, seed=task.seed, watermark=mark)
        history = fed.fit(task.rounds)
        models[name] = fed.params
        if mark is not None:
            curve = history.curve("watermark_accuracy")
    names = thieves(thief, task.seed)
    models |= {name: attack(models["marked"]) for name, attack in names.items()}
    fresh = [
        verify(MODEL, models["unmarked"], triggers_of(task.seed, number, task.triggers)).p_value
        for number in range(1, task.fresh_sets + 1)
    ]
    return {
        "zeros": {name: zeros(verify(MODEL, params, triggers)) for name, params in models.items()},
        "accuracy": {name: MODEL.evaluate(params, test)["accuracy"] for name, params in models.items()},
        "curve": curve,
        "fresh_sets": task.fresh_sets,
        "false_alarms": float(np.mean([p <= CHANCE for p in fresh])),
        "least_p": min(fresh),
    }


def rows_of(found: Sequence[Mapping[str, Any]], *, targets: bool) -> list[Row]:
    """What the watermark is asked for, worst of the seeds; and what thieves leave of it."""

    def of(name: str, what: str = "zeros") -> list[float]:
        return [each[what][name] for each in found]

    plain, marked = float(np.mean(of("unmarked", "accuracy"))), float(np.mean(of("marked", "accuracy")))
    rows = [
        row(
            "accuracy",
            marked,
            plain,
            unit="accuracy",
            peer_name="unmarked",
            better="more",
            target=1 - MOST_LOST / plain if targets else None,
        )
    ]
    for name in (each for each in found[0]["zeros"] if each != "unmarked"):
        level = CLAIM if name == "marked" else SURVIVED
        asked = targets and name in {"marked", TUNED, HALVED}
        rows.append(
            row(
                f"zeros of p, {name}",
                max(1e-6, min(of(name))),
                -math.log10(level),
                unit="zeros",
                peer_name=f"p = {level:g}",
                better="more",
                target=1.0 if asked else None,
            )
        )
    quiet = 1 - float(np.mean([each["false_alarms"] for each in found]))
    noise = 3 * math.sqrt(CHANCE * (1 - CHANCE) / sum(each["fresh_sets"] for each in found))
    rows.append(
        row(
            f"unmarked models, share of sets with p > {CHANCE:g}",
            quiet,
            1 - CHANCE,
            unit="share",
            peer_name="chance",
            better="more",
            target=1 - noise / (1 - CHANCE),
        )
    )
    return rows


def notes_of(found: Sequence[Mapping[str, Any]], task: Task) -> list[str]:
    """What the rows do not say."""
    sets = len(found) * task.fresh_sets
    alarms = float(np.mean([each["false_alarms"] for each in found]))
    marked, plain = ([each["accuracy"][name] for each in found] for name in ("marked", "unmarked"))
    own = ", ".join(f"{10 ** -each['zeros']['unmarked']:.2g}" for each in found)
    notes = [
        (
            f"{len(found)} seeds, {task.rounds} rounds, {task.triggers} triggers; accuracy marked {spread(marked)}, unmarked "
            f"{spread(plain)}, lost {spread(np.subtract(plain, marked).tolist())}, at most {max(np.subtract(plain, marked)):.3f}"
        ),
        f"unmarked models against the triggers of the marked ones: p = {own}; p <= {CHANCE:g} comes up by chance once in twenty",
        (
            f"p <= {CHANCE:g} for {100 * alarms:.1f} % of {sets} other sets (at most {100 * CHANCE:g} % are due), least p "
            f"{min(each['least_p'] for each in found):.1g}"
        ),
    ]
    for name in found[0]["zeros"]:
        values = [each["zeros"][name] for each in found]
        accuracy = spread([each["accuracy"][name] for each in found])
        notes.append(f"{name}: zeros of p {min(values):.1f} to {max(values):.1f}, accuracy {accuracy}")
    return notes


def draw(found: Sequence[Mapping[str, Any]], triggers: int, path: Path) -> None:
    """Zeros of the p-value and accuracy, by what was done to the model; a dot a seed."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from plots import BLUE, ORANGE, STYLE, VERMILION

    names = ["unmarked", "marked", *(name for name in found[0]["zeros"] if name not in {"unmarked", "marked"})]
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(10.5, 4.6), layout="constrained")
        drawn.suptitle(f"A watermark of {triggers} triggers, digits, {len(found)} seeds", fontsize=13)
        left, right = drawn.subplots(1, 2, sharey=True)
        for place, name in enumerate(names):
            for axes, what, colour in ((left, "zeros", BLUE), (right, "accuracy", ORANGE)):
                values = [each[what][name] for each in found]
                axes.plot(values, [place] * len(values), "o", color=colour, alpha=0.75, markersize=6)
        for level, dashes in ((CLAIM, "-"), (SURVIVED, "--"), (CHANCE, ":")):
            left.axvline(-math.log10(level), color=VERMILION, linewidth=1, linestyle=dashes, label=f"p = {level:g}")
        left.set_xscale("symlog", linthresh=1)
        left.set_xlim(-0.05, 130)
        left.set_xticks([0, 1, 3, 6, 10, 30, 100], ["0", "1", "3", "6", "10", "30", "100"])
        left.xaxis.minorticks_off()
        left.set_xlabel("zeros of the p-value")
        left.set_yticks(range(len(names)), names)
        left.invert_yaxis()
        right.set_xlabel("test accuracy")
        drawn.legend(loc="outside lower center", ncols=3)
        drawn.savefig(path, dpi=150)


def main() -> None:
    """Train, attack and print."""
    made = parser(__doc__ or "", repeats=3, quick=True, plot=True, repeated="seeds")
    add_workers(made)
    made.add_argument("--triggers", type=int, default=TRIGGERS, help="of the watermark (%(default)s)")
    options = made.parse_args()
    if not LEAST_TRIGGERS <= options.triggers <= MOST_TRIGGERS:
        made.error(f"--triggers: got {options.triggers}, needs {LEAST_TRIGGERS} to {MOST_TRIGGERS}")
    quick = options.quick
    tasks = [
        Task(seed, QUICK_ROUNDS if quick else ROUNDS, QUICK_FRESH_SETS if quick else FRESH_SETS, options.triggers)
        for seed in range(1 if quick else options.repeats)
    ]
    with shown() as progress:
        found = measure(tasks, options.workers, progress)
    if options.plot is not None:
        draw(found, options.triggers, options.plot)
    publish(rows_of(found, targets=not quick), options.json, notes=notes_of(found, tasks[0]), seeds=found)


def measure(tasks: Sequence[Task], workers: int, progress: Progress) -> list[dict[str, Any]]:
    """All seeds."""
    return train_all(train, tasks, workers, progress, "seeds, two trainings and eight thieves each")


if __name__ == "__main__":
    main()
