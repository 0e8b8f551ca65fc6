"""The example app's training with parties that are lost, on one engine: Flower's simulation on Ray, or the embedded one.

    python tests/integration/simulate_hospital.py ENGINE DIRECTORY '{"parties": 6, "rounds": 2, "lost": {"2": [1]}, "epsilon": 0}'

ENGINE is flower or memory. Writes DIRECTORY/ENGINE.npz, the model, and DIRECTORY/ENGINE.json. A process of its own, because Ray's
workers take what they run from its main module.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = str(ROOT / "examples" / "flower")
sys.path.insert(0, EXAMPLE)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [EXAMPLE, os.environ.get("PYTHONPATH", "")]))  # Ray's workers
os.environ |= {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

import numpy as np  # noqa: E402
from flwr.app import Array, ArrayRecord, MetricRecord  # noqa: E402
from flwr.clientapp import ClientApp  # noqa: E402
from flwr.serverapp import ServerApp  # noqa: E402
from flwr.serverapp.strategy import FedAvg  # noqa: E402
from hospital import client_app, task  # noqa: E402

import securefl as sfl  # noqa: E402
from securefl.flower import SecureAggregation, secure_mod, template_of  # noqa: E402
from securefl.flower.arrays import to_numpy  # noqa: E402

DELTA = 1e-3


def plan_of(config):
    agreed = {
        "template": template_of(task.initial()),
        "parties": config["parties"],
        "protocol": sfl.SecAgg(
            server="semi-honest", max_colluders=1, min_survivors=config.get("min_survivors", 3), prefetch=True
        ),
    }
    if not config["epsilon"]:
        fixed_point = sfl.FixedPoint(value_bits=20, bound=4.0)
        return sfl.Plan(**agreed, encoding=fixed_point, max_weight=2000, metrics={"loss": (0, 10)})
    draft = sfl.Plan(**agreed, privacy=sfl.DistributedDiscreteGaussian(clip=0.4))
    return sfl.dp.calibrate(draft, epsilon=config["epsilon"], delta=DELTA, rounds=config["rounds"])


def ledger_of(config, path):
    return sfl.PrivacyLedger(path, budget=sfl.Budget(config["epsilon"], DELTA)) if config["epsilon"] else None


def lost_in(config, server_round):
    return config["lost"].get(str(server_round), [])


def told(results, model, accuracies, ledger):
    for aborted in results:
        if isinstance(aborted, sfl.SecureFLError):
            raise aborted
    return {
        "survivors": [list(result.survivors) for result in results],
        "dropped": [sorted(result.dropped) for result in results],
        "bytes_up": [result.bytes_up for result in results],
        "spent": [[result.spent.server, result.spent.observer] if result.spent else None for result in results],
        "rounds_charged": 0 if ledger is None else len(ledger.epsilon_by_round()),
        "accuracy": accuracies,
    }, model


def by_flower(config, directory):
    from flwr.simulation import run_simulation

    client, server, seen = ClientApp(mods=[secure_mod]), ServerApp(), {}

    @client.train()
    def train(message, context):
        server_round = int(message.content["config"]["server-round"])
        if context.node_config["partition-id"] in lost_in(config, server_round):
            raise ConnectionError("this hospital is lost")
        return client_app.train(message, context)

    @server.main()
    def main(grid, context):
        plan = plan_of(config)
        ledger = ledger_of(config, directory / "flower.ledger")
        inner = FedAvg(fraction_evaluate=0.0)
        strategy = SecureAggregation(inner, plan=plan, ledger=ledger)
        run = strategy.start(
            grid=grid,
            initial_arrays=task.initial(),
            num_rounds=config["rounds"],
            evaluate_fn=lambda _, model: MetricRecord({"accuracy": task.accuracy(model)}),
        )
        accuracies = [float(run.evaluate_metrics_serverapp[i + 1]["accuracy"]) for i in range(config["rounds"])]
        seen["told"] = told(strategy.results, to_numpy(run.arrays), accuracies, ledger)
        seen["failures"] = {number: [str(one) for one in found] for number, found in strategy.failures.items()}

    resources = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
    run_simulation(server, client, num_supernodes=config["parties"], backend_config=resources)
    outcome, model = seen["told"]
    return outcome | {"failures": seen["failures"]}, model


def by_memory(config, directory):
    names = [f"party-{i}" for i in range(config["parties"])]
    model = to_numpy(task.initial())
    ledger = ledger_of(config, directory / "memory.ledger")
    plan, results, accuracies = plan_of(config), [], []
    session = sfl.MemorySession(plan, names, ledger=ledger)
    for number in range(1, config["rounds"] + 1):
        updates, weights, metrics = {}, {}, {}
        for index, name in enumerate(names):
            moved, examples, loss = task.trained(as_record(model), index, len(names), number)
            updates[name] = {key: array - model[key] for key, array in to_numpy(moved).items()}
            weights[name] = examples if plan.max_weight > 1 else 1
            metrics[name] = {"loss": loss} if plan.metrics else {}
        drop = {names[index]: "masked_input" for index in lost_in(config, number)}
        result = session.round(updates, weights=weights, metrics=metrics, model=model, drop=drop)
        results.append(result)
        model = {key: (array + result.mean[key]).astype(array.dtype) for key, array in model.items()}
        accuracies.append(task.accuracy(as_record(model)))
    return told(results, model, accuracies, ledger)


def as_record(model):
    return ArrayRecord({name: Array(leaf) for name, leaf in model.items()})


if __name__ == "__main__":
    engine, target, config = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    started = time.perf_counter()
    outcome, model = (by_flower if engine == "flower" else by_memory)(config, target)
    outcome["seconds"] = time.perf_counter() - started
    np.savez(target / f"{engine}.npz", **model)
    (target / f"{engine}.json").write_text(json.dumps(outcome), encoding="utf-8")
