"""One round at the level of the ring: contexts, parties, and a loop that carries their bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from hypothesis import strategies as st

from securefl.crypto.signing import SigningKey
from securefl.encoding.ring import Ring
from securefl.errors import ProtocolError
from securefl.secagg.client import ClientRound
from securefl.secagg.key_list import KeyList
from securefl.secagg.parameters import Parameters, choose
from securefl.secagg.server import ServerRound
from securefl.secagg.states import ClientState, ServerState
from securefl.types import Graph, RoundContext, ServerModel, Step
from securefl.wire.envelope import Envelope, parse
from securefl.wire.messages import KeyEntry

IDENTITIES = [SigningKey.from_bytes(bytes([7, i]) + bytes(30)) for i in range(40)]
"""Identity keys for up to 40 parties; making them is not what is tested here."""

OVER = (ServerState.DONE, ServerState.ABORTED)


def context_of(
    chosen: Parameters, *, bits: int = 32, length: int = 3, round_number: int = 1, noise_labels: int = 0
) -> RoundContext:
    return RoundContext(
        session=b"a session's name",
        round=round_number,
        roster_digest=b"r" * 32,
        plan_digest=b"p" * 32,
        model_digest=bytes(32),
        parties=chosen.parties,
        threshold=chosen.threshold,
        max_colluders=chosen.max_colluders,
        min_survivors=chosen.min_survivors,
        server=chosen.server,
        ring_bits=bits,
        length=length,
        graph=chosen.graph,
        neighbours=chosen.neighbours if chosen.graph is Graph.K_REGULAR else 0,
        noise_labels=noise_labels,
    )


def key_list(context: RoundContext, attending: int | None = None, known: Iterable[int] | None = None) -> KeyList:
    """A key list as a party accepts it, with nobody's keys in it: for checks that look at who is there only."""
    attending = context.parties if attending is None else attending
    entries = {party: KeyEntry(party, bytes(32), bytes(32), b"") for party in known or range(attending)}
    return KeyList(context=context, ctx=bytes(32), root=bytes(32), entries=entries, attending=attending)


def names_of(parties: int) -> tuple[str, ...]:
    return tuple(f"party-{i}" for i in range(parties))


def server_of(context: RoundContext) -> ServerRound:
    keys = [IDENTITIES[i].verify_key for i in range(context.parties)] if context.active else None
    return ServerRound(context, names=names_of(context.parties), verify_keys=keys)


def client_of(context: RoundContext, party: int, **options) -> ClientRound:
    # A party learns the model from the key list, not from its own context.
    own = dataclasses.replace(context, model_digest=bytes(32))
    names = names_of(context.parties)
    if not context.active:
        return ClientRound(own, party, names=names, **options)
    keys = [IDENTITIES[i].verify_key for i in range(context.parties)]
    return ClientRound(own, party, names=names, identity=IDENTITIES[party], verify_keys=keys, **options)


def opened(data: bytes, parties: int, noise_labels: int = 0) -> Envelope:
    return parse(data, parties=parties, noise_labels=noise_labels)


def random_vectors(context: RoundContext, seed: int) -> list[np.ndarray]:
    """Vectors of full-size words, so that sums wrap."""
    rng, ring = np.random.default_rng(seed), Ring(context.ring_bits)
    return [
        rng.integers(0, ring.mask, context.length, dtype=np.uint64, endpoint=True).astype(ring.dtype)
        for _ in range(context.parties)
    ]


def integer_sum(vectors: Sequence[np.ndarray], survivors, bits: int) -> list[int]:
    """The sum modulo 2^b in Python's own integers, which know nothing of words."""
    length = len(vectors[0])
    return [sum(int(vectors[party][i]) for party in survivors) % 2**bits for i in range(length)]


class Round:
    """Server and parties of one round, and the messages between them.

    `forgiving`: a party that refuses the server's message falls silent, instead of failing the test.
    """

    def __init__(
        self,
        chosen: Parameters,
        *,
        bits: int = 32,
        length: int = 3,
        seed: int = 0,
        noise_labels: int = 0,
        forgiving: bool = False,
        **options,
    ) -> None:
        self.forgiving = forgiving
        self.refusals: dict[int, ProtocolError] = {}
        self.context = context_of(chosen, bits=bits, length=length, noise_labels=noise_labels)
        self.server = server_of(self.context)
        self.clients = [client_of(self.context, party, **options) for party in range(chosen.parties)]
        self.vectors = random_vectors(self.context, seed)
        self.down: list[tuple[int, bytes]] = []
        self.up: list[tuple[int, bytes]] = []
        self.server.start()

    def open(self, data: bytes) -> Envelope:
        return opened(data, self.context.parties, self.context.noise_labels)

    def ask(self) -> None:
        """Let every party answer what lies in `down` (or begin)."""
        if self.server.state is ServerState.ADVERTISE:
            self.up = [(party, client.advertise()) for party, client in enumerate(self.clients)]
            return
        mail, self.down, self.up = self.down, [], []
        for party, data in mail:
            client = self.clients[party]
            try:
                answers = client.receive(self.open(data))
            except ProtocolError as refusal:
                if not self.forgiving:
                    raise
                self.refusals[party] = refusal
                continue
            if client.state is ClientState.READY:
                answers += client.mask(self.vectors[party].copy())
            self.up += [(party, answer) for answer in answers]

    def collect(self, *, but: frozenset[int] = frozenset()) -> None:
        """Hand the server what lies in `up`, except from the parties in `but`, and end the phase."""
        state = self.server.state
        mail, self.up = self.up, []
        for party, data in mail:
            if party not in but:
                self.down += self.server.receive(self.open(data))
        if self.server.state is state:
            self.down = self.server.close_phase()

    def until(self, state: ServerState, drops: Mapping[int, Step] | None = None) -> None:
        """Go on until the server collects (but has nothing yet of) `state`; a party does not complete its step in `drops`."""
        gone: set[int] = set()
        while self.server.state is not state:
            if self.server.state in OVER:
                raise AssertionError(f"the round ended in {self.server.state} on its way to {state}")
            self.ask()
            step = Step(self.server.state.value)
            gone |= {party for party, at in (drops or {}).items() if at is step}
            self.collect(but=frozenset(gone))
            self.down = [(party, data) for party, data in self.down if party not in gone]


def run(chosen: Parameters, *, bits: int, length: int, seed: int, drops: Mapping[int, Step]) -> Round | ProtocolError:
    """A whole round; the round if it has a sum, or the error that ended it."""
    round_ = Round(chosen, bits=bits, length=length, seed=seed)
    return ended(round_, drops) or round_


def ended(round_: Round, drops: Mapping[int, Step]) -> ProtocolError | None:
    """Play a round to its end; returns the error that ended it, if one did."""
    try:
        round_.until(ServerState.DONE, drops)
    except ProtocolError as aborted:
        assert round_.server.state is ServerState.ABORTED
        return aborted
    return None


@st.composite
def parameters(draw, sizes: st.SearchStrategy[int]) -> Parameters:
    """Every valid (n, server, t, c, floor) of the complete graph."""
    n = draw(sizes)
    server = draw(st.sampled_from(ServerModel))
    # Half of them near their least values, so that there is room for dropouts.
    part = draw(st.sampled_from([1, 4]))
    if server is ServerModel.ACTIVE:
        least = n // 2 + 1
        threshold = draw(st.integers(least, least + (n - 1 - least) // part))
        most = min(2 * threshold - n - 1, n - 2)
    else:
        threshold = draw(st.integers(2, 2 + (n - 3) // part))
        most = threshold - 1
    colluders = draw(st.integers(0, most))
    least = max(3, colluders + 2)
    floor = draw(st.integers(least, least + (n - least) // part))
    return choose(n, server, threshold=threshold, max_colluders=colluders, min_survivors=floor)


@st.composite
def k_regular_parameters(draw, sizes: st.SearchStrategy[int]) -> Parameters:
    """Every (n, k, t, c, floor) of the k-regular graph on which the honest parties stay connected for certain: c + D < k.

    The statistical bounds of `choose` allow few so small ones; what both sides check of a round is met.
    """
    n = draw(sizes)
    k = 2 * draw(st.integers(1, (n - 1) // 2))
    dropped = draw(st.integers(0, min(k - 1, n - 3)))
    colluders = draw(st.integers(0, min(k - 1 - dropped, n - dropped - 2)))
    least = max(2, colluders + 1)
    most = max(least, k - dropped) if draw(st.booleans()) else k
    threshold = draw(st.integers(least, most))
    return Parameters(n, ServerModel.SEMI_HONEST, Graph.K_REGULAR, threshold, colluders, n - dropped, k)


any_size = st.one_of(st.integers(3, 8), st.integers(3, 16), st.integers(3, 40))
"""n in 3..40, most of them small: the cost of a round grows with n^2."""
