"""Parties and server crash at every step and come back from a newest or an older snapshot, or from none.

The round ends in the exact sum over the survivors that it names, or is aborted by name; and an oracle over every byte that left finds
no secret used twice. Snapshots are taken after each message, before the answers to it leave: what was sent later is not in them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from integration import crash_party
from integration.crash_world import ACTIVE, K_REGULAR, KINDS, LENGTH, PASSWORD, SEMI_HONEST, TOP, World, cheap, kind_of
from reference import keys, messages
from securefl import SecAggClient, SecAggServer, SecureFLError
from securefl.errors import LocalProtocolError, PolicyRefusedError, RemoteProtocolError, SecretMisuseError
from securefl.records.used_file import UsedFile

FATES = ("lost", "delivered")
"""What becomes of the messages that were on their way when a program crashed."""

PLANS = {
    "active": {"server": ACTIVE, "threshold": 3},
    "semi-honest": {"server": SEMI_HONEST, "threshold": 3},
    "active, prefetch": {"server": ACTIVE, "threshold": 3, "prefetch": True},
    "semi-honest, prefetch": {"server": SEMI_HONEST, "threshold": 3, "prefetch": True},
    "k-regular": K_REGULAR,
    "k-regular, prefetch": {**K_REGULAR, "prefetch": True},
}

VICTIM = "hospital-1"


@pytest.fixture(autouse=True)
def _cheap():
    """In this process; a party in one of its own pays for its disk and its password."""
    with cheap():
        yield


ONE_ROUND = [name for name in PLANS if "prefetch" not in name]
"""Where the next round's keys make no difference."""


@pytest.fixture(
    params=[
        pytest.param(
            name, marks=[pytest.mark.heavy] if name in {"semi-honest, prefetch", "k-regular, prefetch"} else []
        )
        for name in PLANS
    ],
    ids=str,
)
def protocol(request):
    return PLANS[request.param]


def plans(*names):
    return pytest.mark.parametrize("protocol", [PLANS[name] for name in names], ids=names)


def attempts(protocol):
    """With prefetch a party that lost the keys it sent ahead misses the round that they are for."""
    return 2 if "prefetch" in protocol else 1


@pytest.fixture
def make(tmp_path, protocol):
    """Worlds under one plan, each on a disk of its own."""
    number = itertools.count()

    def new(**options):
        directory = tmp_path / f"disk-{next(number)}"
        directory.mkdir()
        return World(directory, n=6 if "graph" in protocol else 5, protocol=protocol, **options)

    return new


def told(protocol):
    return KINDS[protocol["server"]]


def send(world, outgoing, fate):
    if fate == "delivered":
        world.mail += outgoing


def half_way(world):
    """What is told in the second round: under a plan with prefetch nobody is invited to it."""
    return world.told[1:] if world.plan.protocol.prefetch else world.told


def test_everybody_crashes_after_every_message_and_nothing_is_missing(make):
    """(a) Both sides go on from the snapshot after their last message, all through three rounds."""
    world = make()
    for _ in range(3):
        world.begin()
        world.host.restore()
        while not world.over:
            for party in world.parties.values():
                if party.snapshots:
                    party.crash()
                    assert party.restore()
            mail = world.mail.popleft()
            answers = world.handle(mail)
            rest_follows = mail.kind == messages.MASKED_INPUT and mail[:2] == (world.mail or [()])[0][:2]
            if mail.up and not rest_follows:  # of a vector that is not whole it keeps nothing
                world.host.crash()
                world.host.restore()
            world.mail += answers
        assert world.outcome() == frozenset(world.names)
    assert not world.refusals


def test_an_answer_that_was_lost_with_the_crash_is_given_again_byte_for_byte(make, protocol):
    """(c) The step is done and in the snapshot, its answer is not out; the server asks again."""
    for kind in told(protocol):
        world = make()
        world.begin()
        asked = world.play_until(VICTIM, kind)
        lost = world.handle(asked)
        assert lost
        party = world.parties[VICTIM]
        party.crash()
        assert party.restore()
        while world.mail:
            world.deliver()
        assert world.host.server.waiting_for == (VICTIM,)
        assert world.host.server.resend() == [(VICTIM, asked.data)]
        again = world.handle(asked)
        assert again == lost
        assert world.handle(asked) == lost
        world.mail += again
        assert world.finish() == frozenset(world.names)
        world.whole_round()


@pytest.mark.parametrize("fate", FATES)
@plans(*ONE_ROUND)
def test_a_party_that_is_rolled_back_by_any_number_of_steps_uses_nothing_twice(make, protocol, fate):
    rolled_back(make, protocol, fate, second=False)


@pytest.mark.parametrize("fate", FATES)
@plans("active", "semi-honest, prefetch", "k-regular, prefetch")
def test_a_party_that_is_rolled_back_into_the_round_before_uses_nothing_twice(make, protocol, fate):
    rolled_back(make, protocol, fate, second=True)


def rolled_back(make, protocol, fate, *, second):
    """(b) It crashes after a step and comes back from each earlier snapshot; the step's answer is lost, or not."""
    kinds = told(protocol)[1:] if second and "prefetch" in protocol else told(protocol)
    for done, kind in enumerate(kinds):
        places = range(-2, -3 - done, -1)
        for at in (places[-1] - 1 - 2 * (done % 2),) if second else places:
            world = make()
            party = world.parties[VICTIM]
            party.save()
            if second:
                world.whole_round()
            world.begin()
            send(world, world.handle(world.play_until(VICTIM, kind)), fate)
            party.crash()
            party.restore(at)
            survivors = world.finish()
            assert survivors is not None
            assert survivors >= frozenset(world.names) - {VICTIM}
            world.whole_round(attempts(protocol))


def test_a_party_that_is_rolled_back_before_it_masked_or_after_takes_no_part_twice(make, protocol):
    """The error says which step was taken before, and what to do."""
    world = make()
    world.begin()
    asked = world.play_until(VICTIM, messages.CIPHERTEXTS)
    world.handle(asked)
    party = world.parties[VICTIM]
    assert party.restore(-2)
    with pytest.raises(
        SecretMisuseError, match=r"step masked_input of round 1 .* taken before with these keys"
    ) as caught:
        party.receive(asked.data)
    assert "join a new round, with new keys" in caught.value.remedy
    assert world.finish() == frozenset(world.names) - {VICTIM}


# The server's crashes.


def server_history(make, crash_after, seed=0):
    """A world whose server has just handled `crash_after` messages; and its answers, which are not out yet."""
    world = make(seed=seed)
    world.begin()
    seen = 0
    while True:
        mail = world.mail.popleft()
        answers = world.handle(mail)
        seen += mail.up
        if seen == crash_after or world.over:
            return world, answers
        world.mail += answers


CHUNKS = 3


def messages_up(protocol):
    """How many messages the server takes in a round."""
    n = 6 if "graph" in protocol else 5
    return n * (len(told(protocol)) - 1 + CHUNKS)


@pytest.mark.parametrize("fate", ["lost", "half", "delivered"])
@plans(*ONE_ROUND)
def test_a_server_that_comes_back_from_its_newest_snapshot_ends_the_round_with_everybody(make, protocol, fate):
    """(d) In and at the end of each step: nothing of its answer is out, half is, or all; what was under way is lost or not."""
    for crash_after in by_steps(protocol)[1:]:
        world, answers = server_history(make, crash_after)
        if fate == "lost":
            world.mail.clear()
        else:
            world.mail += answers[: len(answers) // 2] if fate == "half" else answers
        world.host.crash()
        world.host.restore()
        assert world.finish() == frozenset(world.names), crash_after


def by_steps(protocol):
    """Snapshots of the server that differ in more than who has answered: around each phase's end, and within."""
    n = 6 if "graph" in protocol else 5
    ends, at = [], 0
    for kind in told(protocol):
        each = CHUNKS if kind == messages.CIPHERTEXTS else 1
        ends += [at + 2 * each - 1, at + n * each]
        at += n * each
    return [0, *ends]


@pytest.mark.parametrize("fate", ["lost", "half", "delivered"])
def test_a_server_that_is_rolled_back_ends_the_round_right_or_by_name(make, protocol, fate):
    """(d) To each earlier phase, while the parties have moved on; the rounds after that are as if nothing had been."""
    points = by_steps(protocol)
    pairs = [(late, early) for late, early in itertools.product(points, points) if early < late]
    chosen = random.Random(f"{fate} {protocol}").sample(pairs, 4)
    outcomes = set()
    for late, early in chosen:
        world, answers = server_history(make, late)
        if fate == "lost":
            world.mail.clear()
        else:
            world.mail += answers[: len(answers) // 2] if fate == "half" else answers
        world.host.crash()
        world.host.restore(1 + early)  # 0 is the snapshot before the round
        survivors = world.finish()
        outcomes.add(survivors is None)
        world.whole_round(attempts=2)
    assert outcomes


@pytest.mark.heavy
@pytest.mark.parametrize("fate", ["lost", "half", "delivered"])
def test_a_server_that_is_rolled_back_to_any_message_ends_the_round_right_or_by_name(make, protocol, fate):
    """(d) As above, for any pair of messages."""
    pairs = list(itertools.combinations(range(messages_up(protocol) + 1), 2))
    for early, late in random.Random(f"{fate} {protocol}").sample(pairs, 80):
        world, answers = server_history(make, late)
        if fate == "lost":
            world.mail.clear()
        else:
            world.mail += answers[: len(answers) // 2] if fate == "half" else answers
        world.host.crash()
        world.host.restore(1 + early)
        world.finish()
        world.whole_round(attempts=2)
        shutil.rmtree(world.directory)


def test_a_server_that_is_rolled_back_before_its_round_does_the_round_again_and_then_goes_on(make):
    """(d) The round's number comes again: whoever joined it refuses, and the next one is whole."""
    world = make()
    world.whole_round()
    before = len(world.host.snapshots)
    world.begin()
    for _ in range(3 * len(world.names)):
        world.deliver()
    world.host.crash()
    world.host.restore(before - 1)
    world.whole_round(attempts=2)


def test_a_party_that_was_lost_to_a_crash_is_named_among_the_dropped(make, protocol):
    world = make()
    world.begin()
    world.play_until(VICTIM, messages.CIPHERTEXTS)
    world.parties[VICTIM].crash()
    assert world.finish() == frozenset(world.names) - {VICTIM}
    assert world.host.server.result().dropped == {VICTIM: "masked_input"}


def test_when_too_many_crash_for_good_the_round_is_aborted_and_says_who_is_missing(make, protocol):
    for kind in told(protocol):
        world = make()
        world.begin()
        world.play_until(VICTIM, kind)
        gone = [VICTIM, *(name for name in world.names if name != VICTIM)][: 2 + ("graph" in protocol)]
        for name in gone:
            world.parties[name].crash()
        if world.finish() is None:
            assert all(name in world.aborted.message for name in gone if name in world.aborted.message.split(":")[-1])
            assert world.aborted.phase
            assert world.aborted.remedy
        else:  # some had answered before they crashed
            assert kind in {messages.UNMASK, messages.CIPHERTEXTS, messages.SURVIVORS, messages.INVITE, messages.ROSTER}
        for party in world.parties.values():
            party.crash()
            party.start()
        world.whole_round(attempts(protocol))


# Both.


def shaken(world, rng, crashes):
    """Finish rounds while both sides crash at random and come back from the newest, an older or no snapshot."""
    budget = crashes
    asked = None
    for _ in range(600):
        if world.over:
            return world.outcome()
        if budget and rng.random() < 0.08:
            budget -= 1
            if rng.random() < 0.35:
                world.host.crash()
                world.host.restore(rng.choice([-1, rng.randrange(len(world.host.snapshots))]))
                if rng.random() < 0.5:
                    world.mail.clear()
                continue
            party = world.parties[rng.choice(world.names)]
            party.crash()
            if rng.random() < 0.2 or not party.snapshots:
                party.start()
            else:
                party.restore(rng.choice([-1, -1, -min(2, len(party.snapshots)), rng.randrange(len(party.snapshots))]))
            if rng.random() < 0.5:
                world.mail = type(world.mail)(mail for mail in world.mail if mail.name != party.name)
        elif world.mail:
            mail = world.mail.popleft()
            if rng.random() < 0.1:
                world.mail.append(mail)  # late, so that others overtake it
                continue
            world.mail += world.handle(mail)
            if rng.random() < 0.05:
                world.mail.append(mail)  # twice
        elif asked != world.host.server.step:
            asked = world.host.server.step
            world.post(world.serve(lambda server: server.resend()))
        else:
            world.post(world.serve(lambda server: server.close_phase()))
    return world.finish()


def shake(make, seeds):
    ended = []
    for seed in seeds:
        world, rng = make(seed=seed), random.Random(seed)
        for _ in range(2):
            world.begin()
            ended.append(shaken(world, rng, crashes=rng.choice([1, 2, 4])))
        # Quiet again: the rounds that follow are whole, whatever number the server has fallen back to.
        world.whole_round(attempts=4)
        shutil.rmtree(world.directory)
    return ended


def test_both_sides_crash_at_random_and_come_back_from_anywhere(make):
    """(e) Newest snapshot, an older one, none; messages lost, late and doubled."""
    ended = shake(make, range(4))
    assert any(survivors is not None for survivors in ended)


@pytest.mark.heavy
def test_both_sides_crash_at_random_and_come_back_from_anywhere_at_length(make):
    assert shake(make, range(100, 160))


@pytest.mark.parametrize("kind", range(len(KINDS[ACTIVE])))
@plans("active", "semi-honest, prefetch", "k-regular")
def test_party_and_server_crash_at_the_same_step(make, protocol, kind):
    """(e) The party has answered and is rolled back by one step, the server has not taken the answer down."""
    if kind >= len(told(protocol)):
        pytest.skip("a semi-honest round has no such step")
    for party_at, server_at in ((-1, -1), (-1, -2), (-2, -2)):
        world = make()
        world.parties[VICTIM].save()
        world.begin()
        answers = world.handle(world.play_until(VICTIM, told(protocol)[kind]))
        world.mail += world.handle(answers[0])
        world.parties[VICTIM].crash()
        world.host.crash()
        world.parties[VICTIM].restore(party_at)
        world.host.restore(server_at)
        survivors = world.finish()
        if party_at == -1 and world.aborted is None:
            assert survivors == frozenset(world.names)
        world.whole_round(attempts=2)


# Without a snapshot.


def test_a_party_without_a_snapshot_joins_the_next_round_with_its_used_file(make, protocol):
    """(g) Its program is new at each step; what is lost is this round only."""
    for kind in told(protocol):
        world = make(autosave=False)
        world.whole_round()
        world.begin()
        kinds = half_way(world)
        send(world, world.handle(world.play_until(VICTIM, kind if kind in kinds else kinds[0])), "lost")
        party = world.parties[VICTIM]
        party.crash()
        party.start()
        assert party.client.rounds_joined == UsedFile.open(party.used_path).rounds()
        assert world.finish() >= frozenset(world.names) - {VICTIM}
        world.whole_round(attempts(protocol))


def test_an_invitation_that_is_repeated_lets_a_new_program_into_the_same_round(tmp_path):
    world = World(tmp_path)
    world.begin()
    world.handle(world.play_until(VICTIM, messages.INVITE))
    party = world.parties[VICTIM]
    party.crash()
    party.start()
    assert world.finish() == frozenset(world.names)
    assert world.oracle.count("messages with one key") == len(world.names) + 1


@pytest.mark.parametrize("prefetch", [False, True])
def test_the_limit_of_rounds_outlives_the_program_and_every_snapshot(tmp_path, prefetch):
    """(g) `max_rounds` counts what the used-file counts."""
    protocol = {"server": ACTIVE, "threshold": 3, "prefetch": prefetch}
    world = World(tmp_path, protocol=protocol, policy={"max_rounds": 2})
    party = world.parties[VICTIM]
    party.save()
    world.whole_round()
    party.crash()
    party.start() if not prefetch else party.restore()
    world.whole_round()
    for come_back in (party.start, lambda: party.restore(0), lambda: party.restore(-1)):
        party.crash()
        come_back()
        assert party.client.rounds_joined == 2
        world.begin()
        assert world.finish() is None  # nobody joins a third round
        assert any(
            isinstance(refusal, PolicyRefusedError) and refusal.floor == "max_rounds"
            for refusal in world.refused(VICTIM)
        )
        world.refusals.clear()


def test_a_party_that_crashed_out_of_a_round_is_counted_for_it(tmp_path):
    world = World(tmp_path, policy={"max_rounds": 1})
    world.begin()
    invited = world.play_until(VICTIM, messages.INVITE)
    world.handle(invited)
    party = world.parties[VICTIM]
    party.crash()
    party.start()
    assert party.client.rounds_joined == 1


# What a snapshot needs.


def test_nothing_is_saved_without_a_used_file(tmp_path):
    world = World(tmp_path, autosave=False)
    bare = SecAggClient(VICTIM, roster=world.roster, policy=world.policy, identity=world.keys[VICTIM])
    with pytest.raises(LocalProtocolError, match="needs a used-file"):
        bare.save(PASSWORD)
    with pytest.raises(LocalProtocolError, match="needs a used-file"):
        SecAggServer(world.plan, roster=world.roster).save(PASSWORD)


def test_a_snapshot_between_rounds_and_before_the_first_is_one_to_go_on_from(make):
    world = make()
    for _ in range(2):
        for party in world.parties.values():
            party.save()
            party.crash()
            assert party.restore()
        world.host.save()
        world.host.crash()
        world.host.restore()
        world.whole_round()
        survivors = world.host.server.result().survivors
        world.host.crash()
        world.host.restore()
        assert world.host.server.result().survivors == survivors
        assert world.host.server.resend() == []


def test_a_server_comes_back_with_who_was_lost_and_with_whose_keys_are_there(make, protocol):
    """In the middle of a round, and between two: under a plan with prefetch the next one begins with the key list."""
    world = make()
    world.begin()
    asked = world.play_until(VICTIM, messages.ROSTER)
    while world.host.server.step == "share_keys":
        world.deliver() if world.mail else world.post(world.serve(lambda server: server.close_phase()))
    world.host.restore()
    (late,) = world.handle(asked)
    with pytest.raises(RemoteProtocolError, match=VICTIM):
        world.host.server.receive(late.data)
    assert world.finish() == frozenset(world.names) - {VICTIM}
    assert world.host.server.result().dropped == {VICTIM: "share_keys"}
    world.whole_round(attempts(protocol))
    world.host.restore()
    assert world.host.server.result().dropped == {}
    world.begin()
    kinds = {mail.kind for mail in world.mail}
    assert kinds == {messages.ROSTER if "prefetch" in protocol else messages.INVITE}
    assert world.finish() == frozenset(world.names)


def test_a_server_comes_back_with_the_keys_that_are_taken(tmp_path):
    """No two parties have the same keys, even where the first came before the crash."""
    world = World(tmp_path, protocol=PLANS["semi-honest"])
    world.begin()
    first = world.handle(world.mail.popleft())[0]
    world.handle(first)
    world.host.restore()
    fields = messages.parse(first.data, 5)
    early = keys.ctx0(fields["session"], fields["round"], world.roster.digest())
    copied = messages.envelope(messages.ADVERTISE, fields["body"], fields["session"], fields["round"], 1, early)
    with pytest.raises(RemoteProtocolError, match="advertised before: one of them copied"):
        world.host.server.receive(copied)
    assert world.finish() == frozenset(world.names)


def test_a_party_comes_back_with_the_rounds_that_it_joined(make):
    world = make()
    world.begin()
    asked = world.play_until(VICTIM, messages.INVITE)
    world.mail += world.handle(asked)
    world.play_until(VICTIM, messages.ROSTER)
    party = world.parties[VICTIM]
    party.restore()
    party.client._asked = b""  # the last message was another one
    with pytest.raises(RemoteProtocolError, match="was joined before"):
        party.receive(asked.data)


def test_a_party_that_left_the_round_comes_back_as_one_that_left_it(make):
    """A snapshot of a round that was aborted holds no secrets to go on with."""
    world = make()
    world.begin()
    asked = world.play_until(VICTIM, messages.CIPHERTEXTS)
    party = world.parties[VICTIM]
    stale = party.reopened(-2)
    assert stale.state == "advertised"
    world.handle(asked)
    party.restore(-2)
    with pytest.raises(SecretMisuseError):
        party.receive(asked.data)
    party.save()
    party.restore()
    assert party.client.state == "aborted"
    with pytest.raises(RemoteProtocolError):
        party.receive(asked.data)
    assert world.finish() == frozenset(world.names) - {VICTIM}


def test_a_crash_while_a_vector_leaves_is_made_up_for_by_sending_it_again(make):
    """Some chunks are out, and the server that has them crashes too: it takes the whole vector again."""
    for chunks, server_crashes in itertools.product((1, 2), (False, True)):
        world = make()
        world.begin()
        asked = world.play_until(VICTIM, messages.CIPHERTEXTS)
        answers = world.handle(asked)
        assert len(answers) == 3
        for mail in answers[:chunks]:
            world.handle(mail)
        world.parties[VICTIM].crash()
        world.parties[VICTIM].restore()
        if server_crashes:
            world.host.crash()
            world.host.restore()
        world.mail += world.handle(asked)
        assert world.finish() == frozenset(world.names)


# For real.


class Child:
    """A party in a process of its own, which dies where it is told to, by SIGKILL."""

    def __init__(
        self, world: World, name: str, directory: Path, *, die: str = "", trained: Sequence[np.ndarray] = ()
    ) -> None:
        self.world, self.name = world, name
        self.trained = [*trained, world.rng.integers(-TOP, TOP, LENGTH, endpoint=True)]
        values = ",".join(map(str, self.trained[-1]))
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, crash_party.__file__, str(directory), name, values, die],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def ask(self, data: bytes) -> tuple[list[bytes], str]:
        """Hand in a message; what left before the end of the process is there, too. The second value is how it ended."""
        self.world.oracle.told(self.world.names.index(self.name), data)
        with contextlib.suppress(BrokenPipeError):  # it is dead already
            crash_party.write(self.process.stdin, b"m", data)
        answers = []
        while True:
            tag, body = crash_party.read(self.process.stdout)
            if tag != b"a":
                return answers, {b"": "killed", b"e": "answered"}.get(tag, body.decode())
            kind, ctx = self.world.oracle.from_party(self.world.names.index(self.name), body)
            if kind == messages.MASKED_INPUT:
                # Perhaps an earlier program made it, and kept it in its snapshot.
                self.world.masked[ctx, self.name] = self.trained
            answers.append(body)

    def end(self, *, kill: bool = False) -> int:
        if kill:
            self.process.kill()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(30)


class InAnotherProcess:
    """A federation of whose parties one lives in a child process, and on files."""

    def __init__(self, directory: Path, *, die: str) -> None:
        self.world = World(directory, autosave=False)
        crash_party.furnish(directory, self.world, VICTIM)
        self.directory = directory
        self.child = Child(self.world, VICTIM, directory, die=die)
        self.deaths: list[str] = []

    def hand(self, name: str, data: bytes) -> list[bytes]:
        if name != VICTIM:
            return World.hand(self.world, name, data)
        answers, ended = self.child.ask(data)
        if ended == "killed":
            assert self.child.end() == -signal.SIGKILL
            self.deaths.append(messages.NAMES[kind_of(data)])
            self.child = Child(self.world, VICTIM, self.directory, trained=self.child.trained)
        elif ended != "answered":
            self.world.refusals.append((VICTIM, SecureFLError(ended)))
        return answers

    def round(self) -> frozenset[str] | None:
        self.world.hand = self.hand
        self.world.begin()
        return self.world.finish()


POINTS = ("received", "computed", "saved", "half", "sent")


def killed(directory, kind, point):
    """A round in which the party is killed at a point of a step and comes back from its files; and the round after that."""
    there = InAnotherProcess(directory, die=f"{kind}:{point}")
    try:
        survivors = there.round()
        assert there.deaths == [kind]
        assert survivors is not None
        if point == "computed" and kind != "invite":
            # The used-file has the step, the snapshot has not, and nothing of it is out: this round is lost, and only that.
            assert survivors >= frozenset(there.world.names) - {VICTIM}
            assert (VICTIM in survivors) == (kind in {"survivors", "unmask"})
        else:
            assert survivors == frozenset(there.world.names), there.world.refusals
        assert there.round() == frozenset(there.world.names)
    finally:
        there.child.end(kill=True)


@pytest.mark.parametrize("point", ["computed", "half"])
def test_a_party_that_is_killed_while_it_masks_comes_back_from_its_disk(tmp_path, point):
    """(f) A process, its files, SIGKILL: with the answer in memory only, and half out."""
    killed(tmp_path, "ciphertexts", point)


@pytest.mark.heavy
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("kind", ["invite", "roster", "ciphertexts", "survivors", "unmask"])
def test_a_party_that_is_killed_at_any_step_comes_back_from_its_disk(tmp_path, kind, point):
    killed(tmp_path, kind, point)


def kill_at_some_moment(directory, seed):
    there = InAnotherProcess(directory, die="")
    rng = random.Random(seed)
    strike = {name: rng.random() * 0.2 for name in rng.sample(messages.NAMES[1:8], 3)}
    ask = Child.ask

    def ask_under_fire(child, data):
        delay = strike.pop(messages.NAMES[kind_of(data)], None)
        timer = threading.Timer(delay, child.process.kill) if delay is not None else None
        if timer:
            timer.start()
        try:
            return ask(child, data)
        finally:
            if timer:
                timer.join()

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Child, "ask", ask_under_fire)
            survivors = there.round()
        assert survivors is None or survivors >= frozenset(there.world.names) - {VICTIM}
        there.child.end(kill=True)
        there.child = Child(there.world, VICTIM, there.directory, trained=there.child.trained)
        assert there.round() == frozenset(there.world.names)
    finally:
        there.child.end(kill=True)


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(12))
def test_a_party_that_is_killed_at_any_moment_comes_back_from_its_disk(tmp_path, seed):
    kill_at_some_moment(tmp_path, seed)
