"""What securing the sum adds to a round of federated training: digits, 20 parties, torch networks, against the same round in the clear.

    securefl bench overhead        or        python benchmarks/utility/overhead.py

Everything runs in one process on one core, the 20 parties one after the other, so that training and protocol are both counted 20
times; there is no network. Two networks, a perceptron of 4 810 values and a convolutional one of 25 730, five local epochs of batches of
32 in torch. Rounds in the clear, semi-honest and active take turns; figures are medians of the rounds after the first. The share is
(secure - clear) / secure, of the time by the clock; processor time, which other programs on the machine disturb less, is told beside.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import securefl as sfl
from securefl.errors import ConfigError
from securefl.federated.algorithms import FedAvg
from securefl.federated.datasets import digits
from securefl.federated.federation import Federation
from securefl.federated.partition import iid
from securefl.federated.planning import plan_for

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, parser, publish, row
from progress import Progress, shown

PARTIES = 20
MOST = 0.25
"""Of a round's time, semi-honest."""

CLEAR, SEMI_HONEST, ACTIVE = "clear", "semi-honest", "active"
ALGORITHM = FedAvg(epochs=5, batch_size=32, learning_rate=0.1)


def networks() -> dict[str, Callable[[], Any]]:
    """What makes each torch module."""
    try:
        from torch import nn
    except ImportError as error:
        raise ConfigError("torch is not installed", remedy="pip install 'securefl[torch]'") from error

    def perceptron() -> nn.Module:
        return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    def convolutional() -> nn.Module:
        return nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(512, 40),
            nn.ReLU(),
            nn.Linear(40, 10),
        )

    return {"perceptron": perceptron, "convolutional": convolutional}


def federations(factory: Callable[[], Any]) -> dict[str, Federation]:
    """The same training in the clear and under both server models."""
    from securefl.torch import TorchModel

    model = TorchModel(factory, classes=10)
    train, test = digits(0)
    clients = {f"party-{i:02}": train.subset(part) for i, part in enumerate(iid(len(train), PARTIES, 0))}
    plans = {
        CLEAR: None,
        **{
            server: plan_for(model, clients, protocol=sfl.SecAgg(server=server, dropout=0.1))
            for server in (SEMI_HONEST, ACTIVE)
        },
    }
    return {
        name: Federation(model, clients, plan=plan, algorithm=ALGORITHM, test=test, seed=0)
        for name, plan in plans.items()
    }


def measure(name: str, factory: Callable[[], Any], rounds: int, progress: Progress) -> dict[str, Any]:
    """Medians of one network, by kind of round."""
    feds = federations(factory)
    processor: dict[str, list[float]] = {kind: [] for kind in feds}
    for number in range(rounds + 1):
        progress.case(f"{name}, round {number} of {rounds}")
        for kind, fed in feds.items():
            started = time.process_time()
            fed.fit(1)
            processor[kind].append(time.process_time() - started)
    found: dict[str, Any] = {
        "network": name,
        "values": sum(leaf.size for leaf in feds[CLEAR].params.values()),
        "rounds": rounds,
    }
    for kind, fed in feds.items():
        records = fed.history.records[1:]
        steps = {
            step: (
                statistics.median(record.seconds_by_step[step][0] for record in records),
                statistics.median(record.seconds_by_step[step][1] for record in records),
            )
            for step in records[0].seconds_by_step
        }
        found[kind] = {
            "seconds": statistics.median(record.seconds for record in records),
            "train_seconds": statistics.median(record.train_seconds for record in records),
            "processor_seconds": statistics.median(processor[kind][1:]),
            "seconds_by_step": steps,
            "accuracy": fed.history.accuracy,
        }
    for kind in (SEMI_HONEST, ACTIVE):
        for clock in ("seconds", "processor_seconds"):
            found[kind][f"share_of_{clock}"] = 1 - found[CLEAR][clock] / found[kind][clock]
    return found


def rows_of(lines: list[dict[str, Any]], *, targets: bool) -> list[Row]:
    """The secure round beside the one in the clear: at most a quarter of it added is a ratio of at least 3/4."""
    return [
        row(
            f"{line['network']}, {kind}",
            line[kind]["seconds"],
            line[CLEAR]["seconds"],
            unit="s",
            peer_name="in the clear",
            target=1 - MOST if targets and kind == SEMI_HONEST else None,
        )
        for line in lines
        for kind in (SEMI_HONEST, ACTIVE)
    ]


def notes_of(lines: list[dict[str, Any]]) -> list[str]:
    """Where the time goes."""
    notes = [f"medians of {lines[0]['rounds']} rounds that take turns; one process, one core, all parties in it"]
    for line in lines:
        for kind in (SEMI_HONEST, ACTIVE):
            own = line[kind]
            notes.append(
                f"{line['network']}, {line['values']} values, {kind}: {_percent(own['share_of_seconds'])} of the round by the clock, "
                f"{_percent(own['share_of_processor_seconds'])} of processor time; a round of {own['processor_seconds']:.2f} s of it, "
                f"{line[CLEAR]['processor_seconds']:.2f} s in the clear; by the clock {_steps(own['seconds_by_step'])}; "
                f"training {own['train_seconds']:.2f} s"
            )
    return notes


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _steps(steps: Mapping[str, tuple[float, float]]) -> str:
    """All parties, and the server, by step."""
    return ", ".join(f"{step} {1000 * parties:.0f}+{1000 * server:.0f} ms" for step, (parties, server) in steps.items())


def main() -> None:
    """Measure and print."""
    made = parser(__doc__ or "", repeats=9, quick=True, repeated="rounds of which the median is given")
    options = made.parse_args()
    rounds = 1 if options.quick else options.repeats
    chosen = networks()
    import torch

    torch.set_num_threads(1)
    with shown() as progress:
        lines = [
            measure(name, factory, rounds, progress)
            for name, factory in chosen.items()
            if not options.quick or name == "perceptron"
        ]
    publish(rows_of(lines, targets=not options.quick), options.json, notes=notes_of(lines), networks=lines)


if __name__ == "__main__":
    main()
