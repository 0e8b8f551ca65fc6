"""Recorded rounds, and from them every state of a client and of the server, rebuilt as often as it takes.

A world is a plan with its parties; two rounds of it are played with randomness from a seed, the second on prefetched keys. The last
party of the roster falls silent: in the first round before it sends its vector, so that masks of a party that left are in play, in the
second before it deals, so that A_u is not everybody. At every moment of that record both roles are saved; a scene is one of them at one
moment, with the messages that are due to it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import numpy as np

from securefl import (
    ClientPolicy,
    FixedPoint,
    Plan,
    RoundAbortedError,
    SecAgg,
    SecAggClient,
    SecAggServer,
    SecureFLError,
)
from securefl.crypto.signing import SigningKey
from securefl.plan import Roster
from securefl.plan.roster import Member
from securefl.secagg.client import ClientRound, SavedClientRound
from securefl.secagg.server import SavedServerRound
from securefl.secagg.states import ClientState, ServerState
from securefl.session.submission import Submission
from securefl.types import ServerModel, Step
from securefl.wire.envelope import parse
from securefl.wire.messages import Kind

Mail = list[tuple[int, bytes]]
CHUNK = 3
"""Values in one message here: vectors travel in more than one, without a million values."""
SILENT = {1: Kind.MASKED_INPUT, 2: Kind.SHARES}
"""The message of each round that the last party does not send."""
UP = frozenset({Kind.ADVERTISE, Kind.SHARES, Kind.MASKED_INPUT, Kind.CONSISTENCY, Kind.UNMASK_SHARES})


class Seeded:
    """Randomness that everybody can repeat."""

    def __init__(self, seed: object) -> None:
        self._random = random.Random(repr(seed))

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def below(self, bound: int) -> int:
        return self._random.randrange(bound)


@contextlib.contextmanager
def small_chunks() -> Iterator[None]:
    """Let the parts of a vector be small ones."""
    with (
        mock.patch("securefl.secagg.masked_input.CHUNK_VALUES", CHUNK),
        mock.patch("securefl.session.masking.CHUNK_VALUES", CHUNK),
    ):
        yield


@dataclasses.dataclass(frozen=True)
class SavedParty:
    """A party's session: its rounds, and what it remembers."""

    current: SavedClientRound | None
    following: SavedClientRound | None
    number: int
    latest: Mapping[bytes, int]
    invited: bool


@dataclasses.dataclass(frozen=True)
class Moment:
    """Both roles, and the mail under way, between two messages."""

    number: int
    server: SavedServerRound
    parties: tuple[SavedParty, ...]
    down: tuple[tuple[int, bytes], ...]
    up: tuple[tuple[int, bytes], ...]
    prefetched: tuple[tuple[int, bytes], ...] = ()


class World:
    """A plan, its parties, and the record of two rounds.

    Args:
        name: for reports.
        n: parties.
        server: the server model.
        how: other fields of the protocol.
    """

    def __init__(self, name: str, n: int, server: ServerModel, **how: object) -> None:
        self.name, self.n = name, n
        self.active = server is ServerModel.ACTIVE
        names = [f"party-{i}" for i in range(n)]
        self.identities = [SigningKey.from_bytes(bytes([9, i]) + bytes(30)) for i in range(n)]
        signed = tuple(Member(who, key.verify_key) for who, key in zip(names, self.identities, strict=True))
        self.roster = Roster(signed) if self.active else Roster.unsigned(names)
        self.plan = Plan(
            template={"w": ((7,), "float64")},
            parties=n,
            protocol=SecAgg(server=server, prefetch=True, **how),  # type: ignore[arg-type]
            encoding=FixedPoint(value_bits=12, bound=2047.0),
            purpose="fuzzing",
        )
        self.policy = ClientPolicy.matching(self.plan)
        rng = np.random.default_rng(n)
        # Whole numbers on a grid of whole numbers: what is summed is known to the last bit.
        self.updates = [rng.integers(-2047, 2048, 7).astype(np.float64) for _ in range(n)]
        self.session = b""
        self.moments: list[tuple[str, Moment]] = []
        self.library: list[bytes] = []
        """Every message of the record, of both rounds."""
        self.sealing: dict[tuple[bytes, int, int], bytes] = {}
        """What insiders know: the key that seals a dealer's shares to a holder, by ctx."""
        self.contexts: dict[tuple[bytes, int], bytes] = {}
        with small_chunks():
            self._record()

    # Both roles, rebuilt.

    def server_at(self, moment: Moment) -> SecAggServer:
        """The server as it was."""
        server = SecAggServer(self.plan, roster=self.roster, random=Seeded("server"))
        server.session, server._number = self.session, moment.number
        server._round = server._new_round()
        server._round.resume(moment.server)
        server._traffic = dict.fromkeys(Step, (0, 0))
        return server

    def party(self, party: int) -> SecAggClient:
        """A fresh client, with its update at hand."""
        identity = self.identities[party] if self.active else None
        client = SecAggClient(
            self.roster.names[party],
            roster=self.roster,
            policy=self.policy,
            identity=identity,
            random=Seeded(("party", party)),
        )
        client._submission = Submission({"w": self.updates[party]}, 1, {}, None, None)
        return client

    def party_at(self, moment: Moment, party: int) -> SecAggClient:
        """A client as it was."""
        saved, client = moment.parties[party], self.party(party)
        client._random = Seeded(("party", party, moment.number))
        if saved.invited:
            client._plan = self.plan
        client._latest = dict(saved.latest)
        client._round = self._round_at(client, saved.current, saved.number)
        client._next = self._round_at(client, saved.following, saved.number + 1)
        return client

    def _round_at(self, client: SecAggClient, saved: SavedClientRound | None, number: int) -> ClientRound | None:
        if saved is None:
            return None
        current = client._new_round(self.plan.for_round(self.session, number, roster=self.roster))
        current.resume(saved)
        return current

    # The record.

    def _record(self) -> None:
        server = SecAggServer(self.plan, roster=self.roster, random=Seeded(("server", self.name)))
        clients = [self.party(i) for i in range(self.n)]
        for i, client in enumerate(clients):
            client._random = Seeded(("recorded", self.name, i))
        self.session = server.session
        places = {name: i for i, name in enumerate(self.roster.names)}
        for number in (1, 2):
            down = [(places[name], data) for name, data in server.start_round()]
            for client in clients:
                client.submit({"w": self.updates[places[client.party]]})
            while not server.done:
                kind = self._kind(down[0][1])
                self._note(f"round {number}, {kind.name} under way", server, clients, down, [])
                up = [
                    (party, answer)
                    for party, data in down
                    for answer in clients[party].receive(data)
                    if not (party == self.n - 1 and self._kind(answer) is SILENT[number])
                ]
                kind = self._kind(up[0][1])
                self._note(f"round {number}, {kind.name} due", server, clients, [], up)
                down = []
                for place, (party, data) in enumerate(up):
                    if place and party == up[-1][0] and party != up[place - 1][0]:
                        self._note(f"round {number}, one {kind.name} missing", server, clients, [], up[place:])
                    down += server.receive(data, party=self.roster.names[party])
                if not down and not server.done:
                    down = server.close_phase()
                down = [(places[name], data) for name, data in down]
                self.contexts[self.session, number] = server._round.binding  # type: ignore[union-attr]
            self._note(f"round {number} over", server, clients, [], [])

    def _note(self, label: str, server: SecAggServer, clients: list[SecAggClient], down: Mail, up: Mail) -> None:
        number = server._number
        parties = []
        for index, client in enumerate(clients):
            current, following = client._round, client._next
            saved = current.save() if current is not None else None
            if saved is not None and saved.kept.keys is not None and current is not None:
                ctx = current._kept.keys.ctx  # type: ignore[union-attr]
                for item in saved.kept.incoming:
                    self.sealing[ctx, item.source, index] = item.key
            at = current.context.round if current is not None else number
            ahead = following.save() if following is not None else None
            parties.append(SavedParty(saved, ahead, at, dict(client._latest), client._plan is not None))
        current_round = server._round
        assert current_round is not None
        prefetched = tuple(sorted(current_round.prefetched.items()))
        self.library += [data for _, data in (*down, *up, *prefetched)]
        self.moments.append(
            (label, Moment(number, current_round.save(), tuple(parties), tuple(down), tuple(up), prefetched))
        )

    def _kind(self, data: bytes) -> Kind:
        return parse(data, parties=self.n).kind

    # The rest of a round, played by honest parties.

    def finish(self, server: SecAggServer, clients: list[SecAggClient], down: Mail, up: Mail) -> dict[int, list[bytes]]:
        """Deliver what is under way and all that follows; returns what each party sent. What is refused is dropped."""
        places = {name: i for i, name in enumerate(self.roster.names)}
        sent: dict[int, list[bytes]] = {}
        for _ in range(8):
            for party, data in down:
                with contextlib.suppress(SecureFLError):
                    for answer in clients[party].receive(data):
                        sent.setdefault(party, []).append(answer)
                        up.append((party, answer))
            if server.done:
                break
            step, down = server.step, []
            with contextlib.suppress(RoundAbortedError):
                for _, data in up:
                    with contextlib.suppress(SecureFLError):
                        down += [(places[name], out) for name, out in server.receive(data)]
                    if server.done:
                        break
                if not server.done and server.step is step:
                    down = [(places[name], out) for name, out in server.close_phase()]
            up = []
        assert server.done, "the round neither ended nor aborted"
        return sent


@dataclasses.dataclass(frozen=True)
class Scene:
    """One role at one moment, and what is due to it.

    Args:
        name: for reports.
        world: where it plays.
        moment: when.
        party: the client that is attacked; None for the server.
        due: the genuine messages that this role could take now.
        ctx: what those are sealed under, if not under ctx0.
        change: what is done to the rebuilt role to bring it into its state.
        before: messages that the server has taken since the moment.
        playable: whether the round can be played on from here.
        ahead: the message is one that rides ahead: for the server the next round's keys.
    """

    name: str
    world: World
    moment: Moment
    party: int | None
    due: tuple[bytes, ...]
    ctx: bytes
    change: Callable[[SecAggClient | SecAggServer], None] | None = None
    before: tuple[bytes, ...] = ()
    playable: bool = True
    ahead: bool = False

    def act(self, role: SecAggClient | SecAggServer, data: bytes) -> list[Any]:
        """Hand the message in; returns what the role sends."""
        if self.ahead and isinstance(role, SecAggServer):
            assert role._round is not None
            role._round._got.prefetched[TARGET] = data
            return role.start_round()
        return role.receive(data)

    def build(self) -> SecAggClient | SecAggServer:
        """The role in its state."""
        if self.party is None:
            server = self.world.server_at(self.moment)
            for data in self.before:
                server.receive(data)
            if self.change is not None:
                self.change(server)
            return server
        client = self.world.party_at(self.moment, self.party)
        if self.change is not None:
            self.change(client)
        return client


TARGET = 1


def _abort(role: SecAggClient | SecAggServer) -> None:
    assert role._round is not None
    role._round.abort()


def _unready(role: SecAggClient | SecAggServer, data: bytes) -> None:
    """Shares are there, and nothing is masked yet."""
    assert isinstance(role._round, ClientRound)
    role._round.receive(parse(data, parties=len(role._roster)))
    assert role._round.state is ClientState.READY


def _unstarted_client(role: SecAggClient | SecAggServer, world: World) -> None:
    assert isinstance(role, SecAggClient)
    role._plan = world.plan
    role._round = role._new_round(world.plan.for_round(world.session, 1, roster=world.roster))


def _unstarted_server(role: SecAggClient | SecAggServer) -> None:
    assert isinstance(role, SecAggServer)
    role._round = role._new_round()


def scenes_of(world: World) -> Iterator[Scene]:
    """Every state of both roles."""
    ctx1 = world.contexts[world.session, 1]
    for label, moment in world.moments:
        ctx = world.contexts[world.session, moment.number]
        name = f"{world.name}: {label}"
        if moment.down:
            data = dict(moment.down).get(TARGET, b"")
            if not data:  # only those without keys ahead are invited
                continue
            kind = world._kind(data)
            yield Scene(f"{name}, to a party", world, moment, TARGET, (data,), ctx)
            if kind is Kind.INVITE:
                start = functools.partial(_unstarted_client, world=world)
                yield Scene(f"{name}, party unstarted", world, moment, TARGET, (data,), ctx, start, playable=False)
            if kind is Kind.CIPHERTEXTS and moment.number == 1:
                ready = functools.partial(_unready, data=data)
                later = dict(_moment(world, 1, Kind.UNMASK).down)[TARGET]
                yield Scene(f"{name}, party ready", world, moment, TARGET, (data, later), ctx, ready, playable=False)
                yield Scene(f"{name}, party aborted", world, moment, TARGET, (data,), ctx, _abort, playable=False)
        elif moment.up:
            yield Scene(f"{name}, to the server", world, moment, None, tuple(data for _, data in moment.up), ctx)
            kind = world._kind(moment.up[0][1])
            if kind is Kind.MASKED_INPUT and "missing" not in label:
                (first, second), rest = moment.up[:2], moment.up[2:]
                begun = dataclasses.replace(moment, up=(second, *rest))
                due = tuple(data for _, data in begun.up)
                yield Scene(f"{name}, one begun", world, begun, None, due, ctx, before=(first[1],))
            if kind is Kind.SHARES and moment.number == 1 and "missing" not in label:
                due = tuple(data for _, data in moment.up)
                yield Scene(f"{name}, server aborted", world, moment, None, due, ctx, _abort, playable=False)
        elif moment.number == 1:
            ahead = tuple(data for _, data in moment.prefetched)
            yield Scene(f"{name}, keys sent ahead", world, moment, None, ahead, ctx1, ahead=True)
            answers = tuple(data for _, data in _last_up(world, 1))
            yield Scene(f"{name}, server done", world, moment, None, answers, ctx, playable=False)
            yield Scene(
                f"{name}, server unstarted", world, moment, None, answers, ctx, _unstarted_server, playable=False
            )
        else:
            last = dict(_moment(world, 2, Kind.UNMASK).down)[TARGET]
            yield Scene(f"{name}, party done", world, moment, TARGET, (last,), ctx, playable=False)


def _moment(world: World, number: int, kind: Kind) -> Moment:
    return next(m for label, m in world.moments if label == f"round {number}, {kind.name} under way")


def _last_up(world: World, number: int) -> tuple[tuple[int, bytes], ...]:
    return next(m for label, m in world.moments if label == f"round {number}, {Kind.UNMASK_SHARES.name} due").up


@functools.cache
def worlds() -> tuple[World, ...]:
    """Both server models on the complete graph, and the k-regular one."""
    return (
        World("active", 7, ServerModel.ACTIVE, threshold=4, max_colluders=0, min_survivors=3),
        World("semi-honest", 5, ServerModel.SEMI_HONEST, threshold=2, max_colluders=1, min_survivors=3),
        World(
            "k-regular",
            8,
            ServerModel.SEMI_HONEST,
            graph="k-regular",
            neighbours=4,
            threshold=2,
            max_colluders=1,
            min_survivors=6,
        ),
    )


@functools.cache
def scenes() -> tuple[Scene, ...]:
    """All scenes of all worlds, always in the same order."""
    return tuple(scene for world in worlds() for scene in scenes_of(world))


def states_seen() -> tuple[set[ClientState], set[ServerState]]:
    """The states that the scenes stand in."""
    clients: set[ClientState] = set()
    servers: set[ServerState] = set()
    with small_chunks():
        for scene in scenes():
            role = scene.build()
            if isinstance(role, SecAggClient):
                clients.add(role.state)
            else:
                servers.add(role._round.state if role._round is not None else ServerState.START)
    return clients, servers
