"""What securefl costs a Flower app: the same app under Flower's simulation, unsecured and secured, seconds and bytes a round by phase.

    securefl bench flower_overhead        or        python benchmarks/speed/flower_overhead.py

Ten nodes on Ray, a model of 100 000 values, training that does nothing but add a number: all that is measured is exchange and
protection. Rounds after the first are compared, medians; in the first Ray starts its workers. The secured rounds have prefetched keys.
A real deployment starts a process for each exchange, which costs seconds: there the number of exchanges decides.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ |= {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, Strategy
from flwr.simulation import run_simulation
from harness import parser, publish, row

import securefl as sfl
from securefl.flower import SecureAggregation, secure_mod, template_of

NODES = 10


def train(message: Message, context: Context) -> Message:
    """Add a number that is the node's own."""
    own = np.float32(0.001 * (1 + int(context.node_config["partition-id"])))
    arrays = ArrayRecord({name: Array(array.numpy() + own) for name, array in message.content["arrays"].items()})
    metrics = MetricRecord({"num-examples": 10})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


def app(mods: list[Any]) -> ClientApp:
    """The node's side."""
    made = ClientApp(mods=mods)
    made.train()(train)
    return made


class Metered:
    """A grid that notes the seconds, and the bytes up and down, of every exchange.

    Args:
        grid: Flower's.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self.exchanges: list[tuple[float, int, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._grid, name)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """As the grid's own."""
        sent = list(messages)
        if not sent:
            return []
        started = time.perf_counter()
        replies = list(self._grid.send_and_receive(sent, timeout=timeout))
        seconds = time.perf_counter() - started
        self.exchanges.append((seconds, sum(map(size, replies)), sum(map(size, sent))))
        return replies


def size(message: Message) -> int:
    """Bytes of what a message carries, Flower's own framing aside."""
    if not message.has_content():
        return 0
    arrays = sum(len(a.data) for record in message.content.array_records.values() for a in record.values())
    ours = 0
    for record in message.content.config_records.values():
        for value in record.values():
            items = value if isinstance(value, list) else [value]
            ours += sum(len(item) for item in items if isinstance(item, bytes))
    return arrays + ours


def measure(values: int, rounds: int, protocol: sfl.SecAgg | None) -> dict[str, Any]:
    """One simulation; of each exchange of a round after the first the median seconds and bytes."""
    found: dict[str, Any] = {}
    server = ServerApp()

    @server.main()
    def main(grid: Grid, context: Context) -> None:  # noqa: ARG001 - Flower's signature
        arrays = ArrayRecord({"w": Array(np.zeros(values, np.float32))})
        strategy: Strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=NODES, min_available_nodes=NODES)
        if protocol is not None:
            plan = sfl.Plan(template=template_of(arrays), parties=NODES, protocol=protocol, max_weight=100)
            strategy = SecureAggregation(FedAvg(fraction_evaluate=0.0), plan=plan)
        metered = Metered(grid)
        result = strategy.start(grid=metered, initial_arrays=arrays, num_rounds=rounds)
        found["exchanges"] = metered.exchanges
        found["model"] = float(result.arrays["w"].numpy()[0])
        if isinstance(strategy, SecureAggregation):
            found["phases"] = list(strategy.seconds[rounds])
            found["first"] = strategy.exchanges[1]

    run_simulation(
        server,
        app([] if protocol is None else [secure_mod]),
        num_supernodes=NODES,
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )
    phases = found.get("phases", ["train"])
    later = found["exchanges"][found.get("first", 1) :]
    found["by_phase"] = {
        phase: [statistics.median(part[k] for part in later[number :: len(phases)]) for k in range(3)]
        for number, phase in enumerate(phases)
    }
    return found


def main() -> None:
    """Measure and publish."""
    chosen = parser(__doc__ or "", repeats=6, quick=True, repeated="rounds").parse_args()
    values, rounds = (1_000, 2) if chosen.quick else (100_000, chosen.repeats)
    plain = measure(values, rounds, None)
    secured = measure(values, rounds, sfl.SecAgg(server="semi-honest", dropout=0.1, prefetch=True))
    expected = plain["model"]
    if abs(secured["model"] - expected) > 1e-3 * rounds:
        raise SystemExit(f"the secured model is {secured['model']}, the plain one {expected}")
    totals = {
        name: [sum(part[k] for part in run["by_phase"].values()) for k in range(3)]
        for name, run in (("plain", plain), ("secured", secured))
    }
    rows = [
        row(
            f"{what}, a round of {NODES} nodes x {values} values",
            totals["secured"][k],
            totals["plain"][k],
            unit=unit,
            peer_name="unsecured",
        )
        for k, what, unit in ((0, "seconds", "s"), (1, "bytes up", "B"), (2, "bytes down", "B"))
    ]
    notes = [
        f"{phase}: {seconds:.3g} s, {up:.0f} bytes up, {down:.0f} bytes down"
        for phase, (seconds, up, down) in secured["by_phase"].items()
    ]
    publish(rows, chosen.json, notes=notes, phases=secured["by_phase"], plain=plain["by_phase"])


if __name__ == "__main__":
    main()
