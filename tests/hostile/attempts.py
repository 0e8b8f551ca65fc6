"""One attempt: a message is handed to a role in its state, under a clock and a scale, and what follows is held against the law.

The law (protocol.md, attack list, 9): a typed error or no harm. A refusal leaves everything as it was, or the party has left its round
and holds no secret; what was accepted leads to the exact sum of the survivors or to a typed abort, and nobody answers twice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import re
import resource
import signal
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Never

import numpy as np

from hostile.pens import BODY, KIND, SENDER, opened, seal_again, written
from hostile.worlds import Mail, Scene, World, scenes, small_chunks
from securefl import PolicyRefusedError, RoundAbortedError, SecAggClient, SecAggServer, SecureFLError
from securefl.errors import ProtocolError
from securefl.secagg.client import ClientRound
from securefl.secagg.states import ClientState, ServerState
from securefl.wire import bitmap, codec
from securefl.wire.envelope import parse
from securefl.wire.messages import Kind, MaskedInput

SECONDS = 1.0
"""Longest that a message may keep its receiver busy."""
BYTES = 64 << 20
"""Most that it may make its receiver allocate."""
GIVEN_UP = 5.0
"""Seconds of processor time after which an attempt is stopped and counts as a hang."""
TYPED = (ProtocolError, PolicyRefusedError)
"""What a message from outside may raise; the other errors of the library are for callers and files."""


class HarmError(AssertionError):
    """An attempt that did harm.

    Args:
        what: the harm.
        scene: the number of the scene.
        data: the message.
        cause: a name for harms of one cause, to report each once.
    """

    def __init__(self, what: str, scene: int, data: bytes, cause: str) -> None:
        self.what, self.scene, self.data, self.cause = what, scene, data, cause
        shown = data.hex() if len(data) <= 3000 else f"{data[:1000].hex()}... ({len(data)} bytes)"
        super().__init__(f"{what}\n  scene {scene}: {scenes()[scene].name}\n  message: {shown}")


class HangError(BaseException):
    """The clock ran out; no `except Exception` on the way can swallow it."""


@dataclasses.dataclass
class Tally:
    """What many attempts came to."""

    attempts: int = 0
    accepted: int = 0
    left: int = 0
    refused: Counter[str] = dataclasses.field(default_factory=Counter)
    ways: Counter[str] = dataclasses.field(default_factory=Counter)
    """Refusals by their text without numbers: how many different checks were reached."""
    followed: int = 0
    exact: int = 0
    weighed: int = 0
    seconds: float = 0.0
    slowest: str = ""
    traced: int = 0
    resident: int = 0

    def add(self, other: Tally) -> None:
        """Add another tally to this one."""
        for name in ("attempts", "accepted", "left", "followed", "exact", "weighed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.refused += other.refused
        self.ways += other.ways
        if other.seconds > self.seconds:
            self.seconds, self.slowest = other.seconds, other.slowest
        self.traced, self.resident = max(self.traced, other.traced), max(self.resident, other.resident)

    def __str__(self) -> str:
        errors = ", ".join(f"{name} {count}" for name, count in self.refused.most_common())
        return (
            f"{self.attempts} attempts: {self.accepted} accepted, {self.left} made a party leave, refused with {errors or 'nothing'}; "
            f"{len(self.ways)} different refusals; {self.followed} rounds played on, {self.exact} to the exact sum, the others to a "
            f"typed abort; slowest {1000 * self.seconds:.1f} ms ({self.slowest}); most memory {self.traced / 2**20:.2f} MiB traced in "
            f"{self.weighed} of them, {self.resident / 2**20:.2f} MiB resident over any batch"
        )


class HighWater:
    """How much the process grew at its highest since `reset`, by the kernel's account."""

    def __init__(self) -> None:
        self._status = Path("/proc/self/status")
        self.reset()

    def reset(self) -> None:
        """Begin anew from what is resident now."""
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:  # not Linux, or not allowed: the highest ever then, which only grows
            self._base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
            self._own = False
        else:
            self._base, self._own = self._read("VmRSS"), True

    def growth(self) -> int:
        """Bytes."""
        now = self._read("VmHWM") if self._own else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        return max(now - self._base, 0)

    def _read(self, field: str) -> int:
        text = self._status.read_text()
        return int(text[text.index(field) + len(field) + 1 :].split(None, 1)[0]) << 10


@contextlib.contextmanager
def arena() -> Iterator[None]:
    """What attempts need around them: small chunks, and a clock that stops a hang."""

    def ring(_signal: int, _frame: FrameType | None) -> Never:
        raise HangError

    before = signal.signal(signal.SIGVTALRM, ring)
    try:
        with small_chunks():
            yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


class Target:
    """One scene under attack; its role is rebuilt when an attempt has changed it, and only then.

    Args:
        number: the scene's number.
        tally: where outcomes are counted.
    """

    def __init__(self, number: int, tally: Tally) -> None:
        self.number, self.scene, self.tally = number, scenes()[number], tally
        self._role: SecAggClient | SecAggServer | None = None
        self._print: Any = None

    def attempt(self, data: bytes, *, follow: bool = False, weigh: bool = False) -> None:
        """Hand in one message.

        Args:
            data: the message.
            follow: play the round to its end afterwards, whatever came of the message; what was accepted is followed in any case,
                but for keys sent ahead, which are always accepted at first.
            weigh: measure what Python allocates, which takes longer.

        Raises:
            HarmError: it did harm.
        """
        if self._role is None:
            self._role = self.scene.build()
            self._print = fingerprint(self._role)
        role, tally = self._role, self.tally
        tally.attempts += 1
        answers, error, seconds = self._hand_in(role, data, weigh=weigh)
        if seconds > SECONDS:
            seconds = min(seconds, *(self._hand_in(self.scene.build(), data)[2] for _ in range(2)))
            if seconds > SECONDS:
                raise self._harm(f"took {seconds:.2f} s", data, "slow")
        if seconds > tally.seconds:
            tally.seconds, tally.slowest = seconds, f"{self.scene.name}, {len(data)} bytes"
        if error is None:
            tally.accepted += 1
        else:
            tally.refused[type(error).__name__] += 1
            tally.ways[_way(error)] += 1
        changed = fingerprint(role) != self._print
        if changed or error is None or follow:
            self._role = None
        if error is not None and changed:
            self._check_left(role, error, data)
        if error is None and not self.scene.ahead:
            self._check_taken(role, data)
        # An attempt that changed something shows its harm, if any, only at the end of the round.
        if self.scene.playable and (follow or (error is None and not self.scene.ahead)):
            self._follow(role, answers, data, accepted=error is None)

    def _hand_in(
        self, role: SecAggClient | SecAggServer, data: bytes, *, weigh: bool = False
    ) -> tuple[list[Any], SecureFLError | None, float]:
        if weigh:
            self.tally.weighed += 1
            tracemalloc.start()
        error: SecureFLError | None = None
        answers: list[Any] = []
        signal.setitimer(signal.ITIMER_VIRTUAL, GIVEN_UP)
        started = time.process_time()  # of this process: others on the machine are no harm of the message's
        try:
            answers = self.scene.act(role, data)
        except TYPED as raised:
            error = raised
        except HangError:
            raise self._harm(f"still busy after {GIVEN_UP} s", data, "hang") from None
        except Exception as raised:
            where = _innermost(raised)
            raise self._harm(
                f"{type(raised).__name__}: {raised} at {where}", data, f"{type(raised).__name__} {where}"
            ) from raised
        finally:
            seconds = time.process_time() - started
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            if weigh:
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                self.tally.traced = max(self.tally.traced, peak)
        if weigh and peak > BYTES:
            raise self._harm(f"allocated {peak >> 20} MiB", data, "memory")
        return answers, error, 0.0 if weigh else seconds

    def _check_left(self, role: SecAggClient | SecAggServer, error: SecureFLError, data: bytes) -> None:
        """A refusal that changed something: the round is over for this role, and its secrets are gone."""
        if isinstance(role, SecAggServer):
            over = role._round is None or role._round.state is ServerState.ABORTED
            if not (over and isinstance(error, RoundAbortedError)):
                raise self._harm(f"refused, yet the server has changed: {error}", data, "server changed")
            return
        current = role._round
        if current is None or current.state is not ClientState.ABORTED:
            if current is not None and current.state is ClientState.ADVERTISED and role._next is None:
                return  # it has gone over to the round whose keys it had sent ahead, and waits there for the genuine list
            raise self._harm(f"refused, yet the party has changed: {error}", data, "party changed")
        self.tally.left += 1
        kept = current._kept
        held = kept.holder.held.values() if kept.holder is not None else ()
        if kept.advertised is not None or kept.dealer is not None or any(shares._shares for shares in held):
            raise self._harm("the party has left, and still holds secrets", data, "secrets kept")

    def _check_taken(self, role: SecAggClient | SecAggServer, data: bytes) -> None:
        """What is accepted is in its one form under the right seal, and says what its receiver may accept."""
        scene = self.scene
        try:
            # What else is nested is not its receiver's to read: sealed shares, keys of the round that follows.
            tree = opened(scene, data, within={Kind.INVITE})
            seal_again(scene, tree)
            whole = written(tree)
        except ValueError as error:
            raise self._harm(f"accepted, and is no message: {error}", data, "no message") from error
        if whole != data:
            raise self._harm("accepted, and is not in canonical form or not under its seal", data, "not canonical")
        kind, body = Kind(tree[KIND]), tree[BODY][0]
        if isinstance(role, SecAggServer):
            genuine = [opened(scene, due) for due in scene.due]
            mine = [due[BODY][0] for due in genuine if (due[KIND], due[SENDER]) == (kind, tree[SENDER])]
            parts = {Kind.MASKED_INPUT: slice(2), Kind.UNMASK_SHARES: slice(1), Kind.CONSISTENCY: slice(1)}.get(kind)
            if parts is not None and not any(body[parts] == due[parts] for due in mine):
                raise self._harm(f"accepted {kind.name} that nobody owes", data, f"untrue {kind.name}")
        elif kind in {Kind.SURVIVORS, Kind.UNMASK} and role._round is not None:
            self._check_survivors(role._round, kind, body, data)

    def _check_survivors(self, current: ClientRound, kind: Kind, body: list[Any], data: bytes) -> None:
        """The rules of R3 and R4 once more, from protocol.md: U3 within A_u and self, self in U3, at least the floor; frozen."""
        world, me = self.scene.world, self.scene.party or 0
        survivors = bitmap.unpack(body[0], world.n)
        chosen = world.plan.parameters
        shown = survivors & (current._kept.keys.entries.keys() if current._kept.keys is not None else survivors)
        good = shown <= current.neighbours | {me} and me in survivors
        good = good and len(survivors) >= max(chosen.threshold, chosen.min_survivors)
        if kind is Kind.UNMASK:
            good = good and (not world.active or survivors == current._kept.signed)
            good = good and len(body[1]) >= (chosen.threshold if world.active else 0)
        if not good:
            raise self._harm(f"accepted the survivor set {sorted(survivors)}", data, "survivors")

    def _follow(self, role: SecAggClient | SecAggServer, answers: list[Any], data: bytes, *, accepted: bool) -> None:
        """Play the round on, honestly; it ends in the exact sum or in a typed abort."""
        scene, world = self.scene, self.scene.world
        moment = scene.moment
        self.tally.followed += 1
        clients = [world.party_at(moment, party) for party in range(world.n)]
        down: Mail = list(moment.down)
        up: Mail = list(moment.up)
        sent: list[tuple[int, bytes]] = []
        if isinstance(role, SecAggServer):
            server = role
            places = {name: i for i, name in enumerate(world.roster.names)}
            down += [(places[name], out) for name, out in answers]
        else:
            server = world.server_at(moment)
            clients[scene.party or 0] = role
            up += [(scene.party or 0, answer) for answer in answers]
            sent += up
        try:
            for party, more in world.finish(server, clients, down, up).items():
                sent += [(party, answer) for answer in more]
            self._check_sum(server, _spoiled(scene, data) if accepted else frozenset(), data)
        except TYPED as raised:
            raise self._harm(f"later: {type(raised).__name__}: {raised}", data, "later") from raised
        except HarmError:
            raise
        except Exception as raised:
            where = _innermost(raised)
            raise self._harm(
                f"later: {type(raised).__name__}: {raised} at {where}", data, f"later {type(raised).__name__} {where}"
            ) from raised
        self._check_once(world, sent, data)

    def _check_sum(self, server: SecAggServer, spoiled: frozenset[int], data: bytes) -> None:
        assert server._round is not None
        if server._round.state is ServerState.ABORTED:
            return
        world = self.scene.world
        survivors = server._round.result().survivors
        if survivors & spoiled:
            return  # its own vector is a party's own business
        total = server._round.result().total
        exact = np.sum([world.updates[party] for party in survivors], axis=0).astype(np.int64)
        result = server.result()
        if len(survivors) < world.plan.parameters.min_survivors or not np.array_equal(result.integers, exact):
            raise self._harm(f"a wrong sum over {sorted(survivors)}: {total.tolist()}", data, "wrong sum")
        self.tally.exact += 1

    def _check_once(self, world: World, sent: list[tuple[int, bytes]], data: bytes) -> None:
        seen: set[tuple[object, ...]] = set()
        for party, answer in sent:
            envelope = parse(answer, parties=world.n)
            chunk = -1
            if envelope.kind is Kind.MASKED_INPUT:
                chunk = codec.decode(MaskedInput, envelope.body, limit=len(envelope.body)).chunk
            key = (party, envelope.session, envelope.round, envelope.kind, chunk)
            if key in seen:
                raise self._harm(f"party {party} sent {envelope.kind.name} twice", data, "twice")
            seen.add(key)

    def _harm(self, what: str, data: bytes, cause: str) -> HarmError:
        self._role = None
        return HarmError(what, self.number, data, cause)


def fingerprint(role: SecAggClient | SecAggServer) -> Any:
    """Everything that a later step depends on."""
    current = role._round
    if isinstance(role, SecAggServer):
        if current is None:
            return None
        assert current is not None
        arriving = {party: item._seen for party, item in current._got.arriving.items()}
        return role._number, current.context, codec.encode(current.save()), arriving, sorted(current._got.published)
    following = role._next
    return (
        _saved(current),
        _saved(following),
        sorted(role._latest.items()),
        id(role._plan),
        id(role._submission),
    )


def _saved(current: ClientRound | None) -> Any:
    return None if current is None else (current.context, codec.encode(current.save()))


def _spoiled(scene: Scene, data: bytes) -> frozenset[int]:
    """Whose vector is not the recorded one."""
    if scene.party is not None or scene.ahead or data in scene.due:
        return frozenset()
    envelope = parse(data, parties=scene.world.n)
    return frozenset({envelope.sender}) if envelope.kind is Kind.MASKED_INPUT else frozenset()


_NUMBERS = re.compile(r"[0-9a-f]{8,}|\d+|'[^']*'|- byte .*| - at `.*")


def _way(error: SecureFLError) -> str:
    reason = getattr(error, "reason", None) or error.message
    return f"{type(error).__name__}: {_NUMBERS.sub('#', reason)[:110]}"


def _innermost(error: BaseException) -> str:
    trace = error.__traceback__
    place = "?"
    while trace is not None:
        code = trace.tb_frame.f_code
        if "/securefl/" in code.co_filename and "/tests/hostile/" not in code.co_filename:
            place = f"{code.co_filename.rsplit('/securefl/', 1)[-1]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def settle() -> None:
    """Collect what earlier tests left, so that it is not weighed here."""
    gc.collect()
