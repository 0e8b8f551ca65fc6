"""One round of secure aggregation in this process, by the real client and server and their real bytes, with a clock on each side.

Clients take turns, so the time of one is that of a party with the machine to itself. Messages are delivered one by one and
dropped. Nothing is said about the network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import statistics
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from securefl.crypto.signing import SigningKey
from securefl.encoding.fixed_point import FixedPoint
from securefl.encoding.ring import Ring, required_bits
from securefl.secagg.client import ClientRound
from securefl.secagg.parameters import Parameters, choose
from securefl.secagg.server import ServerRound
from securefl.secagg.states import ClientState, ServerState
from securefl.types import Graph, RoundContext, ServerModel, Step, Words
from securefl.wire.envelope import parse

GRID = FixedPoint(value_bits=16, bound=8.0)
WEIGHT = 1

OnStep = Callable[[str, int, int], None]
"""Told a step, how many clients have taken it, and of how many."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """A round that both sides are asked for.

    Args:
        parameters: n, t, the graph and its degree.
        length: d, values a vector.
        dropout: the fraction of parties that leave after sharing keys.
    """

    parameters: Parameters
    length: int
    dropout: float

    @property
    def dropped(self) -> int:
        """How many leave."""
        return math.floor(Fraction(str(self.dropout)) * self.parameters.parties)

    @property
    def bits(self) -> int:
        """The least ring in which the sum cannot wrap."""
        return required_bits(self.parameters.parties, WEIGHT, GRID.max_value)

    def __str__(self) -> str:
        """As it stands in the tables."""
        chosen = self.parameters
        graph = f"{chosen.graph} {chosen.neighbours}" if chosen.graph is Graph.K_REGULAR else f"{chosen.graph}"
        active = ", active server" if chosen.active else ""
        return f"n={chosen.parties} d={self.length:,} {graph} t={chosen.threshold} {self.dropped} dropped{active}"


def setting(
    parties: int,
    length: int,
    *,
    dropout: float,
    threshold: int | None = None,
    graph: Graph = Graph.COMPLETE,
    neighbours: int | None = None,
    server: ServerModel = ServerModel.SEMI_HONEST,
) -> Setting:
    """A round with safe parameters; on the k-regular graph those for 5 % of colluders and the given dropouts."""
    colluders = math.floor(0.05 * parties) if graph is Graph.K_REGULAR else None
    chosen = choose(
        parties,
        server,
        threshold=threshold,
        max_colluders=colluders,
        dropout=dropout,
        graph=graph,
        neighbours=neighbours,
    )
    # Without the reasons, so that the same round is equal however it was asked for.
    return Setting(dataclasses.replace(chosen, explanation=()), length, dropout)


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a round cost.

    Args:
        client: seconds of one client by step, the median over those that stayed.
        server: seconds of the server by step.
        bytes_up: bytes that one client sent by step, the mean over those that stayed.
    """

    client: dict[str, float]
    server: dict[str, float]
    bytes_up: dict[str, float]

    @property
    def client_total(self) -> float:
        """Seconds of one client in all its steps."""
        return sum(self.client.values())

    @property
    def server_total(self) -> float:
        """Seconds of the server in all steps."""
        return sum(self.server.values())

    @property
    def bytes_total(self) -> float:
        """Bytes that one client sent."""
        return sum(self.bytes_up.values())

    def to_dict(self) -> dict[str, object]:
        """For the JSON file."""
        totals = {"client_total": self.client_total, "server_total": self.server_total}
        return {**dataclasses.asdict(self), **totals, "bytes_up_total": self.bytes_total}


def middle(costs: list[Cost]) -> Cost:
    """The run whose server time is the median (the lower one of two): its parts belong together."""
    ordered = sorted(costs, key=lambda cost: cost.server_total)
    return ordered[(len(ordered) - 1) // 2]


class Stopwatch:
    """Adds up seconds and bytes by side, party and step."""

    def __init__(self) -> None:
        self._client: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
        self._server: dict[str, float] = defaultdict(float)
        self._bytes: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))

    @contextlib.contextmanager
    def client(self, party: int, step: str) -> Iterator[None]:
        """The clock of one client."""
        started = time.perf_counter()
        yield
        self._client[step][party] += time.perf_counter() - started

    @contextlib.contextmanager
    def server(self, step: str) -> Iterator[None]:
        """The clock of the server."""
        started = time.perf_counter()
        yield
        self._server[step] += time.perf_counter() - started

    def add_client(self, party: int, step: str, seconds: float) -> None:
        """Seconds measured elsewhere."""
        self._client[step][party] += seconds

    def add_server(self, step: str, seconds: float) -> None:
        """Seconds measured elsewhere."""
        self._server[step] += seconds

    def sent(self, party: int, step: str, size: int) -> None:
        """Bytes from a client to the server."""
        self._bytes[step][party] += size

    def cost(self, stayed: frozenset[int]) -> Cost:
        """What it came to, for the clients that stayed."""

        def of(by_party: dict[int, float] | dict[int, int]) -> list[float]:
            return [value for party, value in by_party.items() if party in stayed]

        return Cost(
            {step: statistics.median(of(seconds)) for step, seconds in self._client.items()},
            dict(self._server),
            {step: statistics.fmean(of(sizes)) for step, sizes in self._bytes.items()},
        )


def values(party: int, length: int) -> npt.NDArray[np.float32]:
    """The update of a party: made when it is needed, the same each time."""
    return np.random.default_rng(party).uniform(-1, 1, length).astype(np.float32)


def leavers(wanted: Setting) -> frozenset[int]:
    """Who leaves after sharing keys: spread over the roster."""
    parties = wanted.parameters.parties
    return frozenset(number * parties // wanted.dropped for number in range(wanted.dropped))


def run(wanted: Setting, on_step: OnStep) -> Cost:
    """One round of ours; the sum is compared with numpy's."""
    return OurRound(wanted, on_step).run()


class OurRound:
    """Server and clients, and the messages between them."""

    def __init__(self, wanted: Setting, on_step: OnStep) -> None:
        self._wanted = wanted
        self._on_step = on_step
        self._watch = Stopwatch()
        self._context = context_of(wanted)
        parties = wanted.parameters.parties
        self._names = tuple(f"party-{party}" for party in range(parties))
        self._identities = [SigningKey.generate() for _ in range(parties)] if wanted.parameters.active else []
        self._verify_keys = [identity.verify_key for identity in self._identities] or None
        self._clients: dict[int, ClientRound] = {}
        self._ring = Ring(wanted.bits)
        self._expected: Words = self._ring.zeros(wanted.length)

    def run(self) -> Cost:
        """Every step, and the check."""
        gone = leavers(self._wanted)
        with self._watch.server(Step.ADVERTISE):
            server = ServerRound(self._context, names=self._names, verify_keys=self._verify_keys)
            server.start()
        mail = deque((party, b"") for party in range(len(self._names)))
        while server.state is not ServerState.DONE:
            mail = self._phase(server, mail, gone if server.state is ServerState.MASKED_INPUT else frozenset())
        result = server.result()
        with self._watch.server("decode"):
            GRID.decode(self._ring.centre(result.total), "float32")
        if not np.array_equal(result.total, self._expected):
            raise RuntimeError(f"{self._wanted}: the sum is wrong, its cost means nothing")
        return self._watch.cost(result.survivors)

    def ready(self, party: int) -> ClientRound:
        """A client that has its shares and is about to mask."""
        server = ServerRound(self._context, names=self._names)
        server.start()
        mail = deque((index, b"") for index in range(len(self._names)))
        while server.state is not ServerState.MASKED_INPUT:
            mail = self._phase(server, mail, frozenset())
        client = self._clients[party]
        client.receive(parse(dict(mail)[party], parties=len(self._names)))
        return client

    def _phase(
        self, server: ServerRound, mail: deque[tuple[int, bytes]], gone: frozenset[int]
    ) -> deque[tuple[int, bytes]]:
        """Let every client answer its mail, one after the other; returns what the server sends next."""
        state, step = server.state, Step(server.state.value)
        outgoing: deque[tuple[int, bytes]] = deque()
        total = len(mail)
        while mail:
            party, data = mail.popleft()
            if party in gone:
                self._clients.pop(party, None)
                continue
            for answer in self._answers(party, data, step):
                self._watch.sent(party, step, len(answer))
                with self._watch.server(step):
                    outgoing.extend(server.receive(parse(answer, parties=len(self._names))))
            self._on_step(step, total - len(mail), total)
        if server.state is state:
            with self._watch.server(step):
                outgoing.extend(server.close_phase())
        return outgoing

    def _answers(self, party: int, data: bytes, step: Step) -> Iterator[bytes]:
        if step is Step.ADVERTISE:
            with self._watch.client(party, step):
                client = self._clients[party] = self._client(party)
                answers = [client.advertise()]
            yield from answers
            return
        client = self._clients[party]
        with self._watch.client(party, step):
            answers = client.receive(parse(data, parties=len(self._names)))
        yield from answers
        if client.state is ClientState.READY:
            yield from self._masked(party, client)
        elif client.state is ClientState.DONE:
            del self._clients[party]

    def _masked(self, party: int, client: ClientRound) -> Iterator[bytes]:
        update = values(party, self._wanted.length)
        with self._watch.client(party, "encode"):
            encoded = np.empty(len(update), dtype=np.int64)
            GRID.encode_into(update, encoded)
            vector = self._ring.reduce(encoded)
        self._ring.add_into(self._expected, vector)
        with self._watch.client(party, Step.MASKED_INPUT):
            messages = client.mask(vector)
        while True:
            with self._watch.client(party, Step.MASKED_INPUT):
                message = next(messages, None)
            if message is None:
                return
            yield message

    def _client(self, party: int) -> ClientRound:
        # A party learns the model from the key list, not from its own context.
        own = dataclasses.replace(self._context, model_digest=bytes(32))
        identity = self._identities[party] if self._identities else None
        return ClientRound(own, party, names=self._names, identity=identity, verify_keys=self._verify_keys)


def context_of(wanted: Setting) -> RoundContext:
    """The round, as both sides agreed on it."""
    chosen = wanted.parameters
    return RoundContext(
        session=os.urandom(16),
        round=1,
        roster_digest=os.urandom(32),
        plan_digest=os.urandom(32),
        model_digest=os.urandom(32),
        parties=chosen.parties,
        threshold=chosen.threshold,
        max_colluders=chosen.max_colluders,
        min_survivors=chosen.min_survivors,
        server=chosen.server,
        ring_bits=wanted.bits,
        length=wanted.length,
        graph=chosen.graph,
        neighbours=chosen.neighbours if chosen.graph is Graph.K_REGULAR else 0,
    )
