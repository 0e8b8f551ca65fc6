"""The server proposes less than a party insists on, or swaps the plan after it was accepted."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from attacks.harness import ACTIVE, MODELS, SEMI_HONEST, Seats, Table, body_of, pre_context_of
from securefl import (
    ClientPolicy,
    ConfigError,
    FixedPoint,
    LocalProtocolError,
    MalformedMessageError,
    Plan,
    PolicyRefusedError,
    RemoteProtocolError,
    RoundAbortedError,
    SecAgg,
    SecAggClient,
    SecAggServer,
    UnsafePlanError,
)
from securefl.plan import Roster as Parties
from securefl.plan.serialize import PlanMessage
from securefl.secagg.context import key_list_root
from securefl.secagg.states import ClientState
from securefl.wire.envelope import SERVER_INDEX, seal
from securefl.wire.messages import KeyEntry, Kind, Roster

STRICT = {
    "server": ACTIVE,
    "min_parties": 7,
    "min_survivors": 6,
    "min_threshold": 5,
    "min_colluders": 2,
    "purposes": ("sepsis",),
}
GOOD = {"protocol": {"threshold": 5, "max_colluders": 2, "min_survivors": 6}, "purpose": "sepsis"}


def downgraded(floor: str, n: int = 7, model=ACTIVE, protocol=None, **changes) -> Seats:
    """A session whose server offers a plan that is good but for one thing; the parties insist on `STRICT`."""
    offered = {**GOOD, **changes, "protocol": {**GOOD["protocol"], **(protocol or {})}}
    seats = Seats(n, server=model, policy=ClientPolicy(**STRICT), **offered)
    assert floor in {*STRICT, "graphs"}
    return seats


def refuses(seats: Seats, floor: str, policy: ClientPolicy | None = None) -> PolicyRefusedError:
    """The invitation is refused for this floor, and nothing was sent or joined."""
    client = seats.client("hospital-0", policy)
    with pytest.raises(PolicyRefusedError) as error:
        client.receive(seats.server.start_round()[0][1])
    assert error.value.floor == floor
    assert client.state is ClientState.START
    assert client.plan is None
    assert client.rounds_joined == 0
    return error.value


def test_the_plan_that_meets_every_floor_is_accepted():
    """The control: nothing but the downgrade is refused below."""
    seats = downgraded("server")
    assert seats.clients["hospital-0"].receive(seats.server.start_round()[0][1])


@pytest.mark.parametrize(
    ("floor", "offer"),
    [
        ("server", {"model": SEMI_HONEST}),
        ("min_parties", {"n": 6, "protocol": {"threshold": 5, "max_colluders": 2}}),
        ("min_survivors", {"protocol": {"min_survivors": 5}}),
        ("min_threshold", {"n": 7, "protocol": {"threshold": 4, "max_colluders": 0}}),
        ("min_colluders", {"protocol": {"max_colluders": 1}}),
        ("purposes", {"purpose": "advertising"}),
        ("purposes", {"purpose": ""}),
    ],
)
def test_a_plan_below_a_floor_is_refused_before_anything_is_sent(floor, offer):
    """Success: a party advertises keys under a plan that its own policy forbids."""
    refuses(downgraded(floor, **offer), floor)


def test_a_mask_graph_that_the_policy_does_not_name_is_refused():
    """Success: the plan's graph is not compared with the policy's list."""
    refuses(downgraded("graphs"), "graphs", ClientPolicy(graphs=()))


@pytest.mark.parametrize(
    ("floor", "policy"),
    [
        ("expires", {"expires": dt.date(2020, 1, 1)}),
        ("roster_fingerprint", {"roster_fingerprint": "0000 1111"}),
        ("min_noise_multiplier", {"min_noise_multiplier": 0.5}),
        ("max_epsilon", {"max_epsilon": 8.0, "delta": 1e-5}),
    ],
)
def test_a_policy_that_is_over_or_asks_for_what_the_plan_lacks_refuses(floor, policy):
    """Success: an expired policy, another roster or a plan without the noise demanded is taken all the same."""
    seats = Seats()
    assert seats.client("hospital-0", ClientPolicy()).receive(seats.invitation())
    refuses(seats, floor, ClientPolicy(**policy))


def test_the_last_day_of_a_policy_is_the_last():
    """Success: a policy holds a day longer than it says."""
    seats = Seats()
    policy = ClientPolicy(expires=dt.date(2026, 1, 31))
    policy.check(seats.plan, seats.roster, today=dt.date(2026, 1, 31))
    with pytest.raises(PolicyRefusedError):
        policy.check(seats.plan, seats.roster, today=dt.date(2026, 2, 1))


def test_the_plan_of_another_policy_is_refused():
    """Success: a plan that names the policy it was agreed under is joined under another."""
    mine = ClientPolicy(min_parties=3)
    seats = Seats(policy_digest=ClientPolicy(min_parties=4).digest())
    refuses(seats, "policy_digest", mine)
    agreed = Seats(policy_digest=mine.digest())
    assert agreed.client("hospital-0", mine).receive(agreed.invitation())


def test_a_server_cannot_have_more_rounds_than_the_policy_grants():
    """Success: round after round, or session after session, goes on beyond max_rounds."""
    seats = Seats()
    client = seats.client("hospital-0", ClientPolicy(max_rounds=2))
    assert client.receive(seats.invitation(round_number=1))
    assert client.receive(seats.invitation(session=b"T" * 16))
    for header in ({"round_number": 2}, {"session": b"U" * 16}):
        with pytest.raises(PolicyRefusedError, match="joined 2 rounds"):
            client.receive(seats.invitation(**header))


def test_without_a_policy_nobody_takes_part():
    """Success: a client without floors joins whatever it is invited to."""
    seats = Seats()
    with pytest.raises(ConfigError, match="no policy"):
        SecAggClient("hospital-0", roster=seats.roster, policy=None, identity=seats.keys["hospital-0"])


def test_the_default_policy_refuses_a_semi_honest_plan():
    """Success: who writes no policy of his own gets the weaker server model."""
    refuses(Seats(server=SEMI_HONEST), "server", ClientPolicy())


# Plans that no honest server could have made.


def forged(seats: Seats, **changes) -> bytes:
    """An invitation whose plan bytes are changed field by field; its seal is right."""
    fields = msgspec.structs.asdict(msgspec.msgpack.decode(seats.plan.to_bytes(), type=PlanMessage)) | changes
    data = msgspec.msgpack.encode(PlanMessage(**fields))
    return seats.invitation_of(data, pre_context_of(seats.plan, seats.roster, {}))


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 1},
        {"threshold": 0},
        {"threshold": 3},
        {"threshold": 7},
        {"max_colluders": 6},
        {"max_colluders": 3},
        {"min_survivors": 2},
        {"min_survivors": 3},
        {"min_survivors": 0},
        {"min_survivors": 8},
        {"ring_bits": 8},
        {"ring_bits": 14},
        {"ring_bits": 65},
        {"ring_bits": 0},
        {"max_weight": 0},
        {"max_weight": 1 << 40},
        {"value_bits": 64},
        {"bound": float("inf")},
        {"bound": float("nan")},
        {"bound": 0.0},
        {"server": "honest"},
        {"graph": "none"},
        {"on_saturation": "ignore"},
        {"parties": 6},
        {"parties": 8},
        {"parties": 1 << 50},
        {"policy_digest": b"short"},
        {"purpose": "line\nbreak"},
        {"leaves": []},
        {"metrics": [("loss", 1.0, 0.0)]},
        {"metrics": [("loss", 0.0, 1.0), ("accuracy", 0.0, 1.0)]},
        {"metrics": [("loss", 0.0, 1.0), ("loss", 0.0, 1.0)]},
        {"version": 2},
        {"protocol": "plain"},
    ],
    ids=lambda change: "-".join(f"{key}={value!r}" for key, value in change.items()),
)
def test_a_plan_that_cannot_be_constructed_safely_is_refused_off_the_wire(change):
    """Success: a client holds a plan with threshold 1, too small a ring, a floor of 2 and so on, because the server says so."""
    seats = Seats(7, protocol={"threshold": 5, "max_colluders": 2})
    client = seats.client("hospital-0", ClientPolicy())
    with pytest.raises((RemoteProtocolError, MalformedMessageError)):
        client.receive(forged(seats, **change))
    assert client.state is ClientState.START


@pytest.mark.parametrize("threshold", [1, 0, True, 7])
def test_no_side_can_write_a_plan_with_threshold_one(threshold):
    """Success: one share opens a secret; the server's own library lets it."""
    with pytest.raises(UnsafePlanError):
        Plan(template={"w": ((2,), "float32")}, parties=7, protocol=SecAgg(threshold=threshold, server="semi-honest"))


@pytest.mark.parametrize(("n", "t", "c"), [(6, 3, 0), (7, 4, 1), (8, 5, 2), (9, 6, 3)])
def test_the_active_rule_is_strict(monkeypatch, n, t, c):
    """Success: a plan with 2t = n + c is made, or a party deals under one."""
    with pytest.raises(UnsafePlanError, match="unsafe against an active server"):
        Plan(template={"w": ((2,), "float32")}, parties=n, protocol=SecAgg(t, server=ACTIVE, max_colluders=c))
    table = Table(n, t, colluders=c, floor=c + 2 if c else 3)
    with pytest.raises(RoundAbortedError, match="unsafe"):
        table.play(Kind.SHARES)
    monkeypatch.setattr("securefl.secagg.server.fit", lambda context, _: context)  # a server that does not care
    table = Table(n, t, colluders=c, floor=c + 2 if c else 3)
    table.play(Kind.SHARES)
    assert all("unsafe" in refusal.reason for refusal in table.refusals)
    assert len(table.refusals) == n
    assert {client.state for client in table.clients} == {ClientState.ABORTED}


@pytest.mark.parametrize(("n", "t", "c"), [(5, 3, 0), (7, 4, 0), (6, 4, 1), (7, 5, 2)])
def test_the_active_rule_admits_the_edge(n, t, c):
    """The control: with 2t = n + c + 1 the round goes its way."""
    table = Table(n, t, colluders=c, floor=max(3, c + 2))
    table.finish()
    table.assert_exact(range(n))


def test_a_semi_honest_threshold_must_exceed_the_colluders():
    """Success: c colluders hold t shares of everything."""
    for c in (3, 4, 5):
        with pytest.raises(UnsafePlanError):
            Plan(
                template={"w": ((2,), "float32")},
                parties=8,
                protocol=SecAgg(3, server=SEMI_HONEST, max_colluders=c),
            )


@pytest.mark.parametrize(("colluders", "floor"), [(0, 2), (2, 3), (3, 4)])
def test_a_floor_leaves_nobody_alone_beside_the_colluders(colluders, floor):
    """Success: a sum of c + 1 vectors is allowed: the c colluders subtract their own."""
    with pytest.raises(UnsafePlanError, match="min_survivors"):
        Plan(
            template={"w": ((2,), "float32")},
            parties=12,
            protocol=SecAgg(10, server=ACTIVE, max_colluders=colluders, min_survivors=floor),
        )


# After the invitation.


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("weaker", [{"threshold": 3}, {"min_survivors": 3}, {"server": SEMI_HONEST}, {}])
def test_a_plan_swapped_between_invitation_and_key_list_is_refused(model, weaker):
    """Success: a party deals its secrets by a plan that it never saw."""
    agreed = {"threshold": 4, "max_colluders": 0, "min_survivors": 4, "server": model}
    seats = Seats(5, server=model, protocol={key: value for key, value in agreed.items() if key != "server"})
    other = seats.plan.replace(protocol=SecAgg(**{**agreed, **weaker}), purpose="swapped")
    entries = [
        KeyEntry(i, *msgspec.structs.astuple(body_of(client.receive(seats.invitation())[0])))
        for i, client in enumerate(seats.clients.values())
    ]
    binding = pre_context_of(seats.plan, seats.roster, {})
    for client, plan in zip(seats.clients.values(), (other, other, other, seats.plan, seats.plan), strict=True):
        message = seal(
            Kind.ROSTER,
            Roster(plan.digest(), bytes(32), key_list_root(entries), len(entries), entries, []),
            session=b"S" * 16,
            round_number=1,
            sender=SERVER_INDEX,
            binding=binding,
        )
        if plan is seats.plan:
            assert client.receive(message)
            continue
        with pytest.raises(RemoteProtocolError, match="another plan"):
            client.receive(message)
        assert client.state is ClientState.ABORTED


def test_the_floor_on_parties_holds_for_those_who_really_came():
    """Success: a plan for seven is met by a key list of four, against the policy's min_parties."""
    seats = Seats(7, protocol={"threshold": 4, "max_colluders": 0}, policy=ClientPolicy(min_parties=6))
    mail = seats.server.start_round()[:5]
    answers = seats.exchange(mail)
    seats.submit()
    for name, data in answers:
        seats.server.receive(data, party=name)
    for name, data in seats.server.close_phase():
        with pytest.raises(PolicyRefusedError, match="5 parties advertised"):
            seats.clients[name].receive(data)
        assert seats.clients[name].state is ClientState.ABORTED


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("threshold", "floor", "least"), [(4, 3, 5), (4, 6, 6)])
def test_a_key_list_too_short_to_open_anything_honestly_is_refused(model, threshold, floor, least):
    """Success: secrets are dealt among fewer than max(t + 1, min_survivors) parties."""
    table = Table(7, threshold, floor=floor, server=model)
    message = body_of(table.play(Kind.ROSTER)[0][0])

    def shorten(size: int):
        entries = message.entries[:size]
        return msgspec.structs.replace(message, attending=size, entries=entries, root=key_list_root(entries))

    with pytest.raises(RemoteProtocolError, match=f"{least - 1} parties"):
        table.tell(1, shorten(least - 1))
    assert table.tell(0, shorten(least))


@pytest.mark.parametrize("model", MODELS)
def test_too_few_neighbours_shares_are_refused(model):
    """Success: a party masks with fewer than max(t, min_survivors - 1) others, whom a server may all have bribed."""
    for floor, least in ((3, 4), (6, 5)):
        table = Table(7, 4, floor=floor, server=model)
        sealed = body_of(table.play(Kind.CIPHERTEXTS)[0][0]).sealed
        again = Table(7, 4, floor=floor, server=model)
        with pytest.raises(RemoteProtocolError, match=f"{least - 1} neighbours arrived, at least {least}"):
            table.tell(0, msgspec.structs.replace(body_of(table.mail[0][0]), sealed=sealed[: least - 1]))
        message = body_of(again.play(Kind.CIPHERTEXTS)[0][0])
        assert again.tell(0, msgspec.structs.replace(message, sealed=message.sealed[:least]))


@pytest.mark.parametrize("model", MODELS)
def test_a_round_for_another_model_gets_no_vector(model):
    """Success: an update that was trained from one model is masked in a round for another, or for none."""
    rounds = {
        "another": ({"w": 1.0}, {"w": 2.0}),
        "none": ({"w": 1.0}, None),
        "some": (None, {"w": 2.0}),
    }
    for trained, offered in rounds.values():
        seats = Seats(server=model)
        answers = seats.exchange(seats.server.start_round(offered))
        seats.submit(model=trained)
        shares = seats.exchange(seats.collect(answers))
        for name, data in seats.collect(shares):
            with pytest.raises(RemoteProtocolError, match="model"):
                seats.clients[name].receive(data)
            assert seats.clients[name].state is ClientState.ABORTED


def test_an_active_plan_needs_this_party_s_key_and_a_roster_of_keys():
    """Success: a party without identity plays an active plan, and its messages are signed by nobody."""
    seats = Seats(policy=ClientPolicy())
    stranger = SecAggClient("hospital-0", roster=seats.roster, policy=ClientPolicy())
    with pytest.raises(LocalProtocolError, match="signed identities"):
        stranger.receive(seats.invitation())
    names = Parties.unsigned(seats.roster.names)
    client = SecAggClient("hospital-0", roster=names, policy=ClientPolicy())
    with pytest.raises(LocalProtocolError, match="signed identities"):
        client.receive(seats.invitation(roster=names))
    with pytest.raises(ConfigError, match="identity key"):
        SecAggServer(seats.plan, roster=names)
    with pytest.raises(ConfigError, match="not the one that the roster has"):
        SecAggClient("hospital-0", roster=seats.roster, policy=ClientPolicy(), identity=seats.keys["hospital-1"])


@pytest.mark.parametrize("other", ["a party more", "another order", "another key", "another version"])
def test_the_roster_on_the_party_s_own_disk_decides(other):
    """Success: the server's roster, with a party added, moved or replaced, is taken for the party's own."""
    seats = Seats()
    members = list(seats.roster.members)
    strange, _ = Parties.generate([member.name for member in members])
    rosters = {
        "a party more": seats.roster.with_member(Parties.generate(["sybil"])[0].members[0]),
        "another order": Parties((members[1], members[0], members[2])),
        "another key": Parties((members[0], members[1], strange.members[2])),
        "another version": Parties(tuple(members), 2),
    }
    roster = rosters[other]
    plan = seats.plan if len(roster) == 3 else Plan(template=seats.plan.template, parties=roster)
    with pytest.raises(RemoteProtocolError, match="the server's roster is not this party's"):
        seats.clients["hospital-0"].receive(seats.invitation(plan, roster=roster))
    assert seats.clients["hospital-0"].state is ClientState.START


@pytest.mark.parametrize("parties", [5, 7])
def test_a_plan_for_another_number_of_parties_than_the_roster_s_is_refused(parties):
    """Success: the threshold rule is checked for n parties, and there are others."""
    seats = Seats(6)
    plan = Plan(template=seats.plan.template, parties=parties, protocol=SecAgg(server=ACTIVE))
    with pytest.raises(RemoteProtocolError, match=f"another number of parties: got {parties}, needs 6"):
        seats.clients["hospital-0"].receive(seats.invitation(plan))
    with pytest.raises(ConfigError, match=f"the plan is for {parties} parties, the roster has 6"):
        SecAggServer(plan, roster=seats.roster)


@pytest.mark.parametrize(
    "floor",
    [
        {"min_parties": 2},
        {"min_survivors": 2},
        {"min_threshold": 1},
        {"min_colluders": -1},
        {"min_parties": True},
        {"max_rounds": 0},
        {"server": "none"},
        {"graphs": ("star",)},
        {"max_epsilon": 0.0},
        {"max_epsilon": float("nan")},
        {"min_noise_multiplier": -1.0},
    ],
    ids=str,
)
def test_a_policy_that_demands_nothing_cannot_be_written(floor):
    """Success: a floor below what any sum needs, or a typing error, makes a policy that refuses nothing."""
    with pytest.raises(ConfigError):
        ClientPolicy(**floor)


def test_an_invitation_in_the_name_of_a_party_is_refused():
    """Success: a party invites the others."""
    seats = Seats()
    with pytest.raises(RemoteProtocolError, match="bears a party's index"):
        seats.clients["hospital-0"].receive(seats.invitation(sender=1))


def test_the_digest_of_the_plan_covers_every_field():
    """Success: two plans that differ in some field have one digest, so that parties under both derive the same keys."""
    seats = Seats(7, protocol={"threshold": 5, "max_colluders": 1, "min_survivors": 5}, metrics={"loss": (0, 1)})
    changes = [
        {"protocol": SecAgg(6, server=ACTIVE, max_colluders=1, min_survivors=5)},
        {"protocol": SecAgg(5, server=ACTIVE, max_colluders=0, min_survivors=5)},
        {"protocol": SecAgg(5, server=ACTIVE, max_colluders=1, min_survivors=6)},
        {"protocol": SecAgg(5, server=SEMI_HONEST, max_colluders=1, min_survivors=5)},
        {"parties": 8},
        {"encoding": FixedPoint(13, 1.0)},
        {"encoding": FixedPoint(12, 2.0)},
        {"encoding": FixedPoint(12, 1.0, "refuse")},
        {"max_weight": 2},
        {"ring_bits": 40},
        {"metrics": {"loss": (0, 2)}},
        {"metrics": {}},
        {"template": {"w": ((5,), "float32")}},
        {"template": {"w": ((4,), "float64")}},
        {"template": {"v": ((4,), "float32")}},
        {"purpose": "other"},
        {"policy_digest": b"d" * 32},
    ]
    digests = {seats.plan.digest()} | {
        seats.plan.replace(**{"ring_bits": None, **change}).digest() for change in changes
    }
    assert len(digests) == 1 + len(changes)
    assert {item.name for item in msgspec.structs.fields(PlanMessage)} >= {"threshold", "leaves"}
