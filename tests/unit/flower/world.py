"""A federation of nodes in this process: their files on disk, a training function without chance, and a grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg

from securefl import FixedPoint, Plan, Roster, SecAgg
from securefl.flower import SecureAggregation, secure_mod, template_of
from unit.flower.local import LocalGrid

BOUND = 2.0
BITS = 24
STEP = BOUND / (2 ** (BITS - 1) - 1)
"""One step of the encoding: what rounding may add to a value of one party, and so to the mean."""

ARRAYS = ArrayRecord(
    {
        "w": Array(np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)),
        "batches": Array(np.array(7)),
        "b": Array(np.ones(4, np.float64)),
        "scale": Array(np.array(0.5, np.float32)),
        "frozen": Array(np.array([True, False])),
        "index": Array(np.arange(3, dtype=np.uint8)),
    }
)


def trained(arrays: ArrayRecord, party: int, learning_rate: float = 0.1) -> ArrayRecord:
    """A step from the model towards the party's own optimum; counters count, flags flip."""
    after = {}
    for name, array in arrays.items():
        old = array.numpy()
        if old.dtype.kind == "f":
            new = old - learning_rate * (old - (party - 1.5) * np.cos(np.arange(old.size)).reshape(old.shape))
        else:
            new = ~old if old.dtype.kind == "b" else old + 1
        after[name] = Array(np.asarray(new, old.dtype))
    return ArrayRecord(after)


def train(message: Message, context) -> Message:
    party = context.node_config["number"]
    arrays = trained(message.content["arrays"], party)
    metrics = {"num-examples": 10 * (party + 1), "loss": 0.25 * party}
    return Message(RecordDict({"arrays": arrays, "metrics": MetricRecord(metrics)}), reply_to=message)


def app_of(function=train, *, protected: bool = True) -> ClientApp:
    app = ClientApp(mods=[secure_mod] if protected else [])
    app.train()(function)
    return app


def secagg(**changes) -> SecAgg:
    return SecAgg(**{"server": "active", "max_colluders": 0, "dropout": 0.2} | changes)


class World:
    """Nodes 100, 101, ... of parties party-0, party-1, ...; `config` may be changed before a run.

    Args:
        directory: of all files.
        parties: how many.
        policy: of every node, as TOML.
        function: that trains.
    """

    def __init__(self, directory: Path, *, parties: int = 5, policy: str = 'server = "active"\n', function=train):
        self.directory = directory
        self.names = [f"party-{i}" for i in range(parties)]
        self.roster, self.keys = Roster.generate(self.names)
        self.app = app_of(function)
        self.config = {}
        self.write("roster.toml", self.roster.to_toml())
        for i, name in enumerate(self.names):
            self.config[100 + i] = {
                "number": i,
                "securefl-party": name,
                "securefl-roster": str(directory / "roster.toml"),
                "securefl-policy": self.write(f"{name}.policy.toml", policy),
                "securefl-identity": self.write(f"{name}.pem", self.keys[name].to_pem(None)),
                "securefl-state": str(directory / name),
            }

    def write(self, name: str, data: str | bytes) -> str:
        path = self.directory / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return str(path)

    def plan(self, protocol=None, **changes) -> Plan:
        chosen = {
            "template": template_of(ARRAYS),
            "parties": self.roster,
            "protocol": protocol or secagg(),
            "encoding": FixedPoint(BITS, BOUND),
            "max_weight": 100,
            "metrics": {"loss": (0, 10)},
        }
        return Plan(**chosen | changes)

    def strategy(self, plan: Plan | None = None, inner=None, **arguments) -> SecureAggregation:
        return SecureAggregation(
            inner or FedAvg(fraction_evaluate=0.0), plan=plan or self.plan(), roster=self.roster, **arguments
        )

    def grid(self, silent=lambda _node, _number: False) -> LocalGrid:
        return LocalGrid(self.app, self.config, silent)


def run(strategy, grid: LocalGrid, rounds: int = 1, arrays: ArrayRecord = ARRAYS):
    """The arrays after some rounds; those from before where no round ended well."""
    result = strategy.start(grid=grid, initial_arrays=arrays, num_rounds=rounds)
    return result.arrays if len(result.arrays) else arrays


def mean_of(parties, arrays: ArrayRecord = ARRAYS) -> dict[str, np.ndarray]:
    """The model after one weighted round of these parties, in double precision."""
    weights = np.array([10.0 * (party + 1) for party in parties])
    updates = [trained(arrays, party) for party in parties]
    return {
        name: np.tensordot(weights / weights.sum(), [update[name].numpy().astype(float) for update in updates], 1)
        for name, array in arrays.items()
        if array.numpy().dtype.kind == "f"
    }


def differ(one: ArrayRecord, other) -> float:
    """The greatest difference of two models' arrays of floats."""
    gaps = []
    for name, array in one.items():
        if array.numpy().dtype.kind == "f":
            against = other[name].numpy() if isinstance(other, ArrayRecord) else other[name]
            gaps.append(np.max(np.abs(array.numpy().astype(float) - against)))
    return float(max(gaps))
