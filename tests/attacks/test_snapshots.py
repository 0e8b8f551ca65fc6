"""A snapshot that is wrong: of another password, party, roster, role, round or used-file, or not whole. And what one shows: nothing."""

from __future__ import annotations

import copy
import datetime as dt
import io
import pickle
import random
import traceback
from collections import Counter

import msgspec
import pytest
from rich.console import Console
from rich.pretty import pretty_repr

from integration.crash_world import ACTIVE, K_REGULAR, PASSWORD, SEMI_HONEST, World, cheap
from reference import messages
from securefl import ClientPolicy, SecAggClient, SecAggServer
from securefl.crypto import password as sealing
from securefl.errors import (
    ConfigError,
    CryptoError,
    LocalProtocolError,
    PolicyRefusedError,
    SecretMisuseError,
    SecureFLError,
)
from securefl.plan import Roster
from securefl.records.used_file import UsedFile
from securefl.secagg.collected import SavedSeeds
from securefl.secagg.kept import SecretMessage
from securefl.session import snapshot as snapshots

VICTIM = "hospital-1"
STEPS = [messages.INVITE, messages.ROSTER, messages.CIPHERTEXTS, messages.SURVIVORS, messages.UNMASK]


@pytest.fixture(autouse=True)
def _cheap():
    with cheap():
        yield


@pytest.fixture
def world(tmp_path):
    """An active round, stopped where the victim holds the most: its own secrets, and soon everybody's shares."""
    world = World(tmp_path)
    world.begin()
    world.handle(world.play_until(VICTIM, messages.ROSTER))
    return world


def party_of(world, **changes):
    return world.parties[VICTIM].reopened(**changes)


def server_of(world, data=None, **changes):
    given = {"roster": world.roster, "used": UsedFile.open(world.host.used_path), **changes}
    return SecAggServer.restore(world.host.snapshots[-1] if data is None else data, PASSWORD, **given)


def opened_as(world, data, password=PASSWORD):
    party = world.parties[VICTIM]
    SecAggClient.restore(
        data,
        password,
        roster=world.roster,
        policy=world.policy,
        identity=world.keys[VICTIM],
        used=UsedFile.open(party.used_path),
    )


# Passwords.


@pytest.mark.parametrize(
    "wrong", ["Correct horse", PASSWORD + " ", " " + PASSWORD, PASSWORD[:-1], PASSWORD.encode()[::-1], b"\0"]
)
def test_a_wrong_password_opens_nothing(world, wrong):
    with pytest.raises(CryptoError, match="wrong password") as caught:
        opened_as(world, world.parties[VICTIM].snapshots[-1], wrong)
    assert str(wrong) not in str(caught.value)
    with pytest.raises(CryptoError, match="wrong password"):
        SecAggServer.restore(
            world.host.snapshots[-1], wrong, roster=world.roster, used=UsedFile.open(world.host.used_path)
        )


@pytest.mark.parametrize("empty", ["", b""])
def test_an_empty_password_neither_saves_nor_opens(world, empty):
    with pytest.raises(CryptoError, match="the password is empty"):
        world.parties[VICTIM].client.save(empty)
    with pytest.raises(CryptoError, match="the password is empty"):
        world.host.server.save(empty)
    with pytest.raises(CryptoError, match="the password is empty"):
        opened_as(world, world.parties[VICTIM].snapshots[-1], empty)


def test_a_password_may_be_text_or_its_bytes(world):
    opened_as(world, world.parties[VICTIM].snapshots[-1], PASSWORD.encode())


def test_a_save_that_was_refused_changes_nothing(world):
    with pytest.raises(CryptoError):
        world.parties[VICTIM].client.save("")
    assert world.finish() == frozenset(world.names)


# Damage.


def damaged(data, seed):
    """Every length near the ends, some between; every byte of the header, some of the rest."""
    rng = random.Random(seed)
    header = len(b"securefl-sealed") + 4 + 16
    lengths = {*range(header + 30), *range(len(data) - 20, len(data)), *rng.sample(range(len(data)), 40)}
    places = [*range(header + 12), *rng.sample(range(len(data)), 120), len(data) - 1]
    yield from (data[:length] for length in sorted(lengths))
    for place in places:
        flipped = bytearray(data)
        flipped[place] ^= 1 << rng.randrange(8)
        yield bytes(flipped)
    yield data + b"\0"
    yield data + data
    yield data[: len(data) // 2] + data[len(data) // 2 + 1 :]


@pytest.mark.parametrize("role", ["party", "server"])
def test_a_snapshot_that_was_cut_or_altered_anywhere_opens_nothing(world, role, monkeypatch):
    monkeypatch.setattr(sealing, "_MAX_LOG2_N", 4)  # a flipped cost costs nothing here
    data = (world.parties[VICTIM] if role == "party" else world.host).snapshots[-1]
    for spoiled in damaged(data, 1):
        with pytest.raises(CryptoError):
            opened_as(world, spoiled) if role == "party" else server_of(world, spoiled)
    opened_as(world, data) if role == "party" else server_of(world, data)


def test_what_is_no_snapshot_at_all_opens_nothing(world):
    for data in (
        b"",
        b"\0" * 200,
        b"securefl-sealed",
        world.parties[VICTIM].used_path.read_bytes(),
        bytes(range(256)) * 4,
    ):
        with pytest.raises(CryptoError):
            opened_as(world, data)
        with pytest.raises(CryptoError):
            server_of(world, data)


def test_a_snapshot_may_not_ask_for_more_memory_than_a_machine_has(world):
    data = bytearray(world.parties[VICTIM].snapshots[-1])
    data[len(b"securefl-sealed") + 1] = 30
    with pytest.raises(CryptoError, match="log2 n = 30"):
        opened_as(world, bytes(data))


def test_a_snapshot_in_another_form_under_the_right_password_is_refused(world):
    """Another version of the library wrote it; also one with a field more, or fewer."""
    party = world.parties[VICTIM]
    plain = sealing.open_with_password(party.snapshots[-1], PASSWORD, purpose=snapshots.CLIENT)
    fields = msgspec.msgpack.decode(plain)
    for changed in (fields[:-1], [*fields, b""], [2, *fields[1:]], [*fields[:2], b"name", *fields[3:]], []):
        data = sealing.seal_with_password(msgspec.msgpack.encode(changed), PASSWORD, purpose=snapshots.CLIENT)
        with pytest.raises(CryptoError, match="another version") as caught:
            opened_as(world, data)
        assert_shows_nothing(caught.value, secrets_of(party))


# Another's.


def test_a_partys_snapshot_is_none_of_the_servers_and_the_other_way_round(world):
    party, host = world.parties[VICTIM], world.host
    with pytest.raises(CryptoError, match="another purpose"):
        server_of(world, party.snapshots[-1])
    with pytest.raises(CryptoError, match="another purpose"):
        server_of(world, party.snapshots[-1], used=UsedFile.open(party.used_path))
    with pytest.raises(CryptoError, match="another purpose"):
        opened_as(world, host.snapshots[-1])


def test_another_partys_snapshot_is_refused(world):
    """By its used-file; with that file, too, by the identity; and it never answers in this party's name."""
    other = world.parties["hospital-2"]
    with pytest.raises(SecretMisuseError, match="not the one"):
        opened_as(world, other.snapshots[-1])
    with pytest.raises(ConfigError, match="identity key is not the one"):
        other.reopened(identity=world.keys[VICTIM])
    with pytest.raises(LocalProtocolError, match="needs signed identities"):
        other.reopened(identity=None)
    assert other.reopened().party == "hospital-2"


def test_a_snapshot_under_another_roster_is_refused(world):
    stranger, _ = Roster.generate(world.names)
    renamed = Roster.unsigned([f"clinic-{i}" for i in range(5)])
    for roster in (stranger, renamed, Roster.unsigned(world.names)):
        with pytest.raises(ConfigError, match="another roster"):
            party_of(world, roster=roster)
        with pytest.raises(ConfigError, match="another roster"):
            server_of(world, roster=roster)


def test_a_snapshot_of_another_session_takes_no_message_of_this_one(tmp_path):
    world = World(tmp_path)
    party = world.parties[VICTIM]
    world.begin()
    world.handle(world.play_until(VICTIM, messages.ROSTER))
    world.finish()
    old = len(party.snapshots) - 2
    world.host.server = SecAggServer(
        world.plan, roster=world.roster, used=UsedFile.open(world.host.used_path)
    )  # a new session
    world.begin()
    listed = world.play_until(VICTIM, messages.ROSTER)
    stale = party.reopened(old)
    stale.submit(party.update)
    with pytest.raises(SecureFLError, match="session"):
        stale.receive(listed.data)
    world.mail.appendleft(listed)
    assert world.finish() == frozenset(world.names)


def test_a_snapshot_of_a_round_that_was_left_since_is_refused(tmp_path):
    for protocol, n in ((None, 5), ({"server": SEMI_HONEST, "threshold": 3}, 5), (K_REGULAR, 6)):
        directory = tmp_path / str(n) / ("active" if protocol is None else protocol["server"])
        directory.mkdir(parents=True)
        world = World(directory, n=n, protocol=protocol)
        party = world.parties[VICTIM]
        world.whole_round()
        first = len(party.snapshots)
        world.begin()
        world.handle(world.play_until(VICTIM, messages.INVITE))
        for at in range(first):
            with pytest.raises(
                SecretMisuseError, match=r"of round 1, and this party .* round 2 of that session since"
            ) as caught:
                party.reopened(at)
            assert "newest snapshot" in caught.value.remedy
        assert party.reopened(first).state == "advertised"


# The used-file, the policy.


def test_a_snapshot_without_its_used_file_is_refused(world, tmp_path):
    with pytest.raises(ConfigError, match="missing"):
        party_of(world, used=UsedFile.open(tmp_path / "nowhere"))
    fresh = UsedFile.create(tmp_path / "fresh")
    with pytest.raises(SecretMisuseError, match="not the one"):
        party_of(world, used=fresh)
    with pytest.raises(SecretMisuseError, match="not the one"):
        server_of(world, used=fresh)


@pytest.mark.parametrize("role", ["party", "server"])
def test_a_used_file_with_fewer_records_is_refused(world, role):
    seat = world.parties[VICTIM] if role == "party" else world.host
    whole = seat.used_path.read_bytes().splitlines(keepends=True)
    assert len(whole) >= 2
    for kept in range(1, len(whole)):
        seat.used_path.write_bytes(b"".join(whole[:kept]))
        with pytest.raises(SecretMisuseError, match=f"has {kept - 1} records, it had {len(whole) - 1}"):
            party_of(world) if role == "party" else server_of(world)
    seat.used_path.write_bytes(b"".join(whole))
    party_of(world) if role == "party" else server_of(world)


def test_a_used_file_that_was_rolled_back_and_has_grown_since_is_refused(tmp_path):
    with cheap():
        world = World(tmp_path)
        world.begin()
        asked = world.play_until("hospital-1", messages.CIPHERTEXTS)
        party = world.parties["hospital-1"]
        backup = b"".join(party.used_path.read_bytes().splitlines(keepends=True)[:2])
        world.handle(asked)
        party.crash()
        party.used_path.write_bytes(backup)
        used = UsedFile.open(party.used_path)
        for number in range(3):  # another session, under the older file
            used.spend(bytes(16), number, "advertise", bytes(32))
        with pytest.raises(SecretMisuseError, match="rolled back, and has grown since"):
            party.reopened(-2)


@pytest.mark.parametrize(
    ("floor", "value"),
    [
        ("min_parties", 6),
        ("min_survivors", 5),
        ("min_threshold", 5),
        ("min_colluders", 2),
        ("purposes", ("research",)),
        ("graphs", ("k-regular",)),
        ("max_epsilon", 1.0),
        ("roster_fingerprint", "0000"),
    ],
)
def test_a_policy_that_no_longer_allows_the_plan_is_asked_when_a_party_comes_back(world, floor, value):
    policy = ClientPolicy(**{"server": ACTIVE, "delta": 1e-5, floor: value})
    with pytest.raises(PolicyRefusedError) as caught:
        party_of(world, policy=policy)
    assert caught.value.floor == floor


def test_a_policy_that_has_run_out_is_asked_when_a_party_comes_back(world):
    with pytest.raises(PolicyRefusedError):
        party_of(world, policy=ClientPolicy(expires=dt.date(2020, 1, 1)))


def test_a_semi_honest_plan_is_not_resumed_by_a_party_that_demands_an_active_server(tmp_path):
    world = World(tmp_path, protocol={"server": SEMI_HONEST, "threshold": 3})
    world.begin()
    world.handle(world.play_until(VICTIM, messages.ROSTER))
    with pytest.raises(PolicyRefusedError):
        party_of(world, policy=ClientPolicy())


# What is in it, and what shows.


def secrets_of(party):
    """Every secret that this party's program holds, by the library's own account."""
    found = [PASSWORD.encode()]
    for current in (party.client._round, party.client._next):
        if current is None:
            continue
        kept = current._kept
        if kept.advertised is not None and kept.dealer is None:
            found += [kept.advertised.mask.private.reveal(), kept.advertised.share.private.reveal()]
        if kept.dealer is not None and not kept.dealer.wiped:
            found += [kept.dealer.seed.reveal(), kept.dealer.mask.private.reveal(), *kept.dealer.incoming.values()]
        if kept.holder is not None:
            found += [share for held in kept.holder.held.values() for share in held._shares.values()]
    return found


def assert_shows_nothing(error, hidden):
    text = "".join(traceback.format_exception(error))
    for secret in hidden:
        for form in (secret.hex(), secret.hex()[:16], repr(secret)[2:-1], str(list(secret))):
            assert form not in text
    assert PASSWORD not in str(error)


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("prefetch", [False, True])
def test_a_snapshot_has_no_secret_in_clear(tmp_path, kind, prefetch):
    world = World(tmp_path, protocol={"server": ACTIVE, "threshold": 3, "prefetch": prefetch})
    world.begin()
    answers = world.handle(world.play_until(VICTIM, kind))
    party = world.parties[VICTIM]
    hidden = secrets_of(party)
    wanted = {
        messages.INVITE: 2,
        messages.ROSTER: 2 + 4,
        messages.CIPHERTEXTS: 2 * 4,
        messages.SURVIVORS: 2 * 4,
        messages.UNMASK: 2 * prefetch,
    }[kind]
    assert len(hidden) == 1 + wanted
    plain = sealing.open_with_password(party.snapshots[-1], PASSWORD, purpose=snapshots.CLIENT)
    on_disk = (
        party.snapshots[-1]
        + party.used_path.read_bytes()
        + world.host.snapshots[-1]
        + world.host.used_path.read_bytes()
    )
    for secret in hidden[1:]:
        assert secret in plain  # or this test looks for what is not there
        assert secret not in on_disk
        assert secret.hex().encode() not in on_disk
    assert hidden[0] not in on_disk + plain
    assert answers
    assert party.snapshots[-1] != party.client.save(PASSWORD)  # another salt, another nonce


def test_what_was_used_is_not_in_a_later_snapshot(tmp_path):
    """The seed and the mask key go when the vector is masked, the shares when they were given out, the pairs when dealt."""
    world = World(tmp_path)
    party = world.parties[VICTIM]
    world.begin()
    before: list[bytes] = []
    for kind in STEPS[:-1]:
        world.mail += world.handle(world.play_until(VICTIM, kind))
        before += secrets_of(party)[1:]
    shares = secrets_of(party)[1:]
    world.handle(world.play_until(VICTIM, messages.UNMASK))
    plain = sealing.open_with_password(party.snapshots[-1], PASSWORD, purpose=snapshots.CLIENT)
    given = messages.read(messages.UNMASK_SHARES, messages.parse(party.client._answers[0], 5)["body"])["shares"]
    out = {item["share"] for item in given}
    assert out < set(shares)
    for secret in set(before) - out:
        assert secret not in plain


def test_the_servers_snapshot_has_no_share_in_clear(tmp_path):
    world = World(tmp_path)
    world.begin()
    answer = world.handle(world.play_until(VICTIM, messages.UNMASK))[0]
    world.handle(answer)
    shares = messages.read(messages.UNMASK_SHARES, messages.parse(answer.data, 5)["body"])["shares"]
    plain = sealing.open_with_password(world.host.snapshots[-1], PASSWORD, purpose=snapshots.SERVER)
    for item in shares:
        assert item["share"] in plain
        assert item["share"] not in world.host.snapshots[-1]


def saved_structs(world):
    """Every struct that a snapshot is made of, with everything in it."""
    found = []

    def walk(value):
        if isinstance(value, msgspec.Struct):
            found.append(value)
            for name in value.__struct_fields__:
                walk(getattr(value, name))
        elif isinstance(value, list | tuple):
            for item in value:
                walk(item)

    for data, kind, purpose in (
        *((data, snapshots.SavedClient, snapshots.CLIENT) for data in world.parties[VICTIM].snapshots),
        *((data, snapshots.SavedServer, snapshots.SERVER) for data in world.host.snapshots),
    ):
        walk(msgspec.msgpack.decode(sealing.open_with_password(data, PASSWORD, purpose=purpose), type=kind))
    return found


def test_the_structs_of_a_snapshot_show_nothing_and_are_not_pickled(tmp_path):
    world = World(tmp_path, protocol={"server": ACTIVE, "threshold": 3, "prefetch": True})
    world.begin()
    hidden = []
    for kind in STEPS:
        world.mail += world.handle(world.play_until(VICTIM, kind))
        hidden += secrets_of(world.parties[VICTIM])[1:]
    world.finish()
    structs = [item for item in saved_structs(world) if isinstance(item, SecretMessage)]
    hidden.append(b"\x5a" * 32)
    structs.append(SavedSeeds(0, [(1, hidden[-1])]))  # what only a round under XNoise leaves behind
    assert {type(item).__name__ for item in structs} == {cls.__name__ for cls in SecretMessage.__subclasses__()}
    seen: Counter[type] = Counter()
    for item in structs:
        seen[type(item)] += 1
        if seen[type(item)] > 20:
            continue
        shown = [repr(item), str(item), f"{item}", f"{item!r}", repr([item]), repr({"a": (item,)})]
        assert shown[0] == f"<{type(item).__name__}: redacted>"
        for text in (*shown, rich_of(item)):
            assert not any(secret.hex() in text or repr(secret)[2:-1] in text for secret in hidden)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(SecretMisuseError):
                pickle.dumps(item, protocol)
        with pytest.raises(SecretMisuseError):
            copy.deepcopy(item)


def rich_of(item):
    """What rich prints of it, which is nothing or its name."""
    texts = []
    for show in (pretty_repr, lambda value: Console(file=io.StringIO(), width=200).print(value)):
        try:
            texts.append(str(show(item)))
        except SecretMisuseError:
            texts.append("")
    return "".join(texts)


def test_what_is_not_a_secret_struct_holds_none(tmp_path):
    """Structs of a snapshot with an ordinary repr show public things only."""
    world = World(tmp_path, protocol={"server": ACTIVE, "threshold": 3, "prefetch": True})
    world.begin()
    hidden = []
    for kind in STEPS:
        world.mail += world.handle(world.play_until(VICTIM, kind))
        hidden += secrets_of(world.parties[VICTIM])[1:]
    for item in saved_structs(world):
        if not isinstance(item, SecretMessage):
            text = repr(item)
            assert not any(repr(secret)[2:-1] in text for secret in hidden), type(item)


def test_a_party_that_came_back_shows_no_more_than_before(world):
    client = party_of(world)
    assert repr(client) == "<SecAggClient: redacted>"
    with pytest.raises(SecretMisuseError):
        pickle.dumps(client)
    with pytest.raises(SecretMisuseError):
        copy.copy(client)


def test_no_refusal_of_a_snapshot_says_a_secret(world, tmp_path):
    """Not in its message, nor in the errors that led to it."""
    party = world.parties[VICTIM]
    hidden = secrets_of(party)
    stranger, _ = Roster.generate(world.names)
    attempts = [
        lambda: opened_as(world, party.snapshots[-1], "wrong"),
        lambda: opened_as(world, party.snapshots[-1][:-1]),
        lambda: party_of(world, roster=stranger),
        lambda: party_of(world, used=UsedFile.open_or_create(tmp_path / "other")),
        lambda: party_of(world, policy=ClientPolicy(min_parties=50)),
        lambda: party_of(world, identity=None),
    ]
    for attempt in attempts:
        with pytest.raises(SecureFLError) as caught:
            attempt()
        assert_shows_nothing(caught.value, hidden)
