"""The server: the strategy of any Flower project, wrapped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from flwr.app import Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

import securefl as sfl
from hospital.task import accuracy, initial
from securefl.flower import SecureAggregation, template_of
from securefl.session import RoundResult

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train, and write down what was revealed."""
    config = context.run_config
    rounds, epsilon = int(config["num-server-rounds"]), float(config["epsilon"])
    roster = sfl.Roster.load(config["roster"]) if config["roster"] else None
    parties = int(config["parties"]) if roster is None else len(roster)
    arrays = initial()
    agreed = {
        "template": template_of(arrays),
        "parties": parties,
        "protocol": sfl.SecAgg(
            server=config["server"], max_colluders=int(config["max-colluders"]), min_survivors=3, prefetch=True
        ),
        "purpose": "digits",
    }
    ledger = None
    if epsilon > 0:
        draft = sfl.Plan(**agreed, privacy=sfl.DistributedDiscreteGaussian(clip=1.0))
        plan = sfl.dp.calibrate(draft, epsilon=epsilon, delta=1e-3, rounds=rounds)
        ledger = sfl.PrivacyLedger(
            Path(config["output"]) / "server-ledger.jsonl", budget=sfl.Budget(epsilon=epsilon, delta=1e-3)
        )
    else:
        plan = sfl.Plan(
            **agreed, encoding=sfl.FixedPoint(value_bits=20, bound=4.0), max_weight=2000, metrics={"loss": (0, 10)}
        )
    strategy = SecureAggregation(
        FedAvg(fraction_evaluate=0.0),
        plan=plan,
        roster=roster,
        ledger=ledger,
        phase_timeout=float(config["phase-timeout"]),
    )
    result = strategy.start(
        grid=grid,
        initial_arrays=arrays,
        num_rounds=rounds,
        timeout=float(config["train-timeout"]),
        evaluate_fn=lambda _, model: MetricRecord({"accuracy": accuracy(model)}),
    )
    if config["output"]:
        write(Path(config["output"]), strategy, result)
    print(strategy.report())  # raises where no round has ended with a sum, and says what to look at


def write(directory: Path, strategy: SecureAggregation, result) -> None:
    """The model, the report, and of each round who was in it and how long it took."""
    directory.mkdir(parents=True, exist_ok=True)
    np.savez(directory / "model.npz", **{name: array.numpy() for name, array in result.arrays.items()})
    if any(isinstance(outcome, RoundResult) for outcome in strategy.results):
        (directory / "report.txt").write_text(strategy.report(), encoding="utf-8")
    rounds = []
    for number, outcome in enumerate(strategy.results, 1):
        done = isinstance(outcome, RoundResult)
        rounds.append(
            {
                "round": number,
                "survivors": list(outcome.survivors) if done else [],
                "dropped": dict(outcome.dropped) if done else {},
                "aborted": "" if done else str(outcome),
                "bytes_up": outcome.bytes_up if done else 0,
                "bytes_down": outcome.bytes_down if done else 0,
                "epsilon": outcome.spent.server if done and outcome.spent else None,
                "exchanges": strategy.exchanges.get(number, 0),
                "seconds": strategy.seconds.get(number, {}),
                "failures": [str(failure) for failure in strategy.failures.get(number, ())],
            }
        )
    accuracies = {number: float(record["accuracy"]) for number, record in result.evaluate_metrics_serverapp.items()}
    history = {"rounds": rounds, "accuracy": accuracies}
    (directory / "history.json").write_text(json.dumps(history, indent=1), encoding="utf-8")
