"""Poisoned federated averaging on handwritten digits: rules against attacks, in the clear and over groups under secure aggregation.

    securefl bench robustness        or        python benchmarks/utility/robustness.py

1437 digits dealt out evenly, 360 held out; softmax regression, 30 rounds of 5 epochs at rate 0.5, updates kept to a norm of 1 by
every honest party. One party in five attacks, all together, and knows every honest update. In the clear there are 20 parties and
the server sees each update. Under secure aggregation there are 40 in 13 groups, of 3 and one of 4, drawn anew each round; the server
sees the 13 means, and "checked" are those whose norm it compares with the bound. Real rounds with real masks. Figures are means over
seeds of the accuracy after the last round; each seed has its own split, deal and groups. A training that attackers stop, since a round
has too few groups left, counts with the model that it had; how many were stopped is printed below the table.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from securefl.crypto.seeded import SEED_BYTES, SeededRandom
from securefl.errors import BelowThresholdError
from securefl.federated.aggregators import Aggregator
from securefl.federated.algorithms import FedAvg
from securefl.federated.datasets import Dataset, digits
from securefl.federated.federation import Federation
from securefl.federated.models import Params, SoftmaxRegression
from securefl.federated.partition import iid
from securefl.federated.planning import plan_for
from securefl.federated.robust import (
    GeometricMedian,
    GroupwiseRobust,
    Krum,
    Mean,
    Median,
    MultiKrum,
    NormBound,
    NormBounded,
    RobustAverage,
    Rule,
    TrimmedMean,
)
from securefl.threats.poisoning import (
    Poisoned,
    Trigger,
    UpdateAttack,
    alie,
    backdoor,
    boosted,
    inner_product_manipulation,
    label_flip,
    sign_flip,
    triggered,
)

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, parser, publish, row
from progress import Progress, shown

MODEL = SoftmaxRegression(64, 10)
BOUND = 1.0
"""The norm that honest updates keep, and that the server holds the means of groups against."""

SHARE = 0.2
GROUP_SIZE = 3
PARTIES = {"clear": 20, "groups": 40, "checked": 40}
MOST_LOST = 0.05
"""Accuracy that sign flip and scaled updates may cost where groups are checked."""

RULES: dict[str, dict[str, Rule]] = {
    "clear": {
        "mean": Mean(),
        "median": Median(),
        "trimmed mean": TrimmedMean(0.2),
        "Krum": Krum(f=4),
        "multi-Krum": MultiKrum(f=4),
        "geometric median": GeometricMedian(),
    },
    "groups": {"mean": Mean(), "median": Median(), "multi-Krum": MultiKrum(f=5), "geometric median": GeometricMedian()},
    # Half of the groups may be left out, and Krum must bear what is left.
    "checked": {
        "mean": Mean(),
        "median": Median(),
        "multi-Krum": MultiKrum(f=1),
        "geometric median": GeometricMedian(),
    },
}
SETTINGS = {"clear": "in the clear", "groups": "groups of 3", "checked": "groups of 3, checked"}
NO_ATTACK, BACKDOOR = "none", "backdoor x10"
FLIP, SCALED, WITHIN = "sign flip x10", "scaled x10", "within the bound"
ATTACKS = (NO_ATTACK, FLIP, SCALED, "ALIE", "IPM 0.5", "label flip", BACKDOOR, WITHIN)
TRIGGER, TARGET = Trigger(), 0


@dataclasses.dataclass(frozen=True)
class Task:
    """One training.

    Args:
        setting: a key of `SETTINGS`.
        rule: its name.
        attack: its name.
        share: of the parties that attack.
        seed: of split, deal, batches and groups.
        rounds: T.
    """

    setting: str
    rule: str
    attack: str
    share: float
    seed: int
    rounds: int


def attack_of(name: str, parties: int, attackers: int) -> UpdateAttack | None:
    """What attackers send, where it is not what they computed."""

    def within(_: Params, honest: Sequence[Params]) -> Params:
        """Bring the mean of a group with two honest parties to -BOUND in their direction: no check of norms sees it."""
        mean = inner_product_manipulation(honest, 1.0)
        norm = float(np.sqrt(sum(np.square(leaf).sum() for leaf in mean.values())))
        return boosted(mean, GROUP_SIZE * 0.98 * BOUND / norm + GROUP_SIZE - 1)

    known: dict[str, UpdateAttack] = {
        FLIP: lambda own, _: sign_flip(own, 10.0),
        SCALED: lambda own, _: boosted(own, 10.0),
        BACKDOOR: lambda own, _: boosted(own, 10.0),
        "ALIE": lambda _, honest: alie(honest, parties, attackers),
        "IPM 0.5": lambda _, honest: inner_product_manipulation(honest, 0.5),
        WITHIN: within,
    }
    return known.get(name)


def poisoned_data(name: str, dataset: Dataset, seed: int) -> Dataset:
    """What an attacker trains on."""
    if name in {SCALED, "label flip"}:
        return label_flip(dataset, 10)
    if name == BACKDOOR:
        return backdoor(dataset, TRIGGER, TARGET, fraction=1.0, seed=seed)
    return dataset


def train(task: Task) -> dict[str, float]:
    """Train; the accuracy on the test set, whether a round ended it and, under a backdoor, the share of stamped examples it catches."""
    parties = PARTIES[task.setting]
    dealt, test = digits(task.seed)
    clients = {f"party-{i:02}": dealt.subset(part) for i, part in enumerate(iid(len(dealt), parties, task.seed))}
    attackers = list(clients)[: round(task.share * parties)] if task.attack != NO_ATTACK else []
    for number, party in enumerate(attackers):
        clients[party] = poisoned_data(task.attack, clients[party], 1000 * task.seed + number)
    aggregator = aggregator_of(task, clients)
    attack = attack_of(task.attack, parties, len(attackers))
    if attack is not None:
        aggregator = Poisoned(aggregator, attackers, attack)
    fed = Federation(
        MODEL,
        clients,
        plan=None,
        algorithm=NormBounded(FedAvg(epochs=5, batch_size=32, learning_rate=0.5), NormBound(BOUND)),
        test=test,
        seed=task.seed,
    )
    fed.aggregator = aggregator
    stopped = False
    try:
        fed.fit(task.rounds)
    except BelowThresholdError:  # tried again from the same model it would have the same groups
        stopped = True
    found = {"accuracy": fed.evaluate()["accuracy"], "stopped": float(stopped)}
    if task.attack == BACKDOOR:
        found["success"] = fed.evaluate(triggered(test, TRIGGER, TARGET))["accuracy"]
    return found


def aggregator_of(task: Task, clients: Mapping[str, Dataset]) -> Aggregator:
    """The rule, over what the setting lets the server see."""
    rule = RULES[task.setting][task.rule]
    if task.setting == "clear":
        return RobustAverage(rule)
    # The bound on a value is so wide that no attack is cut by an encoder which attackers need not use.
    plan = plan_for(MODEL, clients, bound=64.0, value_bits=24)
    words = np.random.SeedSequence(task.seed, spawn_key=(2,)).generate_state(SEED_BYTES // 4)
    return GroupwiseRobust(
        plan,
        tuple(clients),
        rule,
        group_size=GROUP_SIZE,
        max_norm=BOUND if task.setting == "checked" else None,
        random=SeededRandom(words.astype("<u4").tobytes()),
    )


def tasks_for(*, quick: bool, rounds: int, seeds: int) -> list[Task]:
    """The matrix, and for checked groups other shares of attackers."""
    cases = [
        (setting, rule, attack, SHARE)
        for setting, rules in RULES.items()
        for rule in rules
        for attack in ATTACKS
        if not (quick and (rule not in {"mean", "median"} or attack not in {NO_ATTACK, FLIP, SCALED, WITHIN}))
        and not (setting == "clear" and attack == WITHIN)
    ]
    if not quick:
        cases += [
            ("checked", "geometric median", attack, share) for attack in (FLIP, WITHIN) for share in (0.05, 0.1, 0.3)
        ]
    return [Task(*case, seed=seed, rounds=rounds) for case in cases for seed in range(seeds)]


def run(tasks: Sequence[Task], workers: int, progress: Progress) -> list[dict[str, float]]:
    """Train all; in order."""
    found: list[dict[str, float]] = []

    def collect(lines: Iterator[dict[str, float]]) -> None:
        previous = None
        for number, (task, line) in enumerate(zip(tasks, lines, strict=True), 1):
            if (task.setting, task.rule) != previous:
                previous = task.setting, task.rule
                progress.case(f"{SETTINGS[task.setting]}, {task.rule}")
            found.append(line)
            progress.step("training", number, len(tasks))

    if workers == 1:
        collect(map(train, tasks))
    else:
        with concurrent.futures.ProcessPoolExecutor(workers) as pool:
            collect(pool.map(train, tasks))
    return found


def cells_of(tasks: Sequence[Task], found: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """Means over seeds."""
    by_case: dict[tuple[str, str, str, float], list[Mapping[str, float]]] = {}
    for task, line in zip(tasks, found, strict=True):
        by_case.setdefault((task.setting, task.rule, task.attack, task.share), []).append(line)
    return [
        {
            "setting": setting,
            "rule": rule,
            "attack": attack,
            "share": share,
            **{name: float(np.mean([line[name] for line in lines])) for name in lines[0]},
            "worst": min(line["accuracy"] for line in lines),
        }
        for (setting, rule, attack, share), lines in by_case.items()
    ]


def rows_of(cells: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Each cell beside the plain mean that nobody attacks, of as many parties."""
    rows = []
    for cell in cells:
        untouched = next(
            other["accuracy"]
            for other in cells
            if (other["setting"], other["rule"], other["attack"]) == (cell["setting"], "mean", NO_ATTACK)
        )
        aimed = cell["setting"] == "checked" and cell["attack"] in {FLIP, SCALED} and cell["share"] == SHARE
        rows.append(
            row(
                f"{SETTINGS[cell['setting']]}, {cell['rule']}, {cell['attack']}, {100 * cell['share']:g} %",
                cell["accuracy"],
                untouched,
                unit="accuracy",
                peer_name="mean, no attack",
                better="more",
                target=(untouched - MOST_LOST) / untouched if aimed and cell["rule"] != "mean" else None,
            )
        )
    return rows


def notes_of(cells: Sequence[Mapping[str, Any]], seeds: int, rounds: int) -> list[str]:
    """What the rows do not say."""
    notes = [
        f"accuracy after {rounds} rounds, mean over {seeds} seeds; of checked groups 20 % attackers spoil about half"
    ]
    notes += [
        f"stopped by attackers, {SETTINGS[cell['setting']]}, {cell['rule']}, {cell['attack']}, {100 * cell['share']:g} %: "
        f"{cell['stopped']:.0%} of trainings"
        for cell in cells
        if cell["stopped"]
    ]
    notes += [
        f"backdoor, {SETTINGS[cell['setting']]}, {cell['rule']}: {cell['success']:.3f} of stamped digits are taken for {TARGET}"
        for cell in cells
        if "success" in cell
    ]
    return notes


def draw(cells: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A heat map a setting, accuracy of rule against attack; the last column is the share of stamped digits that are not caught."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from plots import STYLE

    here = [cell for cell in cells if cell["share"] == SHARE]
    settings = [setting for setting in SETTINGS if any(cell["setting"] == setting for cell in here)]
    attacks = [attack for attack in ATTACKS if any(cell["attack"] == attack for cell in here)]
    columns = attacks + (["stamp resisted"] if BACKDOOR in attacks else [])
    tables = []
    for setting in settings:
        rules = [rule for rule in RULES[setting] if any((c["setting"], c["rule"]) == (setting, rule) for c in here)]
        table = np.full((len(rules), len(columns)), np.nan)
        for cell in here:
            if cell["setting"] == setting:
                table[rules.index(cell["rule"]), columns.index(cell["attack"])] = cell["accuracy"]
                if "success" in cell:
                    table[rules.index(cell["rule"]), -1] = 1 - cell["success"]
        tables.append((SETTINGS[setting], rules, table))
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        heights = [len(rules) for _, rules, _ in tables]
        drawn = Figure(
            figsize=(1.15 * len(columns) + 3, 0.48 * sum(heights) + 1.1 * len(heights) + 1), layout="constrained"
        )
        drawn.suptitle("Accuracy with one attacker in five, digits", fontsize=13)
        panels = drawn.subplots(len(tables), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        for axes, (title, rules, table) in zip(panels, tables, strict=True):
            shown_as = axes.imshow(np.ma.masked_invalid(table), vmin=0, vmax=1, cmap="viridis", aspect="auto")
            axes.set_title(title, fontsize=11)
            axes.set_yticks(range(len(rules)), rules)
            axes.set_xticks(range(len(columns)), columns if axes is panels[-1] else [], rotation=20, ha="right")
            for (i, j), value in np.ndenumerate(table):
                if np.isfinite(value):
                    axes.text(j, i, f"{value:.2f}", ha="center", va="center", color="white" if value < 0.6 else "black")
        drawn.colorbar(shown_as, ax=list(panels), shrink=0.6)
        drawn.savefig(path, dpi=150)


def main() -> None:
    """Train, print, draw."""
    made = parser(__doc__ or "", repeats=3, quick=True, plot=True, repeated="seeds of which the mean is given")
    made.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that train (%(default)s)")
    options: argparse.Namespace = made.parse_args()
    rounds, seeds = (8, 1) if options.quick else (30, options.repeats)
    with shown() as progress:
        tasks = tasks_for(quick=options.quick, rounds=rounds, seeds=seeds)
        cells = cells_of(tasks, run(tasks, options.workers, progress))
    publish(rows_of(cells), options.json, notes=notes_of(cells, seeds, rounds), cells=cells)
    if options.plot is not None:
        draw(cells, options.plot)


if __name__ == "__main__":
    main()
