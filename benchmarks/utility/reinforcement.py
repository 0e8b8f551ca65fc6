"""Federated reinforcement learning on CartPole: parties of unlike gravity and pole, tested where nobody has trained.

    securefl bench reinforcement        or        python benchmarks/utility/reinforcement.py

Eight parties, each with a gravity and a pole of its own; short poles say nothing about long ones. REINFORCE with one batch of 6 episodes
a party and round at a rate that falls from round to round, FedAdam at the server. The mean return, of at most 500, is that of the
likeliest actions on gravities and poles that no party has, 10 episodes of each. Beside it every party alone: as many rounds, the same
settings, and so the same budget of episodes for each. And the same training over secure aggregation, on the same seeds.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from securefl.federated.federation import Federation
from securefl.federated.history import RoundRecord
from securefl.federated.optimizers import FedAdam
from securefl.federated.planning import plan_for
from securefl.federated.reinforcement import CartPole, PerceptronPolicy, Reinforce

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, parser, publish, row
from progress import Progress, shown
from trainings import add_workers, spread, train_all

GRAVITIES, POLES = (3.0, 6.0, 10.0, 15.0), (0.15, 3.0)
HELD_GRAVITIES, HELD_POLES = (4.5, 8.0, 12.5), (0.2, 0.7, 2.5)
EPISODES, TEST_EPISODES = 6, 10
ROUNDS, QUICK_ROUNDS = 80, 2
RATE, DECAY, SERVER_RATE = 1.0, 0.98, 0.05
VALUE_BITS = 32
"""Of the encoding: one that rounds less than float32, so that rounding hardly ever changes an action."""
EVERY = 5
"""Rounds between two looks at each party's own return."""
LATE = 15
"""Rounds at the end, of which the least return is told."""
TOGETHER, SECURE = "together", "together, secure"
LEAST = 400.0
"""The mean return on held-out environments, at least."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One training: of all parties, in the clear or not, or of one alone; `draw` tells apart those that only rounding does."""

    seed: int
    rounds: int
    who: str
    draw: int = 0


def environments() -> dict[str, CartPole]:
    """Each party's own."""
    return {
        f"gravity {gravity:g}, pole {pole:g}": CartPole(EPISODES, gravity=gravity, length=pole)
        for gravity in GRAVITIES
        for pole in POLES
    }


def held_out() -> CartPole:
    """Nobody's: each gravity with each pole, some episodes of each."""
    places = [(gravity, pole) for gravity in HELD_GRAVITIES for pole in HELD_POLES]
    gravities, poles = np.repeat(np.array(places), TEST_EPISODES, axis=0).T
    return CartPole(len(gravities), gravity=gravities, length=poles)


def federation(task: Task) -> Federation:
    """The training of a task."""
    policy, algorithm = PerceptronPolicy(), Reinforce(epochs=1, learning_rate=RATE, decay=DECAY)
    clients = environments()
    if task.who in clients:
        clients = {task.who: clients[task.who]}
    plan = plan_for(policy, clients, algorithm=algorithm, value_bits=VALUE_BITS) if task.who == SECURE else None
    alone = task.who not in {TOGETHER, SECURE}
    return Federation(
        policy,
        clients,
        plan=plan,
        algorithm=algorithm,
        server=FedAdam(lr=SERVER_RATE),
        test=None if alone else held_out(),
        seed=task.seed,
    )


def train(task: Task) -> dict[str, Any]:
    """One training; its curve, how each party fares by round, and the last return on held-out environments."""
    fed = federation(task)
    parties: list[list[float]] = []

    def look(record: RoundRecord) -> None:
        if (task.who, task.seed) == (TOGETHER, 0) and (record.round == 1 or record.round % EVERY == 0):
            parties.append([record.round, *(own["return"] for own in fed.evaluate_parties().values())])

    history = fed.fit(task.rounds, callbacks=[look])
    return {
        "seed": task.seed,
        "who": task.who,
        "draw": task.draw,
        "return": fed.evaluate(held_out())["return"],
        "training": history.curve("return", train=True),
        "held_out": history.curve("return") if history.records[0].test_metrics else [],
        "parties": parties,
        "episodes_a_party": task.rounds * EPISODES,
        "bytes_up_a_party": history.records[-1].bytes_up / len(fed.parties),
    }


def rows_of(found: Sequence[Mapping[str, Any]], *, targets: bool) -> list[Row]:
    """By seed, secure beside the best party alone, which may be another one each time; then all seeds together."""
    rows, best, secure = [], [], []
    for seed in dict.fromkeys(line["seed"] for line in found):
        last = {line["who"]: line["return"] for line in found if line["seed"] == seed}
        del last[TOGETHER]
        secure.append(last.pop(SECURE))
        best.append(max(last.values()))
        who = max(last, key=lambda name: last[name])
        rows.append(
            row(f"seed {seed}", secure[-1], best[-1], unit="return", peer_name=f"best alone: {who}", better="more")
        )
    asked = {"unit": "return", "better": "more", "target": 1.0 if targets else None}
    return [
        *rows,
        row(
            "mean of the seeds",
            float(np.mean(secure)),
            float(np.mean(best)),
            peer_name="mean of the best alone",
            **asked,
        ),
        row("least of the seeds", min(secure), LEAST, peer_name="what is asked for", **asked),
    ]


def notes_of(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the rows do not say."""
    rounds = len(found[0]["training"])
    notes = [
        (
            f"mean return of at most 500 on {len(HELD_GRAVITIES) * len(HELD_POLES)} held-out environments after {rounds} rounds and "
            f"{found[0]['episodes_a_party']} episodes a party, mean and standard error over {len({line['seed'] for line in found})} seeds"
        )
    ]
    for who in dict.fromkeys(line["who"] for line in found):
        alone = "" if who in {TOGETHER, SECURE} else "alone, "
        notes.append(f"{alone}{who}: {spread([line['return'] for line in found if line['who'] == who])}")
    for seed in dict.fromkeys(line["seed"] for line in found):
        clear, secure = (
            next(line["held_out"] for line in found if (line["seed"], line["who"]) == (seed, who))
            for who in (TOGETHER, SECURE)
        )
        late = secure[-LATE:]
        notes.append(
            f"seed {seed}: in the clear {clear[-1]:.1f}; of the last {len(late)} secure rounds the least is {min(late):.1f}"
        )
        apart = next((i + 1 for i, (a, b) in enumerate(zip(clear, secure, strict=True)) if a != b), None)
        notes.append(
            f"seed {seed}: secure and in the clear have the same held-out return "
            + (
                "in all rounds"
                if apart is None
                else f"before round {apart}, where rounding changed an action, and so an episode"
            )
        )
    return notes


def draws_of(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """By seed, where the secure training ended up that was run several times: rounding is drawn anew each time."""
    notes = []
    for seed in dict.fromkeys(line["seed"] for line in found):
        ends = [line["return"] for line in found if (line["seed"], line["who"]) == (seed, SECURE)]
        late = [min(line["held_out"][-LATE:]) for line in found if (line["seed"], line["who"]) == (seed, SECURE)]
        notes.append(
            f"seed {seed}: {len(ends)} secure trainings end between {min(ends):.1f} and {max(ends):.1f}; of their last {LATE} rounds the "
            f"least is {min(late):.1f}"
        )
    return notes


def measure(tasks: Sequence[Task], workers: int, progress: Progress) -> list[dict[str, Any]]:
    """All trainings."""
    return train_all(train, tasks, workers, progress)


def draw(found: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Return by round, of the first seed: held out, secure and in the clear; each party's; and who trained alone."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    first = [line for line in found if line["seed"] == found[0]["seed"]]
    clear, secure = (next(line for line in first if line["who"] == who) for who in (TOGETHER, SECURE))
    names = list(environments())
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), sharey=True, layout="constrained")
    rounds = range(1, len(clear["held_out"]) + 1)
    left.plot(rounds, clear["held_out"], color="#e69f00", linewidth=5, alpha=0.5, label="together, in the clear")
    left.plot(rounds, secure["held_out"], color="#0072b2", marker="o", markersize=3, label="together, secure")
    for number, line in enumerate(line for line in first if line["who"] in names):
        left.axhline(
            line["return"], color="#999999", linewidth=1, label="each party alone, at the end" if not number else None
        )
    left.axhline(LEAST, color="#d55e00", linestyle="--", linewidth=1, label="asked for")
    left.set_title("on held-out gravities and poles")
    own = np.array(clear["parties"])
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(GRAVITIES)))
    for number, name in enumerate(names):
        short = number % len(POLES) == 0
        right.plot(
            own[:, 0],
            own[:, 1 + number],
            color=colours[number // len(POLES)],
            linestyle="-" if short else "--",
            marker="o" if short else "s",
            markersize=3,
            label=name,
        )
    right.set_title("the shared policy in each party's own environment")
    for axes in (left, right):
        axes.set_xlabel("round")
        axes.set_ylim(0, 515)
        axes.grid(alpha=0.25)
        axes.legend(fontsize=7, ncol=4, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    left.set_ylabel("mean return")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Train and print."""
    made = parser(__doc__ or "", repeats=5, quick=True, plot=True, repeated="seeds")
    made.add_argument("--draws", type=int, default=1, help="secure trainings of each seed; those in rows are the first")
    add_workers(made)
    options = made.parse_args()
    seeds, rounds = (1, QUICK_ROUNDS) if options.quick else (options.repeats, ROUNDS)
    tasks = [Task(seed, rounds, who) for seed in range(seeds) for who in (TOGETHER, SECURE, *environments())]
    tasks += [Task(seed, rounds, SECURE, number) for seed in range(seeds) for number in range(1, options.draws)]
    with shown() as progress:
        found = measure(tasks, options.workers, progress)
    first = [line for line in found if not line["draw"]]
    if options.plot is not None:
        draw(first, options.plot)
    notes = notes_of(first) + (draws_of(found) if options.draws > 1 else [])
    publish(rows_of(first, targets=not options.quick), options.json, notes=notes, trainings=found, rounds=rounds)


if __name__ == "__main__":
    main()
