"""Federated averaging with differential privacy on handwritten digits: accuracy with distributed noise beside central noise.

    securefl bench dp_fedavg        or        python benchmarks/utility/dp_fedavg.py

1437 digits dealt out to 100 parties (and to 20), 360 held out; softmax regression; 30 rounds in which everybody takes part: 5 full-batch
epochs at rate 2, updates clipped to 1 and averaged without weights. delta 1e-3, per party, under zero-out (central noise: add-remove,
which is the same sensitivity); nobody drops out and nobody colludes. Figures are means over seeds, each with its own split, deal and
noise. Sums of distributed noise have 16 bits and k = 4; those of central noise 24 bits, so that what it loses is noise and nothing else.

Each round adds in the clear the vectors that the parties would mask, since masks change nothing; one seed is trained through real
secure aggregation, whose every sum must be the one in the clear.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import itertools
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import securefl as sfl
from securefl.crypto.random import RandomSource
from securefl.crypto.seeded import SEED_BYTES, SeededRandom
from securefl.dp.clipping import FlatClip
from securefl.dp.mechanisms import (
    CentralDiscreteGaussian,
    DistributedDiscreteGaussian,
    DistributedSkellam,
    Mechanism,
)
from securefl.dp.modular_grid import ModularGrid, Wrap
from securefl.federated.aggregators import PlainOutcome
from securefl.federated.algorithms import FedAvg
from securefl.federated.datasets import Dataset, digits
from securefl.federated.federation import Federation
from securefl.federated.models import Params, SoftmaxRegression
from securefl.federated.partition import iid
from securefl.plan import Plan
from securefl.types import Step

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, parser, publish, row
from private_rounds import SecureRounds, clear_mean
from progress import Progress, shown

MODEL = SoftmaxRegression(64, 10)
CLIP = 1.0
DELTA = 1e-3
MOST_LOST = 0.01
"""Accuracy that distributed noise may cost beside central noise."""

MECHANISMS: dict[str, tuple[Mechanism, ModularGrid]] = {
    "central": (CentralDiscreteGaussian(clip=CLIP), ModularGrid(24)),
    "DDG": (DistributedDiscreteGaussian(clip=CLIP), ModularGrid(16, Wrap.MODULAR, 4)),
    "Skellam": (DistributedSkellam(clip=CLIP), ModularGrid(16, Wrap.MODULAR, 4)),
}
NO_NOISE = "clipped, no noise"
REFERENCE = {
    (100, None): 0.944,
    (100, 2.0): 0.907,
    (100, 4.0): 0.931,
    (100, 8.0): 0.939,
    (20, 2.0): 0.46,
    (20, 8.0): 0.87,
}
"""What the maintainers' own specification of this benchmark says of central noise."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What is trained once a seed.

    Args:
        parties: n.
        mechanism: its name.
        epsilon: of all rounds together; None without noise.
        plan: as bytes; none without noise.
    """

    parties: int
    mechanism: str
    epsilon: float | None
    plan: bytes | None

    def __str__(self) -> str:
        private = "" if self.epsilon is None else f", epsilon {self.epsilon:g}"
        return f"{self.mechanism}, n={self.parties}{private}"


@dataclasses.dataclass(frozen=True)
class Task:
    """A run with one seed."""

    run: Run
    seed: int
    rounds: int


class ClippedAverage:
    """The mean of clipped updates without noise: no privacy, for comparison."""

    def round(
        self,
        updates: Mapping[str, Params],
        *,
        weights: Mapping[str, int],
        metrics: Mapping[str, Mapping[str, float]],
        model: Params,
        drop: Mapping[str, Step],
    ) -> PlainOutcome:
        """Average one round; weights and metrics stay with the parties."""
        del weights, metrics, model, drop
        clip = FlatClip(CLIP)
        total = sum(
            clip.clip_blocks(list(update.values()), sum(leaf.size for leaf in update.values())).vector
            for update in updates.values()
        )
        flat, mean = np.asarray(total) / len(updates), {}
        for name, leaf in next(iter(updates.values())).items():
            mean[name], flat = flat[: leaf.size].reshape(leaf.shape).astype(leaf.dtype), flat[leaf.size :]
        return _outcome(mean, updates)


class ClearAverage:
    """A private plan's mean from the vectors that the parties would mask."""

    def __init__(self, plan: Plan, source: RandomSource) -> None:
        self._plan, self._source = plan, source

    def round(
        self,
        updates: Mapping[str, Params],
        *,
        weights: Mapping[str, int],
        metrics: Mapping[str, Mapping[str, float]],
        model: Params,
        drop: Mapping[str, Step],
    ) -> PlainOutcome:
        """Average one round; weights and metrics stay with the parties."""
        del weights, metrics, model, drop
        return _outcome(clear_mean(self._plan, updates, self._source), updates)


class CheckedSecureAverage:
    """A private plan's mean by secure aggregation; each sum is compared with the one in the clear."""

    def __init__(self, plan: Plan, parties: Sequence[str], ledger: sfl.PrivacyLedger, progress: Progress) -> None:
        self._session = SecureRounds(plan, parties, ledger)
        self._progress = progress
        self.done = 0
        self.spent = math.inf

    def round(
        self,
        updates: Mapping[str, Params],
        *,
        weights: Mapping[str, int],
        metrics: Mapping[str, Mapping[str, float]],
        model: Params,
        drop: Mapping[str, Step],
    ) -> PlainOutcome:
        """Average one round; weights and metrics stay with the parties."""
        del weights, metrics, drop
        result, clear = self._session.round(updates, model=model)
        self.done += 1
        if not np.array_equal(result.integers, clear):
            raise SystemExit(f"dp_fedavg: in round {self.done} secure aggregation and the sum in the clear differ")
        if result.spent is not None:
            self.spent = result.spent.server
        self._progress.case(f"secure aggregation, round {self.done}")
        mean: Any = result.mean
        return _outcome(mean, updates)


def _outcome(mean: Params, updates: Mapping[str, Params]) -> PlainOutcome:
    return PlainOutcome(
        mean=mean, survivors=tuple(updates), dropped={}, weight_sum=len(updates), metrics={}, bytes_up=0
    )


def plan_for(mechanism: str, parties: int, epsilon: float, rounds: int) -> Plan:
    """The plan with the least noise for all rounds together."""
    asked, grid = MECHANISMS[mechanism]
    draft = Plan(
        template={name: (leaf.shape, leaf.dtype.name) for name, leaf in MODEL.initial(0).items()},
        parties=parties,
        protocol=sfl.SecAgg(max_colluders=0, min_survivors=parties),
        encoding=grid,
        privacy=asked,
    )
    plan: Plan = sfl.dp.calibrate(draft, epsilon=epsilon, delta=DELTA, rounds=rounds)
    return plan


def federation(parties: int, seed: int) -> Federation:
    """The parties with their digits, as the seed splits and deals them; they average in the clear and without privacy."""
    train, test = digits(seed)
    clients: dict[str, Dataset] = {
        f"party-{i}": train.subset(part) for i, part in enumerate(iid(len(train), parties, seed))
    }
    algorithm = FedAvg(epochs=5, batch_size=max(map(len, clients.values())), learning_rate=2.0)
    return Federation(MODEL, clients, plan=None, algorithm=algorithm, test=test, seed=seed)


def accuracies(trained: Federation, rounds: int) -> list[float]:
    """Train; the accuracy on the test set after each round."""
    return [record.test_metrics["accuracy"] for record in trained.fit(rounds)]


def train(task: Task) -> list[float]:
    """Train in the clear; the same task gives the same accuracies."""
    fed = federation(task.run.parties, task.seed)
    if task.run.plan is None:
        fed.aggregator = ClippedAverage()
    else:
        words = np.random.SeedSequence(task.seed, spawn_key=(1,)).generate_state(SEED_BYTES // 4)
        fed.aggregator = ClearAverage(Plan.from_bytes(task.run.plan), SeededRandom(words.astype("<u4").tobytes()))
    return accuracies(fed, task.rounds)


def train_securely(run: Run, rounds: int, progress: Progress) -> dict[str, Any]:
    """Train with seed 0 through real secure aggregation, against a ledger that holds just the run's budget."""
    fed = federation(run.parties, 0)
    assert run.plan is not None  # noqa: S101 - for type checkers
    with tempfile.TemporaryDirectory() as folder:
        budget = sfl.Budget(epsilon=run.epsilon or math.inf, delta=DELTA)
        ledger = sfl.PrivacyLedger(Path(folder) / "ledger.jsonl", budget=budget)
        secure = CheckedSecureAverage(Plan.from_bytes(run.plan), fed.parties, ledger, progress)
        fed.aggregator = secure
        curve = accuracies(fed, rounds)
    return {"case": str(run), "equal_rounds": secure.done, "accuracy": curve, "spent": secure.spent}


def runs_for(parties: int, epsilons: Sequence[float], mechanisms: Sequence[str], rounds: int) -> list[Run]:
    """What is trained for one number of parties."""
    private = [
        Run(parties, mechanism, epsilon, plan_for(mechanism, parties, epsilon, rounds).to_bytes())
        for epsilon in epsilons
        for mechanism in mechanisms
    ]
    return [Run(parties, NO_NOISE, None, None), *private]


def curves_of(
    runs: Sequence[Run], seeds: int, rounds: int, workers: int, progress: Progress
) -> dict[Run, list[list[float]]]:
    """Accuracy by seed and round of each run."""
    tasks = [[Task(run, seed, rounds) for seed in range(seeds)] for run in runs]
    found: dict[Run, list[list[float]]] = {run: [] for run in runs}

    def collect(curves: Iterator[list[float]]) -> None:
        for run in runs:
            progress.case(f"{run}: {seeds} seeds")
            for number, curve in enumerate(itertools.islice(curves, seeds), 1):
                found[run].append(curve)
                progress.step("seed", number, seeds)

    if workers == 1:
        collect(map(train, itertools.chain(*tasks)))
    else:
        with concurrent.futures.ProcessPoolExecutor(workers) as pool:
            collect(pool.map(train, itertools.chain(*tasks)))
    return found


def rows_of(found: Mapping[Run, list[list[float]]], *, targets: bool) -> tuple[list[Row], list[dict[str, Any]]]:
    """Last rounds: distributed noise beside central noise, and that beside what was expected of it."""
    last = {run: np.array([curve[-1] for curve in curves]) for run, curves in found.items()}
    rows, details = [], []
    for run, own in last.items():
        line: dict[str, Any] = dataclasses.asdict(run) | {"accuracy": float(own.mean()), "curves": found[run]}
        del line["plan"]
        if len(own) > 1:
            line["standard_error"] = float(own.std(ddof=1)) / math.sqrt(len(own))
        if run.mechanism in {"central", NO_NOISE}:
            peer, peer_name, target = REFERENCE.get((run.parties, run.epsilon)), "expected", None
        else:
            beside = next(other for other in last if _key(other) == (run.parties, run.epsilon, "central"))
            peer, peer_name = float(last[beside].mean()), "central noise"
            target = 1 - MOST_LOST / peer if targets and run.parties == 100 else None
            line["below_central"] = float((last[beside] - own).mean())
            if len(own) > 1:
                line["below_central_error"] = float((last[beside] - own).std(ddof=1)) / math.sqrt(len(own))
        if peer is not None:
            ours = float(own.mean())
            rows.append(row(str(run), ours, peer, unit="accuracy", peer_name=peer_name, better="more", target=target))
        details.append(line)
    return rows, details


def _key(run: Run) -> tuple[int, float | None, str]:
    return run.parties, run.epsilon, run.mechanism


def notes_of(details: Sequence[Mapping[str, Any]], found: Mapping[Run, list[list[float]]], seeds: int) -> list[str]:
    """What the rows do not say."""
    notes = [f"means over {seeds} seeds, in the last round"]
    for run, line in zip(found, details, strict=True):
        text = f"{run}: {line['accuracy']:.4f}"
        if "standard_error" in line:
            text += f" ± {line['standard_error']:.4f}"
        if "below_central" in line:
            text += f", below central noise by {line['below_central']:.4f}"
            if "below_central_error" in line:
                text += f" ± {line['below_central_error']:.4f}"
        if run.plan is not None and (release := Plan.from_bytes(run.plan).release) is not None:
            text += (
                f"; noise multiplier {release.noise_multiplier:.4f}, {release.noise_std:.4f} in each value of the mean, "
                f"{release.noise_to_signal:.2f} times the longest sum"
            )
        notes.append(text)
    return notes


def main() -> None:
    """Train, print, draw."""
    options = _options()
    rounds, seeds = (3, min(options.repeats, 2)) if options.quick else (30, options.repeats)
    with shown() as progress:
        progress.case("calibration")
        if options.quick:
            runs = runs_for(20, (8.0,), ("central", "DDG"), rounds)
        else:
            runs = runs_for(100, (2.0, 4.0, 8.0), ("central", "DDG", "Skellam"), rounds)
            runs += runs_for(20, (2.0, 8.0), ("central", "DDG"), rounds)
        found = curves_of(runs, seeds, rounds, options.workers, progress)
        rows, details = rows_of(found, targets=not options.quick)
        distributed = [run for run in runs if run.mechanism == "DDG" and run.epsilon == 8.0]
        secure = train_securely(distributed[0], rounds, progress)
    notes = notes_of(details, found, seeds)
    in_the_clear = found[distributed[0]][0][-1]
    notes.append(
        f"{secure['case']}, seed 0 through secure aggregation: the integers of the sum in the clear, bit for bit, in "
        f"{secure['equal_rounds']} of {rounds} rounds; accuracy {secure['accuracy'][-1]:.4f}, and {in_the_clear:.4f} with the noise "
        f"that the seed gives in the clear; spent {secure['spent']:.4f} by the ledger"
    )
    publish(rows, options.json, notes=notes, runs=details, secure=secure)
    if options.plot is not None:
        import utility_plots

        utility_plots.draw_training(details, options.plot)


def _options() -> argparse.Namespace:
    made = parser(__doc__ or "", repeats=20, quick=True, plot=True, repeated="seeds of which the mean is given")
    made.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes that train seeds (%(default)s)"
    )
    return made.parse_args()


if __name__ == "__main__":
    main()
