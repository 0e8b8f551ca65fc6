"""A federation on a disk that parties and server crash on: every incarnation, every snapshot, and every byte that left."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from integration.wire_oracle import Oracle
from reference import messages
from securefl import ClientPolicy, FixedPoint, Plan, SecAgg, SecAggClient, SecAggServer, SecureFLError
from securefl.errors import LocalProtocolError, RoundAbortedError
from securefl.plan import Roster
from securefl.records.used_file import UsedFile
from securefl.secagg.states import ServerState
from securefl.types import ServerModel

ACTIVE, SEMI_HONEST = ServerModel.ACTIVE, ServerModel.SEMI_HONEST
PASSWORD = "correct horse"
LENGTH = 5
TOP = 2047

K_REGULAR = {"server": SEMI_HONEST, "graph": "k-regular", "neighbours": 4, "dropout": 0.34}
"""Six parties on a ring of degree four, of whom two may be lost."""

KINDS = {
    ACTIVE: (messages.INVITE, messages.ROSTER, messages.CIPHERTEXTS, messages.SURVIVORS, messages.UNMASK),
    SEMI_HONEST: (messages.INVITE, messages.ROSTER, messages.CIPHERTEXTS, messages.UNMASK),
}
"""What a party is told in a round, in order."""


@contextlib.contextmanager
def cheap() -> Iterator[None]:
    """Passwords and disks that cost nothing, and vectors of several chunks."""
    with (
        mock.patch("securefl.crypto.password._LOG2_N", 1),
        mock.patch("securefl.records.journal.os.fsync"),
        mock.patch("securefl.secagg.masked_input.CHUNK_VALUES", 2),
        mock.patch("securefl.session.masking.CHUNK_VALUES", 2),
    ):
        yield


def kind_of(data: bytes) -> int:
    """The kind of a message, which stands in its third byte: an array, the version, the kind."""
    return data[2]


class Mail(NamedTuple):
    """One message under way."""

    up: bool
    name: str
    data: bytes

    @property
    def kind(self) -> int:
        return kind_of(self.data)


class Party:
    """A party: what lies on its disk, and the program that runs, if one does."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name, self.index = world, name, world.names.index(name)
        self.used_path = world.directory / f"{name}.used"
        self.snapshots: list[bytes] = []
        self.client: SecAggClient | None = None
        self.update: dict[str, np.ndarray] = {}
        self._left: set[bytes] = set()
        self.start()

    def start(self) -> None:
        """A new program with the used-file that lies there, if one does; without a snapshot."""
        world = self.world
        self.client = SecAggClient(
            self.name,
            roster=world.roster,
            policy=world.policy,
            identity=world.keys.get(self.name),
            used=UsedFile.open_or_create(self.used_path),
        )
        self.submit()

    def submit(self) -> None:
        """Hand in what this incarnation trained: never twice the same."""
        assert self.client is not None
        self.update = {"w": self.world.rng.integers(-TOP, TOP, LENGTH, endpoint=True).astype(np.float32)}
        self.client.submit(self.update)

    def crash(self) -> None:
        """The program is gone, and what it had in memory."""
        self.client = None

    def reopened(self, at: int = -1, **changes: Any) -> SecAggClient:
        """What a snapshot gives."""
        world = self.world
        given = {
            "roster": world.roster,
            "policy": world.policy,
            "identity": world.keys.get(self.name),
            "used": UsedFile.open(self.used_path),
        }
        return SecAggClient.restore(self.snapshots[at], PASSWORD, **{**given, **changes})

    def restore(self, at: int = -1) -> bool:
        """Go on from a snapshot; from none, with the used-file alone, where it is refused. Returns whether it was taken."""
        try:
            self.client = self.reopened(at)
        except SecureFLError as refusal:
            self.world.refusals.append((self.name, refusal))
            self.start()
            return False
        self.submit()
        return True

    def receive(self, data: bytes) -> list[bytes]:
        """Hand a message in; what comes out counts as sent. A snapshot is taken before it leaves."""
        assert self.client is not None
        self.world.oracle.told(self.index, data)
        try:
            answers = self.client.receive(data)
        except LocalProtocolError:  # it trained for a round that it never came back to; so it trains for this one
            self.submit()
            answers = self.client.receive(data)
        fresh: set[bytes] = set()
        for answer in answers:
            kind, ctx = self.world.oracle.from_party(self.index, answer)
            if kind == messages.MASKED_INPUT and answer not in self._left:
                fresh.add(ctx)
        for ctx in fresh:
            self.world.masked.setdefault((ctx, self.name), []).append(self.update["w"])
        self._left.update(answers)
        if self.world.autosave:
            self.save()
        return answers

    def save(self) -> None:
        assert self.client is not None
        self.snapshots.append(self.client.save(PASSWORD))


class Host:
    """The server, on its disk."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.used_path = world.directory / "server.used"
        self.snapshots: list[bytes] = []
        self.server: SecAggServer | None = SecAggServer(
            world.plan, roster=world.roster, used=UsedFile.open_or_create(self.used_path)
        )
        self.save()

    def run(self, act: Callable[[SecAggServer], list[tuple[str, bytes]]]) -> list[tuple[str, bytes]]:
        """Let the server do something; what comes out counts as sent. A snapshot is taken before it leaves."""
        assert self.server is not None
        outgoing = act(self.server)
        for _, data in outgoing:
            self.world.oracle.from_server(data)
        if self.world.autosave:
            self.save()
        return outgoing

    def crash(self) -> None:
        self.server = None

    def restore(self, at: int = -1) -> None:
        """Go on from a snapshot: what was decided since is in the used-file only."""
        self.world.aborted = None
        self.server = SecAggServer.restore(
            self.snapshots[at], PASSWORD, roster=self.world.roster, used=UsedFile.open(self.used_path)
        )

    def save(self) -> None:
        assert self.server is not None
        self.snapshots.append(self.server.save(PASSWORD))


class World:
    """Parties, a server, the mail between them, and the oracle.

    Args:
        directory: the disk.
        n: parties.
        protocol: of the plan; an active server by default.
        policy: the parties' floors, beside what the plan needs.
        autosave: whether both sides take a snapshot after every message, before an answer leaves.
        seed: of the updates.
    """

    def __init__(
        self,
        directory: Path,
        *,
        n: int = 5,
        protocol: Mapping[str, Any] | None = None,
        policy: Mapping[str, Any] | None = None,
        autosave: bool = True,
        seed: int = 0,
    ) -> None:
        given = {"threshold": 3, "server": ACTIVE} if protocol is None else dict(protocol)
        self.directory, self.autosave = directory, autosave
        self.names = [f"hospital-{i}" for i in range(n)]
        self.rng = np.random.default_rng(seed)
        active = given["server"] == ACTIVE
        self.roster, self.keys = Roster.generate(self.names) if active else (Roster.unsigned(self.names), {})
        self.plan = Plan(
            parties=n,
            protocol=SecAgg(**given),
            template={"w": ((LENGTH,), "float32")},
            encoding=FixedPoint(value_bits=12, bound=float(TOP)),
        )
        chosen = self.plan.parameters
        self.told = KINDS[chosen.server]
        self.policy = ClientPolicy(server=chosen.server, graphs=(chosen.graph,), **(policy or {}))
        verify_keys = [member.verify_key for member in self.roster.members] if active else None
        self.oracle = Oracle(self.roster.digest(), verify_keys, parties=n, threshold=chosen.threshold)
        self.refusals: list[tuple[str, SecureFLError]] = []
        self.masked: dict[tuple[bytes, str], list[np.ndarray]] = {}
        self.mail: deque[Mail] = deque()
        self.delivered: list[Mail] = []
        self.aborted: RoundAbortedError | None = None
        self.parties = {name: Party(self, name) for name in self.names}
        self.host = Host(self)

    # The mail.

    def post(self, outgoing: list[tuple[str, bytes]]) -> None:
        self.mail += [Mail(up=False, name=name, data=data) for name, data in outgoing]

    def serve(self, act: Callable[[SecAggServer], list[tuple[str, bytes]]]) -> list[tuple[str, bytes]]:
        """Let the server do something; a typed error ends the round or is noted, any other one fails the test."""
        try:
            return self.host.run(act)
        except RoundAbortedError as aborted:
            self.aborted = aborted
        except SecureFLError as refusal:
            self.refusals.append(("server", refusal))
        return []

    def hand(self, name: str, data: bytes) -> list[bytes]:
        """Give a party a message of the server; a typed refusal is noted."""
        try:
            return self.parties[name].receive(data)
        except SecureFLError as refusal:
            self.refusals.append((name, refusal))
            return []

    def handle(self, mail: Mail) -> list[Mail]:
        """Deliver one message; what it leads to is returned, and under way only when it is put there."""
        if mail.up:
            if self.host.server is None:
                return []
            return [
                Mail(up=False, name=name, data=data)
                for name, data in self.serve(lambda server: server.receive(mail.data, party=mail.name))
            ]
        if self.parties[mail.name].client is None:
            return []
        return [Mail(up=True, name=mail.name, data=data) for data in self.hand(mail.name, mail.data)]

    def deliver(self) -> Mail:
        """Deliver the oldest message."""
        mail = self.mail.popleft()
        self.delivered.append(mail)
        self.mail += self.handle(mail)
        return mail

    def play_until(self, name: str, kind: int) -> Mail:
        """Deliver until the next message is the server's of this kind to that party; it is taken out and returned."""
        while True:
            mail = self.mail[0]
            if not mail.up and mail.name == name and mail.kind == kind:
                return self.mail.popleft()
            self.deliver()

    # The round.

    def begin(self) -> None:
        """Start a round; everybody has trained for it."""
        self.aborted = None
        self.mail.clear()
        for party in self.parties.values():
            if party.client is None:
                party.start()
            party.submit()
        self.post(self.serve(lambda server: server.start_round()))

    @property
    def over(self) -> bool:
        server = self.host.server
        return self.aborted is not None or server is None or server.step is None

    def finish(self) -> frozenset[str] | None:
        """Deliver everything; where somebody is still missing, send again once, then close the phase.

        Returns:
            The survivors, whose sum was compared; None where the round was aborted by name.
        """
        asked_again = None
        for _ in range(1000):
            if self.over:
                return self.outcome()
            if self.mail:
                self.deliver()
                continue
            server = self.host.server
            assert server is not None
            if asked_again != server.step:
                asked_again = server.step
                self.post(self.serve(lambda server: server.resend()))
            else:
                self.post(self.serve(lambda server: server.close_phase()))
        raise AssertionError("the round does not end")

    def outcome(self) -> frozenset[str] | None:
        """What the round ended in."""
        server = self.host.server
        assert server is not None
        state = server._round.state if server._round is not None else None
        if (
            self.aborted is not None or state is not ServerState.DONE
        ):  # or it is back where there was no round, or an aborted one
            return None
        result = server.result()
        ctx = self.oracle.roots[server.session, server._number]
        masked = [self.masked[ctx, name] for name in result.survivors]
        exact = [np.sum(vectors, axis=0, dtype=np.int64) for vectors in itertools.product(*masked)]
        assert any(np.array_equal(result.sum["w"], total) for total in exact), "a wrong sum"
        assert len(result.survivors) >= max(3, self.plan.parameters.min_survivors)
        return frozenset(result.survivors)

    def whole_round(self, attempts: int = 1) -> None:
        """A round with everybody, within so many attempts."""
        for _ in range(attempts):
            self.begin()
            if self.finish() == frozenset(self.names):
                return
        raise AssertionError(f"no round with everybody: {self.aborted}, {self.refusals[-3:]}")

    def refused(self, name: str) -> list[SecureFLError]:
        """What was refused by somebody."""
        return [refusal for who, refusal in self.refusals if who == name]
