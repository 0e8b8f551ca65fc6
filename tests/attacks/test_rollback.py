"""A malicious server that exploits crashes: parties (or the server itself) come back from a snapshot with secrets that were used.

Every attack is written once and run twice: as things are it is refused by name; with the used-file forgetting everything it works,
and what it gains is shown.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import numpy as np
import pytest

from integration.crash_world import ACTIVE, K_REGULAR, PASSWORD, SEMI_HONEST, Mail, Party, World, cheap
from reference import bitmap, keys, messages
from securefl import SecAggServer
from securefl.crypto.kex import KeyPair
from securefl.crypto.prg import apply_masks
from securefl.crypto.shamir import LagrangeBasis
from securefl.encoding.words import unpack
from securefl.errors import ConfigError, ProtocolError, RemoteProtocolError, RoundAbortedError, SecretMisuseError
from securefl.records.used_file import UsedFile
from securefl.secagg.dealing import point
from securefl.secagg.derive import pair_key, pair_sign, self_key

PLANS = {
    "active": {"server": ACTIVE, "threshold": 3},
    "semi-honest": {"server": SEMI_HONEST, "threshold": 3},
}
VICTIM = "hospital-1"


@pytest.fixture(autouse=True)
def _cheap():
    with cheap():
        yield


@pytest.fixture(params=PLANS)
def protocol(request):
    return PLANS[request.param]


@pytest.fixture
def world(tmp_path, protocol):
    return World(tmp_path, protocol=protocol)


@pytest.fixture
def active(tmp_path):
    return World(tmp_path, protocol=PLANS["active"])


@pytest.fixture
def semi_honest(tmp_path):
    return World(tmp_path, protocol=PLANS["semi-honest"])


@pytest.fixture
def forgetful(monkeypatch):
    """The check taken out: the used-file takes note of nothing."""
    monkeypatch.setattr(UsedFile, "spend", lambda *_: None)
    monkeypatch.setattr(UsedFile, "agree", lambda *_: None)


# What the adversary reads.


def body(data: bytes) -> dict:
    return messages.read(data[2], messages.parse(data, 6)["body"])


def vector(world: World, answers: Iterable[bytes]) -> np.ndarray:
    """Y_u, from its chunks."""
    plan = world.plan
    chunks = [body(data)["words"] for data in answers if data[2] == messages.MASKED_INPUT]
    size = plan.ring.word_bytes
    return np.concatenate([unpack(words, plan.ring.bits, len(words) // size) for words in chunks])


def mod(world: World, update: np.ndarray) -> list[int]:
    """Whole numbers as they stand in the ring: the plan's grid has step one."""
    return [int(value) % world.plan.ring.modulus for value in update]


def secret(world: World, answers: Iterable[tuple[int, bytes]], owner: int, label: str) -> bytes:
    """A secret of which the answers of t holders give shares."""
    shares = {
        holder: item["share"]
        for holder, data in answers
        for item in body(data)["shares"]
        if (item["owner"], item["label"]) == (owner, label)
    }
    holders = sorted(shares)[: world.plan.parameters.threshold]
    assert len(holders) == world.plan.parameters.threshold, f"{len(holders)} shares of {label}"
    return LagrangeBasis([point(holder) for holder in holders]).combine([shares[holder] for holder in holders])


def unmasked(world: World, listed: bytes, owner: int, masked: np.ndarray, seed: bytes, private: bytes) -> list[int]:
    """What is left of y_u when both secrets of its owner are known: x_u."""
    told = body(listed)
    fields = messages.parse(listed, 6)
    early = keys.ctx0(fields["session"], fields["round"], world.roster.digest())
    ctx = keys.ctx(early, told["plan_digest"], told["model_digest"], told["root"])
    masks = [(self_key(ctx, owner, seed), -1)]
    mine = KeyPair.from_private(private)
    for entry in told["entries"]:
        peer = entry["party"]
        if peer != owner:
            masks.append((pair_key(ctx, mine.exchange(entry["mask_key"]), owner, peer), -pair_sign(owner, peer)))
    left = masked.copy()
    apply_masks(left, masks, bits=world.plan.ring.bits)
    return left.tolist()


class Rogue:
    """A server that follows no used-file: it runs the same round again, with whom it likes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.server = SecAggServer(world.plan, roster=world.roster)
        self.server.session = world.host.server.session
        self.invitations = self.server.start_round()

    def take(
        self, sent: Iterable[tuple[int, bytes]], kind: int, without: Iterable[int] = ()
    ) -> list[tuple[str, bytes]]:
        """Take what parties said in this step, but for some, and close it; returns what it says next."""
        outgoing = []
        step = self.server.step
        for party, data in dict.fromkeys(sent):
            if data[2] == kind and party not in without:
                outgoing += self.server.receive(data)
        return outgoing or self.server.close_phase(step)


def play(world: World) -> list[tuple[str, bytes]]:
    """A whole round; returns everything that the server said."""
    said = []
    world.begin()
    while not world.over:
        said += [(mail.name, mail.data) for mail in world.mail if not mail.up]
        world.deliver()
    assert world.outcome() == frozenset(world.names)
    return list(dict.fromkeys(said))


def rolled_back(world: World, name: str, steps: int) -> Party:
    """A party as it was so many messages of the round ago, with another update."""
    party = world.parties[name]
    party.client = party.reopened(-1 - steps)
    party.submit()
    return party


# 1. The same shares again, for a second vector.


def second_vector(world: World) -> bool:
    """y_u - y_u' = x_u - x_u': whoever knows one training result knows the other, and the difference is known to all."""
    world.begin()
    asked = world.play_until(VICTIM, messages.CIPHERTEXTS)
    party = world.parties[VICTIM]
    first, before = [mail.data for mail in world.handle(asked)], party.update["w"]
    rolled_back(world, VICTIM, 1)
    second = party.client.receive(asked.data)
    difference = (vector(world, first) - vector(world, second)) & world.plan.ring.mask
    return difference.tolist() == mod(world, before.astype(int) - party.update["w"].astype(int))


def test_a_second_vector_under_the_same_masks_is_refused(world):
    with pytest.raises(SecretMisuseError, match="masked_input of round 1"):
        second_vector(world)
    assert world.parties[VICTIM].client.state == "aborted"


@pytest.mark.usefixtures("forgetful")
def test_without_the_used_file_a_second_vector_gives_the_difference_away(world):
    assert second_vector(world)


def test_on_the_k_regular_graph_too(tmp_path):
    world = World(tmp_path, n=6, protocol=K_REGULAR)
    with pytest.raises(SecretMisuseError, match="masked_input of round 1"):
        second_vector(world)


@pytest.mark.usefixtures("forgetful")
def test_on_the_k_regular_graph_too_it_gives_the_difference_away(tmp_path):
    assert second_vector(World(tmp_path, n=6, protocol=K_REGULAR))


# 2. Another key list for keys that were dealt.


def another_key_list(world: World) -> bool:
    """In the round that counts everybody's seed is opened; in a second one, where the colluder has new keys, the victim's mask key is."""
    said = play(world)
    victim, last = world.names.index(VICTIM), len(world.names) - 1
    sent = list(world.oracle.sent)
    rogue = Rogue(world)
    steps = len(world.told) - 1
    colluder = world.parties[world.names[last]]
    colluder.start()
    (other,) = colluder.client.receive(dict(rogue.invitations)[colluder.name])
    again: list[tuple[int, bytes]] = []
    early = [(party, data) for party, data in sent if party != last]
    outgoing = rogue.take([*early, (last, other)], messages.ADVERTISE)
    for name in world.names[:last]:
        rolled_back(world, name, steps)
    while not rogue.server.done:
        answers = [(world.names.index(name), data) for name, data in deliver(world, outgoing)]
        again += answers
        kind = max(data[2] for _, data in answers)
        outgoing = rogue.take(answers, kind, without={victim} if kind == messages.MASKED_INPUT else ())
    listed = next(data for name, data in said if data[2] == messages.ROSTER and name == VICTIM)
    seed = secret(world, answers_in(sent), victim, "self_mask")
    private = secret(world, answers_in(again), victim, "mask_key")
    masked = vector(world, [data for party, data in sent if party == victim])
    (mine,) = world.masked[next(iter(world.oracle.roots.values())), VICTIM]
    return unmasked(world, listed, victim, masked, seed, private) == mod(world, mine)


def answers_in(sent: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    return [(party, data) for party, data in sent if data[2] == messages.UNMASK_SHARES]


def deliver(world: World, outgoing: Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Hand the rogue's words to the parties; what they refuse is raised."""
    return [(name, answer) for name, data in outgoing for answer in world.parties[name].client.receive(data)]


def test_keys_that_were_dealt_under_one_key_list_are_not_dealt_under_another(world):
    with pytest.raises(SecretMisuseError, match="share_keys of round 1"):
        another_key_list(world)


@pytest.mark.usefixtures("forgetful")
def test_without_the_used_file_a_second_key_list_opens_a_vector(world):
    assert another_key_list(world)


# 3. Another U3 to sign, and 4. the complementary set to open.


def another_signature(world: World) -> bool:
    world.begin()
    asked = world.play_until(VICTIM, messages.SURVIVORS)
    (first,) = world.handle(asked)
    rogue = Rogue(world)
    last = len(world.names) - 1
    for kind in (messages.ADVERTISE, messages.SHARES):
        rogue.take(world.oracle.sent, kind)
    outgoing = dict(rogue.take(world.oracle.sent, messages.MASKED_INPUT, without={last}))
    assert body(outgoing[VICTIM]) != body(asked.data)
    (second,) = rolled_back(world, VICTIM, 1).client.receive(outgoing[VICTIM])
    rogue.server.receive(second)  # it verifies
    return first.data != second


def test_a_second_survivor_set_is_not_signed(active):
    with pytest.raises(SecretMisuseError, match="consistency of round 1"):
        another_signature(active)


@pytest.mark.usefixtures("forgetful")
def test_without_the_used_file_two_survivor_sets_are_signed(active):
    assert another_signature(active)


def complementary_set(world: World) -> bool:
    """First everybody survives and every seed is opened; then one did not, and its mask key is."""
    said = play(world)
    sent = list(world.oracle.sent)
    last = len(world.names) - 1
    rogue = Rogue(world)
    for kind in (messages.ADVERTISE, messages.SHARES):
        rogue.take(sent, kind)
    outgoing = rogue.take(sent, messages.MASKED_INPUT, without={last})
    steps = len(world.told) - 3  # to where the vector was sent and nothing opened
    for name in world.names[:last]:
        rolled_back(world, name, steps)
    again: list[tuple[int, bytes]] = []
    while not rogue.server.done:
        answers = [(world.names.index(name), data) for name, data in deliver(world, outgoing)]
        again += answers
        outgoing = rogue.take(answers, answers[0][1][2])
    listed = next(data for _, data in said if data[2] == messages.ROSTER)
    seed = secret(world, answers_in(sent), last, "self_mask")
    private = secret(world, answers_in(again), last, "mask_key")
    masked = vector(world, [data for party, data in sent if party == last])
    (mine,) = world.masked[next(iter(world.oracle.roots.values())), world.names[last]]
    return unmasked(world, listed, last, masked, seed, private) == mod(world, mine)


def test_the_complementary_set_is_not_opened(semi_honest):
    with pytest.raises(SecretMisuseError, match="unmask of round 1"):
        complementary_set(semi_honest)


def test_the_complementary_set_is_not_even_signed(active):
    with pytest.raises(SecretMisuseError, match="consistency of round 1"):
        complementary_set(active)


@pytest.mark.usefixtures("forgetful")
def test_without_the_used_file_the_complementary_set_opens_a_vector(world):
    assert complementary_set(world)


def test_the_same_set_with_other_signatures_is_no_second_answer(active):
    """A repetition is one byte for byte: the same question in other words gets nothing."""
    active.begin()
    asked = active.play_until(VICTIM, messages.UNMASK)
    active.handle(asked)
    rogue = Rogue(active)
    for kind in (messages.ADVERTISE, messages.SHARES, messages.MASKED_INPUT):
        rogue.take(active.oracle.sent, kind)
    outgoing = dict(rogue.take(active.oracle.sent, messages.CONSISTENCY, without={0}))
    assert body(outgoing[VICTIM])["survivors"] == body(asked.data)["survivors"]
    with pytest.raises(RemoteProtocolError, match="may not come in state done"):
        active.parties[VICTIM].client.receive(outgoing[VICTIM])
    with pytest.raises(SecretMisuseError, match="unmask of round 1"):
        rolled_back(active, VICTIM, 1).client.receive(outgoing[VICTIM])


# A fork: one snapshot, two programs.


def forked(world: World, kind: int) -> list[list[bytes] | BaseException]:
    """Two programs from one snapshot get the same message at the same moment."""
    world.begin()
    asked = world.play_until(VICTIM, kind)
    party = world.parties[VICTIM]
    party.save()
    twins = [party.reopened(), party.reopened()]
    for twin in twins:
        twin.submit({"w": world.rng.integers(-9, 9, 5).astype(np.float32)})
    outcomes: list[list[bytes] | BaseException] = []
    barrier = threading.Barrier(2)

    def go(twin):
        barrier.wait()
        try:
            outcomes.append(twin.receive(asked.data))
        except BaseException as error:  # noqa: BLE001
            outcomes.append(error)

    threads = [threading.Thread(target=go, args=(twin,)) for twin in twins]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return outcomes


@pytest.mark.parametrize("kind", [messages.ROSTER, messages.CIPHERTEXTS, messages.SURVIVORS, messages.UNMASK])
def test_of_two_programs_from_one_snapshot_one_answers(active, kind):
    outcomes = forked(active, kind)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["SecretMisuseError", "list"]


@pytest.mark.usefixtures("forgetful")
def test_without_the_used_file_two_programs_from_one_snapshot_both_answer(active):
    outcomes = forked(active, messages.CIPHERTEXTS)
    assert all(isinstance(outcome, list) for outcome in outcomes)
    assert outcomes[0] != outcomes[1]


# The used-file itself.


def snapshot_and_file(world: World) -> Party:
    """The victim has masked since its snapshot, and its program is gone."""
    world.begin()
    asked = world.play_until(VICTIM, messages.CIPHERTEXTS)
    party = world.parties[VICTIM]
    world.handle(asked)
    party.crash()
    party.asked = asked.data
    return party


def lines(party: Party) -> list[bytes]:
    return party.used_path.read_bytes().splitlines(keepends=True)


def test_a_used_file_that_is_gone_is_not_made_anew_for_a_snapshot(world):
    party = snapshot_and_file(world)
    party.used_path.unlink()
    with pytest.raises(ConfigError, match=r"hospital-1\.used is missing"):
        party.reopened()
    assert not party.used_path.exists()


def test_a_used_file_that_is_empty_serves_nobody(world):
    party = snapshot_and_file(world)
    party.used_path.write_bytes(b"")
    with pytest.raises(ConfigError, match="empty"):
        party.reopened()


def test_a_fresh_used_file_does_not_serve_an_old_snapshot(world):
    party = snapshot_and_file(world)
    party.used_path.unlink()
    UsedFile.create(party.used_path)
    for at in range(len(party.snapshots)):
        with pytest.raises(SecretMisuseError, match="not the one that this snapshot was made with"):
            party.reopened(at)


def test_another_partys_used_file_does_not_serve(world):
    party, other = snapshot_and_file(world), world.parties["hospital-0"]
    with pytest.raises(SecretMisuseError, match="not the one"):
        party.reopened(used=UsedFile.open(other.used_path))
    with pytest.raises(SecretMisuseError, match="not the one"):
        party.reopened(used=UsedFile.open(world.host.used_path))


def test_a_used_file_that_is_shorter_than_the_snapshot_knew_it_is_refused(world):
    party = snapshot_and_file(world)
    whole = lines(party)
    for kept in range(1, len(whole)):
        party.used_path.write_bytes(b"".join(whole[:kept]))
        with pytest.raises(SecretMisuseError, match=r"it was rolled back|has \d records, it had"):
            party.reopened()


def test_a_used_file_with_a_line_torn_off_is_refused_where_the_snapshot_knew_that_line(world):
    party = snapshot_and_file(world)
    data = party.used_path.read_bytes()
    for cut in (1, 10, 40):
        party.used_path.write_bytes(data[:-cut])
        with pytest.raises(SecretMisuseError, match="rolled back"):
            party.reopened()


def test_a_used_file_that_was_altered_is_refused_and_the_line_is_named(world):
    party = snapshot_and_file(world)
    data = party.used_path.read_bytes()
    party.used_path.write_bytes(data.replace(b"masked_input", b"MASKED_input"))
    with pytest.raises(ConfigError, match=r"line \d+ of the used-file"):
        party.reopened()


MEDDLING = {
    "deleted": lambda party, world: party.used_path.unlink(),
    "fresh": lambda party, world: (party.used_path.unlink(), UsedFile.create(party.used_path)),
    "another's": lambda party, world: party.used_path.write_bytes(world.parties["hospital-0"].used_path.read_bytes()),
    "cut": lambda party, world: party.used_path.write_bytes(b"".join(lines(party)[:-1])),
    "emptied": lambda party, world: party.used_path.write_bytes(b""),
    "unreadable": lambda party, world: (party.used_path.unlink(), party.used_path.mkdir()),
}


@pytest.mark.parametrize("how", MEDDLING)
def test_when_the_used_file_is_meddled_with_under_a_running_program_nothing_leaves(world, how):
    world.begin()
    asked = world.play_until(VICTIM, messages.CIPHERTEXTS)
    party = world.parties[VICTIM]
    MEDDLING[how](party, world)
    with pytest.raises(ConfigError, match="used-file"):
        party.client.receive(asked.data)
    assert party.client.state == "aborted"
    with pytest.raises(ProtocolError):
        party.client.receive(asked.data)


def test_what_no_program_can_notice_is_a_used_file_put_back_together_with_the_snapshot(world):
    """The limit that `UsedFile` states: this is why it is kept out of backups that are restored."""
    world.begin()
    asked = world.play_until(VICTIM, messages.CIPHERTEXTS)
    party = world.parties[VICTIM]
    backup = party.used_path.read_bytes()
    first = [mail.data for mail in world.handle(asked)]
    party.crash()
    party.used_path.write_bytes(backup)
    rolled_back(world, VICTIM, 1)
    assert party.client.receive(asked.data) != first


# Keys that were sent ahead.


@pytest.fixture(params=[ACTIVE, SEMI_HONEST])
def ahead(tmp_path, request):
    """A world in whose first round everybody sent keys for the second."""
    world = World(tmp_path, protocol={"server": request.param, "threshold": 3, "prefetch": True})
    world.whole_round()
    return world


def test_keys_sent_ahead_are_not_used_in_another_round(ahead):
    """A key list for round 3 that shows the keys of round 2."""
    world = ahead
    party = world.parties[VICTIM]
    sent = [body(data)["next_keys"] for _, data in answers_in(world.oracle.sent)]
    rogue = SecAggServer(world.plan, roster=world.roster)
    rogue.session = world.host.server.session
    for _ in range(3):
        rogue.start_round()
    for data in sent:
        with pytest.raises(ProtocolError):
            rogue.receive(data)
    world.begin()
    listed = world.play_until(VICTIM, messages.ROSTER)
    fields = messages.parse(listed.data, 5)
    early = keys.ctx0(fields["session"], 3, world.roster.digest())
    forged = messages.envelope(messages.ROSTER, fields["body"], fields["session"], 3, messages.SERVER, early)
    with pytest.raises(ProtocolError):
        party.client.receive(forged)
    # They are still there for the round that they are for.
    world.mail.appendleft(Mail(up=False, name=VICTIM, data=listed.data))
    assert world.finish() == frozenset(world.names)


def keys_sent_ahead_twice(world: World) -> bool:
    """Round 2 twice, with the very keys that were sent ahead, from the snapshot that holds them."""
    world.begin()
    listed = world.play_until(VICTIM, messages.ROSTER)
    (first,) = world.handle(listed)
    rogue = SecAggServer(world.plan, roster=world.roster)
    rogue.session = world.host.server.session
    rogue.start_round()
    rogue.start_round()
    for party, data in answers_in(world.oracle.sent):
        if party != 0:
            rogue.receive(body(data)["next_keys"])
    other = dict(rogue.close_phase())[VICTIM]
    assert body(other)["root"] != body(listed.data)["root"]
    (second,) = rolled_back(world, VICTIM, 1).client.receive(other)
    return first.data != second


def test_keys_sent_ahead_serve_one_key_list(ahead):
    with pytest.raises(SecretMisuseError, match="share_keys of round 2"):
        keys_sent_ahead_twice(ahead)


@pytest.mark.usefixtures("forgetful")
def test_without_the_used_file_keys_sent_ahead_serve_two_key_lists(ahead):
    assert keys_sent_ahead_twice(ahead)


def test_a_snapshot_from_before_the_round_whose_keys_were_sent_ahead_is_not_resumed_once_a_later_one_was_joined(ahead):
    world = ahead
    party = world.parties[VICTIM]
    before = len(party.snapshots)
    world.whole_round()
    for at in range(1, before):
        with pytest.raises(SecretMisuseError, match="round 3 of that session since"):
            party.reopened(at)


# The server's own crashes.


def another_set_told(world: World) -> bool:
    """A semi-honest server has told U3, and comes back from before; the last vector does not arrive this time."""
    world.begin()
    told = world.play_until(VICTIM, messages.UNMASK if messages.SURVIVORS not in world.told else messages.SURVIVORS)
    complete = world.host.server.step
    for snapshot in reversed(world.host.snapshots):
        server = SecAggServer.restore(snapshot, PASSWORD, roster=world.roster, used=UsedFile.open(world.host.used_path))
        if server.step != complete and len(server.waiting_for) == 1:
            break
    assert server.step == "masked_input"
    again = dict(server.close_phase())[VICTIM]
    sets = [bitmap.unpack(body(data)["survivors"], 5) for data in (told.data, again)]
    return sets[0] != sets[1]


def test_a_server_that_told_one_survivor_set_tells_no_other(world):
    with pytest.raises(RoundAbortedError, match="closed otherwise before") as caught:
        another_set_told(world)
    assert caught.value.suspects == ("server",)
    assert caught.value.phase == "masked_input"


@pytest.mark.usefixtures("forgetful")
def test_without_the_used_file_a_server_tells_two_survivor_sets(world):
    assert another_set_told(world)


@pytest.mark.parametrize(("kind", "step"), [(messages.ROSTER, "advertise"), (messages.CIPHERTEXTS, "share_keys")])
def test_a_server_that_published_one_key_list_or_forwarded_to_some_does_not_do_it_otherwise(world, kind, step):
    world.begin()
    world.play_until(VICTIM, kind)
    for at in range(len(world.host.snapshots) - 1, 0, -1):
        world.host.restore(at)
        if world.host.server.step == step and len(world.host.server.waiting_for) == 1:
            break
    with pytest.raises(RoundAbortedError, match=f"step {step} of round 1 .* closed otherwise before"):
        world.host.server.close_phase()
    assert world.host.server.done


def test_of_two_servers_from_one_snapshot_one_decides(semi_honest):
    world = semi_honest
    world.begin()
    while world.host.server.step != "masked_input":
        world.deliver()
    vectors = answers_to_all(world)
    world.host.save()
    one, other = (
        SecAggServer.restore(
            world.host.snapshots[-1], PASSWORD, roster=world.roster, used=UsedFile.open(world.host.used_path)
        )
        for _ in range(2)
    )
    for mail in vectors:
        one.receive(mail.data)
        if mail.name != VICTIM:
            other.receive(mail.data)
    assert one.step == "unmask"
    with pytest.raises(RoundAbortedError, match="closed otherwise before"):
        other.close_phase()


def answers_to_all(world: World) -> list[Mail]:
    """Let every party answer what is under way; the answers."""
    return [answer for mail in list(world.mail) for answer in world.handle(mail)]


def test_a_server_that_comes_back_and_decides_the_same_goes_on(world):
    """The same again is no second decision."""
    world.begin()
    world.play_until(VICTIM, messages.CIPHERTEXTS)
    last = [(party, data) for party, data in world.oracle.sent if data[2] == messages.SHARES][-1]
    for at in range(len(world.host.snapshots) - 1, 0, -1):
        world.host.restore(at)
        if world.host.server.step == "share_keys" and len(world.host.server.waiting_for) == 1:
            break
    world.mail.clear()
    world.mail.append(Mail(up=True, name=world.names[last[0]], data=last[1]))
    assert world.finish() == frozenset(world.names)


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("what", ["y_u", "dealings", "answers", "signatures of U3", "secrets opened"])
def test_without_the_used_file_the_oracle_of_the_crash_tests_sees_it(tmp_path, what):
    """The crash tests would go red: the oracle looks at bytes only."""
    attack = {
        "y_u": (second_vector, PLANS["active"]),
        "dealings": (another_key_list, PLANS["active"]),
        "answers": (complementary_set, PLANS["semi-honest"]),
        "signatures of U3": (another_signature, PLANS["active"]),
        "secrets opened": (complementary_set, PLANS["active"]),
    }[what]
    world = World(tmp_path, protocol=attack[1])
    with pytest.MonkeyPatch.context() as patch:
        receive = type(world.parties[VICTIM].client).receive

        def watched(client, data):
            answers = receive(client, data)
            party = world.names.index(client.party)
            world.oracle.told(party, data)
            for answer in answers:
                world.oracle.from_party(party, answer)
            return answers

        patch.setattr(type(world.parties[VICTIM].client), "receive", watched)
        with pytest.raises(AssertionError, match="two different"):
            attack[0](world)
