"""One round of Flower's SecAgg+ in this process: its own SecAggPlusWorkflow and its own secaggplus_mod, with a clock on each side.

What stands between them is a grid that hands messages over. As between machines, every message is serialised and parsed, which
counts for bytes but, in Flower's favour, not for time. The strategy does nothing, so that only the protocol is timed.

Import this module only where flwr is installed.
"""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")

import numpy as np
from flwr.app import Context, Message, RecordDict
from flwr.common import (
    Code,
    FitIns,
    FitRes,
    Parameters,
    Status,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.common.secure_aggregation.ndarrays_arithmetic import parameters_addition, parameters_mod
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage
from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.compat.common import recorddict_compat as compat
from flwr.proto.recorddict_pb2 import RecordDict as ProtoRecordDict
from flwr.server.client_manager import SimpleClientManager
from flwr.server.compat.legacy_context import LegacyContext
from flwr.server.strategy import FedAvg
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.server.workflow.secure_aggregation.secaggplus_workflow import SecAggPlusWorkflow
from flwr.supercore.task_identity import TaskIdentity
from rounds import Cost, OnStep, Setting, Stopwatch, leavers, values

from securefl.types import Graph, Step

# The package of that name exports a function of that name, which hides the module.
client_code = importlib.import_module("flwr.client.mod.secure_aggregation.secaggplus_mod")

STEPS = {
    Stage.SETUP: Step.ADVERTISE,
    Stage.SHARE_KEYS: Step.SHARE_KEYS,
    Stage.COLLECT_MASKED_VECTORS: Step.MASKED_INPUT,
    Stage.UNMASK: Step.UNMASK,
}
EXAMPLES = 1000
"""Each client's weight; the workflow's default for the largest."""

logging.getLogger("flwr").setLevel(logging.CRITICAL)
# What a SuperLink would set for the process of a ServerApp.
TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1


def run(wanted: Setting, on_step: OnStep) -> Cost:
    """One round of Flower's with the same n, d, t and leavers; on the k-regular graph with k + 1 shares, as it counts its own."""
    chosen = wanted.parameters
    shares = chosen.parties if chosen.graph is Graph.COMPLETE else chosen.neighbours + 1
    grid = _Grid(wanted, on_step)
    strategy = _Strategy(wanted)
    context = LegacyContext(_context(0), strategy=strategy, client_manager=SimpleClientManager())
    context.state.config_records[MAIN_CONFIGS_RECORD] = _config({WorkflowKey.CURRENT_ROUND: 1})
    context.state.array_records[MAIN_PARAMS_RECORD] = compat.parameters_to_arrayrecord(strategy.start, keep_input=True)
    workflow = SecAggPlusWorkflow(num_shares=shares, reconstruction_threshold=chosen.threshold, max_weight=EXAMPLES)
    grid.begin()
    workflow(grid, context)
    grid.end()
    if strategy.mean is None:
        raise RuntimeError(f"{wanted}: Flower's round was halted, its cost means nothing")
    stayed = frozenset(range(chosen.parties)) - leavers(wanted)
    expected = np.mean([values(party, wanted.length) for party in sorted(stayed)], axis=0)
    if not np.allclose(strategy.mean, expected, atol=1e-4):
        raise RuntimeError(f"{wanted}: Flower's mean is wrong, its cost means nothing")
    return grid.watch.cost(stayed)


def generate_and_add(length: int, keys: Iterable[bytes], bits: int) -> None:
    """Flower's masks generated, added and reduced, as its client does it."""
    total = [np.zeros(length, dtype=np.int64)]
    for key in keys:
        total = parameters_addition(total, pseudo_rand_gen(key, 1 << bits, [(length,)]))
    parameters_mod(total, 1 << bits)


def ready_to_mask(parties: int, threshold: int) -> Callable[[Parameters], dict[str, Any]]:
    """The masking step of one of Flower's clients that has its shares, as a function of its update."""
    setup = {
        Key.SAMPLE_NUMBER: parties,
        Key.SHARE_NUMBER: parties,
        Key.THRESHOLD: threshold,
        Key.CLIPPING_RANGE: 8.0,
        Key.TARGET_RANGE: 1 << 22,
        Key.MOD_RANGE: 1 << 32,
        Key.MAX_WEIGHT: float(EXAMPLES),
    }
    states, public = [], {}
    for number in range(1, parties + 1):
        state = client_code.SecAggPlusState(nid=number)
        answer = client_code._setup(state, _config(setup))  # noqa: SLF001 - the very code that is measured
        public[str(number)] = [answer[Key.PUBLIC_KEY_1], answer[Key.PUBLIC_KEY_2]]
        states.append(state)
    sources, ciphertexts = [], []
    for state in states:
        dealt = client_code._share_keys(state, _config(public))  # noqa: SLF001
        if state.nid != 1:
            sources.append(state.nid)
            ciphertexts.append(dealt[Key.CIPHERTEXT_LIST][dealt[Key.DESTINATION_LIST].index(1)])
    mail = _config({Key.CIPHERTEXT_LIST: ciphertexts, Key.SOURCE_LIST: sources})
    return lambda update: client_code._collect_masked_vectors(states[0], mail, EXAMPLES, update)  # noqa: SLF001


class _Grid:
    """Carries messages to the clients' own code and back; whatever happens between two calls is the server's time."""

    def __init__(self, wanted: Setting, on_step: OnStep) -> None:
        self.watch = Stopwatch()
        self._wanted = wanted
        self._on_step = on_step
        self._leavers = leavers(wanted)
        self._contexts = {_node(party): _context(_node(party)) for party in range(wanted.parameters.parties)}
        self._step = Step.ADVERTISE
        self._since = 0.0

    def begin(self) -> None:
        """Start the server's clock."""
        self._since = time.perf_counter()

    def end(self) -> None:
        """Stop the server's clock."""
        self.watch.add_server(self._step, time.perf_counter() - self._since)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Deliver all messages and return the answers of those who stay."""
        del timeout
        waiting = list(messages)
        self.end()
        answers = []
        for number, message in enumerate(waiting, 1):
            stage = message.content.config_records[RECORD_KEY_CONFIGS][Key.STAGE]
            self._step = STEPS[stage]
            answer = self._ask(message)
            if answer is not None:
                answers.append(answer)
            self._on_step(self._step, number, len(waiting))
        self.begin()
        return answers

    def _ask(self, message: Message) -> Message | None:
        node = message.metadata.dst_node_id
        party = _party(node)
        if self._step in {Step.MASKED_INPUT, Step.UNMASK} and party in self._leavers:
            return None
        message.content = _parsed(_serialised(message.content))
        training = 0.0

        def train(asked: Message, _: Context) -> Message:
            nonlocal training
            started = time.perf_counter()
            update = ndarrays_to_parameters([values(party, self._wanted.length)])
            result = FitRes(Status(Code.OK, ""), update, num_examples=EXAMPLES, metrics={})
            answer = Message(compat.fitres_to_recorddict(result, keep_input=True), reply_to=asked)
            training = time.perf_counter() - started
            return answer

        started = time.perf_counter()
        answer = client_code.secaggplus_mod(message, self._contexts[node], train)
        self.watch.add_client(party, self._step, time.perf_counter() - started - training)
        data = _serialised(answer.content)
        self.watch.sent(party, self._step, len(data))
        answer.content = _parsed(data)
        return answer


class _Strategy(FedAvg):
    """Asks everybody, and takes the mean that the workflow has computed."""

    def __init__(self, wanted: Setting) -> None:
        super().__init__()
        self.start = ndarrays_to_parameters([np.zeros(wanted.length, dtype=np.float32)])
        self.mean: np.ndarray[Any, Any] | None = None
        self._parties = wanted.parameters.parties

    def configure_fit(self, server_round: int, parameters: Parameters, client_manager: object) -> list[Any]:
        """The same instruction for every client."""
        del server_round, client_manager
        return [(_Proxy(_node(party)), FitIns(parameters, {})) for party in range(self._parties)]

    def aggregate_fit(self, server_round: int, results: list[Any], failures: list[Any]) -> tuple[None, dict[str, Any]]:
        """Every result bears the mean by now."""
        del server_round, failures
        (self.mean,) = parameters_to_ndarrays(results[0][1].parameters)
        return None, {}


class _Proxy:
    def __init__(self, node: int) -> None:
        self.node_id = node


def _node(party: int) -> int:
    return party + 1


def _party(node: int) -> int:
    return node - 1


def _context(node: int) -> Context:
    return Context(run_id=1, node_id=node, node_config={}, state=RecordDict(), run_config={})


def _config(entries: dict[str, Any]) -> Any:
    from flwr.app import ConfigRecord

    return ConfigRecord(entries)


def _serialised(content: RecordDict) -> bytes:
    return recorddict_to_proto(content).SerializeToString()


def _parsed(data: bytes) -> RecordDict:
    return recorddict_from_proto(ProtoRecordDict.FromString(data))
