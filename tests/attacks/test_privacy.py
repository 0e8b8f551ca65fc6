"""Attacks on private sums: a server that asks for less noise, rounds beyond the budget, releases without an entry."""

from __future__ import annotations

import contextlib
import dataclasses
import math

import msgspec
import numpy as np
import pytest

import securefl as sfl
from securefl.dp.ledger import Charge, Head, verify_file
from securefl.dp.mechanisms import Floor, choose
from securefl.dp.mechanisms.kinds import MECHANISMS
from securefl.dp.modular_grid import ModularGrid
from securefl.errors import PolicyRefusedError
from securefl.plan import Plan
from securefl.plan.privacy import PrivacyMessage
from securefl.policy import ClientPolicy
from securefl.secagg.context import pre_context_of
from securefl.session import SecAggClient, SecAggServer
from securefl.types import Step
from securefl.wire.envelope import SERVER_INDEX, seal
from securefl.wire.messages import Invite, Kind

NAMES = tuple(f"p{i}" for i in range(6))
TEMPLATE = {"w": ((8,), "float64")}
UPDATE = {"w": np.full(8, 0.1)}
SEMI = sfl.SecAgg(server="semi-honest", min_survivors=4, max_colluders=1, threshold=3)


def plan_of(mechanism=sfl.DistributedDiscreteGaussian, *, noise=1.0, protocol=SEMI, **fields):
    return sfl.Plan(
        template=TEMPLATE,
        parties=len(NAMES),
        protocol=protocol,
        encoding=ModularGrid(20),
        privacy=mechanism(clip=1.0, noise_multiplier=noise, **fields),
    )


def ledger_of(path, name="ledger", epsilon=1e3):
    return sfl.PrivacyLedger(path / f"{name}.jsonl", sfl.Budget(epsilon=epsilon, delta=1e-5))


def one_round_costs(plan):
    return sfl.dp.privacy_of(plan, delta=1e-5, rounds=1)[1].epsilon


def test_a_plan_with_less_noise_than_the_party_demands_is_refused_before_anything_is_sent(tmp_path):
    offered, demanded = plan_of(noise=0.5), ClientPolicy.matching(plan_of(noise=1.0))
    server = SecAggServer(offered, roster=sfl.Roster.unsigned(NAMES), ledger=ledger_of(tmp_path))
    client = SecAggClient(
        "p0", roster=sfl.Roster.unsigned(NAMES), policy=demanded, ledger=ledger_of(tmp_path, "client")
    )
    invite = dict(server.start_round())["p0"]
    with pytest.raises(PolicyRefusedError, match="noise multiplier") as refused:
        client.receive(invite)
    assert refused.value.floor == "min_noise_multiplier"
    assert verify_file(tmp_path / "client.jsonl") == ()


@pytest.mark.parametrize("mechanism", [None, sfl.CentralDiscreteGaussian])
def test_a_party_that_demands_noise_takes_neither_none_nor_the_servers(mechanism, tmp_path):
    plan = plan_of(mechanism) if mechanism else sfl.Plan(template=TEMPLATE, parties=6, protocol=SEMI)
    policy = dataclasses.replace(ClientPolicy.matching(plan), min_noise_multiplier=0.1)
    with pytest.raises(PolicyRefusedError) as refused:
        policy.check(plan, sfl.Roster.unsigned(NAMES))
    assert refused.value.floor == "min_noise_multiplier"


@pytest.mark.parametrize("rounds", [0, 1, 5])
def test_a_party_leaves_when_one_more_round_would_exceed_its_epsilon(rounds):
    plan = plan_of()
    allowed = sfl.dp.privacy_of(plan, delta=1e-5, rounds=rounds + 1)[1].epsilon
    for margin, refused in ((1.001, False), (0.999, True)):
        policy = dataclasses.replace(ClientPolicy.matching(plan), max_epsilon=allowed * margin, delta=1e-5)
        if refused:
            with pytest.raises(PolicyRefusedError, match="cost epsilon"):
                policy.check(plan, sfl.Roster.unsigned(NAMES), rounds_before=rounds)
        else:
            policy.check(plan, sfl.Roster.unsigned(NAMES), rounds_before=rounds)


def test_nothing_private_runs_without_a_ledger_on_either_side(tmp_path):
    plan, roster = plan_of(), sfl.Roster.unsigned(NAMES)
    with pytest.raises(sfl.ConfigError, match="ledger"):
        SecAggServer(plan, roster=roster)
    server = SecAggServer(plan, roster=roster, ledger=ledger_of(tmp_path))
    client = SecAggClient("p0", roster=roster, policy=ClientPolicy.matching(plan))
    with pytest.raises(sfl.ConfigError, match="ledger"):
        client.receive(dict(server.start_round())["p0"])


def test_a_budget_that_allows_one_round_allows_one_round_and_the_second_sends_nothing(tmp_path):
    plan = plan_of()
    ledger = ledger_of(tmp_path, epsilon=one_round_costs(plan) * 1.0001)
    session = sfl.MemorySession(plan, NAMES, ledger=ledger)
    updates = dict.fromkeys(NAMES, UPDATE)
    first = session.round(updates)
    assert first.spent.observer <= ledger.budget.epsilon
    entries = len(ledger.entries)
    with pytest.raises(sfl.PrivacyBudgetError):
        session.round(updates)
    assert len(ledger.entries) == entries == len(NAMES)


def test_each_party_holds_its_own_budget_whatever_the_servers_ledger_says(tmp_path):
    """p0 has spent its budget elsewhere: it stays away, the round goes on without it."""
    plan = plan_of()
    own = {name: ledger_of(tmp_path, name) for name in NAMES}
    own["p0"] = ledger_of(tmp_path, "poor", epsilon=one_round_costs(plan) / 2)
    session = sfl.MemorySession(plan, NAMES, ledger=ledger_of(tmp_path), ledgers=own)
    result = session.round(dict.fromkeys(NAMES, UPDATE))
    assert result.survivors == NAMES[1:]
    assert result.dropped == {"p0": Step.ADVERTISE}
    assert isinstance(result.refusals[0], sfl.PrivacyBudgetError)
    assert {name: len(ledger.entries) for name, ledger in own.items()} == {"p0": 0, **dict.fromkeys(NAMES[1:], 1)}


def test_what_was_sent_is_charged_even_where_the_round_dies(tmp_path):
    """Two vectors are lost after they were made, and the sum is never opened: six charges stay, and the retry adds its own."""
    plan = plan_of()
    ledger = ledger_of(tmp_path)
    own = {name: ledger_of(tmp_path, name) for name in NAMES}
    session = sfl.MemorySession(plan, NAMES, ledger=ledger, ledgers=own)
    updates = dict.fromkeys(NAMES, UPDATE)
    with pytest.raises(sfl.BelowThresholdError):
        session.round(updates, drop=dict.fromkeys(NAMES[:3], "masked_input"))
    assert [len(book.entries) for book in own.values()] == [1] * 6
    assert len(ledger.entries) == 0, "the server opened nothing, and charges what it opens"
    session.round(updates)
    assert [len(book.entries) for book in own.values()] == [2] * 6
    assert len(ledger.entries) == 6


def test_a_server_whose_ledger_fails_asks_nobody_to_open_the_sum(tmp_path, monkeypatch):
    plan = plan_of()
    ledger = ledger_of(tmp_path)
    own = {name: ledger_of(tmp_path, name) for name in NAMES}
    session = sfl.MemorySession(plan, NAMES, ledger=ledger, ledgers=own)

    def full(_charges):
        raise sfl.ConfigError("the disk is full", remedy="make room")

    monkeypatch.setattr(ledger, "charge_all", full)
    with pytest.raises(sfl.RoundAbortedError, match="not opened: the disk is full"):
        session.round(dict.fromkeys(NAMES, UPDATE))


def test_a_party_whose_ledger_fails_sends_no_vector(tmp_path, monkeypatch):
    plan = plan_of()
    own = {name: ledger_of(tmp_path, name) for name in NAMES}
    session = sfl.MemorySession(plan, NAMES, ledger=ledger_of(tmp_path), ledgers=own)

    def full(_charge):
        raise sfl.ConfigError("the disk is full", remedy="make room")

    monkeypatch.setattr(own["p3"], "charge", full)
    result = session.round(dict.fromkeys(NAMES, UPDATE))
    assert "p3" not in result.survivors
    assert result.dropped["p3"] is Step.MASKED_INPUT


def test_central_noise_is_drawn_once_however_often_the_result_is_asked_for(tmp_path):
    session = sfl.MemorySession(plan_of(sfl.CentralDiscreteGaussian), NAMES, ledger=ledger_of(tmp_path))
    session.round(dict.fromkeys(NAMES, UPDATE))
    one, again = session._actors.server.result(), session._actors.server.result()
    assert np.array_equal(one.integers, again.integers)
    assert math.isinf(one.spent.server)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metrics": {"loss": (0.0, 1.0)}}, "metrics beside a private sum"),
        ({"encoding": sfl.FixedPoint()}, "FixedPoint with differential privacy"),
        ({"template": {"n": ((2,), "int64")}}, "cannot be clipped"),
        ({"template": {"w": ((8,), "float64"), "flag": ((), "bool")}}, "cannot be clipped"),
        ({"ring_bits": 30}, "ring_bits beside a ModularGrid"),
        ({"privacy": sfl.DistributedDiscreteGaussian(clip=sfl.LayerClip((1.0, 1.0)))}, "another number of layers"),
        (
            {
                "privacy": sfl.DistributedSkellam(clip=sfl.QuantileClip()),
                "protocol": dataclasses.replace(SEMI, prefetch=True),
            },
            "prefetched keys",
        ),
        ({"encoding": ModularGrid(8), "privacy": sfl.LocalDiscreteGaussian(clip=1.0, noise_multiplier=50.0)}, "ring"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_what_would_be_released_beside_the_noise_or_without_enough_of_it_cannot_be_planned(change, said):
    with pytest.raises(sfl.UnsafePlanError, match=said) as refused:
        plan_of().replace(**change)
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"noise_multiplier": 0.0}, "noise multiplier"),
        ({"noise_multiplier": -1.0}, "noise multiplier"),
        ({"noise_multiplier": math.nan}, "noise multiplier"),
        ({"clip": 0.0}, "clip"),
        ({"clip": math.inf}, "clip"),
        ({"relation": "add-remove"}, "relation"),
        ({"relation": "replace-one"}, "relation"),
        ({"relation": "neighbours"}, "neighbouring relation"),
        ({"unit": "record"}, "unit"),
        ({"unit": "household"}, "unit"),
        ({"denominator": 0.0}, "denominator"),
        ({"denominator": math.nan}, "denominator"),
        ({"slack": 0.0}, "slack"),
        ({"slack": math.nan}, "slack"),
        ({"min_sigma": 0.5}, "min_sigma"),
        ({"min_sigma": math.nan}, "min_sigma"),
        ({"min_sigma": 1e308}, "min_sigma"),
    ],
    ids=str,
)
def test_a_mechanism_that_promises_what_it_cannot_keep_is_refused_by_name(fields, said):
    with pytest.raises(sfl.UnsafePlanError, match=said):
        sfl.DistributedDiscreteGaussian(**{"clip": 1.0, **fields})


def test_a_coarse_grid_has_more_noise_than_asked_for_and_less_cannot_be_read():
    plan = plan_of(noise=0.01).replace(encoding=ModularGrid(10))
    assert plan.release.variance >= 4
    assert plan.release.noise_multiplier > 0.02
    assert "more noise than the multiplier 0.01" in str(plan)
    with pytest.raises(sfl.UnsafePlanError, match="below the least"):
        dataclasses.replace(plan.release, variance=3.9)


def test_a_draft_is_neither_sent_nor_used(tmp_path):
    draft = plan_of(noise=None)
    assert draft.draft
    with pytest.raises(sfl.UnsafePlanError, match="no noise has been chosen"):
        draft.to_bytes()
    with pytest.raises(sfl.UnsafePlanError, match="no noise has been chosen"):
        sfl.aggregate(dict.fromkeys(NAMES, UPDATE), draft, ledger=ledger_of(tmp_path))


@pytest.mark.parametrize("kind", sorted(MECHANISMS))
@pytest.mark.parametrize(
    ("field", "value"),
    [("variance", 0.99), ("radius", 1.02), ("noise_multiplier", 1.01), ("denominator", None), ("slack", math.nan)],
)
def test_a_plan_with_less_noise_than_it_says_cannot_be_read(kind, field, value):
    plan = plan_of(MECHANISMS[kind])
    data = plan.to_bytes()
    assert Plan.from_bytes(data) == plan
    fields = msgspec.msgpack.decode(data)
    names = [f.name for f in msgspec.structs.fields(PrivacyMessage)]
    place = [isinstance(part, list) and part[:1] == [kind] for part in fields].index(True)
    at = names.index(field)
    fields[place][at] = -1.0 if value is None else value * (fields[place][at] or 1.0)
    with pytest.raises((sfl.UnsafePlanError, sfl.MalformedMessageError)):
        Plan.from_bytes(msgspec.msgpack.encode(fields))


@pytest.mark.parametrize("side", ["party", "server"])
def test_a_ledger_that_was_cut_off_or_written_anew_is_refused_by_whoever_has_a_used_file(side, tmp_path):
    plan, roster = plan_of(), sfl.Roster.unsigned(NAMES)
    used = {name: sfl.UsedFile.create(tmp_path / f"{name}.used") for name in (*NAMES, "server")}
    books = {name: ledger_of(tmp_path, name) for name in (*NAMES, "server")}

    def make(name):
        if name == "server":
            return SecAggServer(plan, roster=roster, used=used[name], ledger=ledger_of(tmp_path, name))
        policy = ClientPolicy.matching(plan)
        return SecAggClient(name, roster=roster, policy=policy, used=used[name], ledger=ledger_of(tmp_path, name))

    server, clients = make("server"), {name: make(name) for name in NAMES}
    for _ in range(2):
        for client in clients.values():
            client.submit(UPDATE)
        mail = server.start_round()
        while not server.done:
            answers = [(name, reply) for name, data in mail for reply in clients[name].receive(data)]
            mail = [out for name, reply in answers for out in server.receive(reply, party=name)]
    who = "server" if side == "server" else "p2"
    make(who)
    path = books[who].path
    whole = path.read_bytes()
    path.write_bytes(b"\n".join(whole.split(b"\n")[: -2 if side == "party" else -3]) + b"\n")
    with pytest.raises(sfl.ConfigError, match="is missing: the chain ends"):
        make(who)
    path.unlink()
    with pytest.raises(sfl.ConfigError, match="is missing: the chain ends"):
        make(who)
    path.write_bytes(whole)
    make(who)


@pytest.mark.parametrize("colluders", [7, 8, 9, 10])
def test_xnoise_with_as_many_colluders_as_honest_parties_remain_is_refused_by_name(colluders):
    asked = sfl.DistributedSkellam(clip=1.0, noise_multiplier=1.0, max_dropouts=2)
    with pytest.raises(sfl.UnsafePlanError, match="too many colluders for XNoise"):
        choose(asked, Floor(10, 10, colluders, None), 8, ModularGrid(24))


def test_a_strangers_xnoise_with_no_honest_noise_left_is_refused_and_crashes_nobody():
    """What the page of the format admits, with max_dropouts raised until n - J = c."""
    protocol = sfl.SecAgg(max_colluders=3, min_survivors=10, threshold=6)
    plan = sfl.Plan(
        template=TEMPLATE,
        parties=10,
        protocol=protocol,
        encoding=ModularGrid(24),
        privacy=sfl.DistributedSkellam(clip=1.0, noise_multiplier=1.0, max_dropouts=1),
    )
    fields = msgspec.msgpack.decode(plan.to_bytes())
    place = [isinstance(part, list) and part[:1] == ["distributed-skellam"] for part in fields].index(True)
    at = [field.name for field in msgspec.structs.fields(PrivacyMessage)].index("max_dropouts")
    for dropouts in (6, 7, 8, 9, 10, 11, 2**31):
        fields[place][at] = dropouts
        with pytest.raises(sfl.UnsafePlanError):
            Plan.from_bytes(msgspec.msgpack.encode(fields))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, -1.0, 0.0, 5e-324])
@pytest.mark.parametrize("field", ["noise_multiplier", "slack", "min_sigma", "denominator", "k", "radius", "variance"])
def test_a_strangers_plan_of_impossible_numbers_crashes_nobody(field, value):
    """A square that overflows is the typed error, too. What is so small that it can be taken is printed without one."""
    plan = plan_of(sfl.DistributedDiscreteGaussian)
    fields = msgspec.msgpack.decode(plan.to_bytes())
    place = [isinstance(part, list) and part[:1] == ["distributed-discrete-gaussian"] for part in fields].index(True)
    at = [field.name for field in msgspec.structs.fields(PrivacyMessage)].index(field)
    fields[place][at] = value
    data = msgspec.msgpack.encode(fields)
    if value == 5e-324 or (field, value) == ("denominator", 1e308):
        with contextlib.suppress(sfl.UnsafePlanError):
            taken = Plan.from_bytes(data)
            assert (taken.to_bytes(), bool(str(taken)), bool(taken.to_dict())) == (data, True, True)
        return
    with pytest.raises(sfl.UnsafePlanError):
        Plan.from_bytes(data)


def test_a_round_that_cannot_begin_leaves_the_released_sum_as_it_was(tmp_path):
    """Otherwise each attempt would release the same exact sum under fresh noise of the server, for nothing."""
    session = sfl.MemorySession(plan_of(sfl.CentralDiscreteGaussian), NAMES, ledger=ledger_of(tmp_path))
    session.round(dict.fromkeys(NAMES, UPDATE))
    server = session._actors.server
    released = server.result().integers
    for _ in range(3):
        with pytest.raises(sfl.SecureFLError):
            server.start_round({"w": "no array"})
        assert np.array_equal(server.result().integers, released)


def test_a_refused_round_under_an_adaptive_clip_leaves_the_plan_of_the_opened_sum(tmp_path):
    plan = plan_of(sfl.DistributedSkellam).replace(
        # A quantile of one half would be met exactly by noisy bits that add up to 0, and the clip would stay.
        privacy=sfl.DistributedSkellam(clip=sfl.QuantileClip(1.0, quantile=0.3, bit_noise=5.0), noise_multiplier=1.0)
    )
    session = sfl.MemorySession(plan, NAMES, ledger=ledger_of(tmp_path, epsilon=one_round_costs(plan) * 1.0001))
    result = session.round(dict.fromkeys(NAMES, UPDATE))
    assert result.next_plan != plan
    with pytest.raises(sfl.PrivacyBudgetError):
        session.round(dict.fromkeys(NAMES, UPDATE))
    assert session.plan == plan


def test_once_the_server_has_added_the_noise_itself_nothing_bounds_what_it_knows(tmp_path):
    ledger = ledger_of(tmp_path)
    central = plan_of(sfl.CentralDiscreteGaussian, relation="zero-out")
    assert math.isinf(sfl.aggregate(dict.fromkeys(NAMES, UPDATE), central, ledger=ledger).spent.server)
    later = sfl.aggregate(dict.fromkeys(NAMES, UPDATE), plan_of(), ledger=ledger).spent
    assert math.isinf(later.server)
    assert math.isfinite(later.observer)


@pytest.mark.parametrize("offered", ["none", "server"])
def test_a_party_with_a_ledger_takes_part_in_no_sum_that_its_ledger_would_not_bound(offered, tmp_path):
    """A policy without a noise floor, and a server that leaves out the noise, or adds it itself."""
    plan = plan_of(sfl.CentralDiscreteGaussian) if offered == "server" else plan_of().replace(privacy=None)
    roster = sfl.Roster.unsigned(NAMES)
    server = SecAggServer(plan, roster=roster, ledger=ledger_of(tmp_path) if offered == "server" else None)
    invite = dict(server.start_round())["p0"]
    strict = SecAggClient(
        "p0", roster=roster, policy=ClientPolicy(server="semi-honest"), ledger=ledger_of(tmp_path, "own")
    )
    with pytest.raises(PolicyRefusedError) as refused:
        strict.receive(invite)
    assert refused.value.floor == "noise_by"
    lenient = ClientPolicy(server="semi-honest", noise_by=offered)
    assert SecAggClient("p0", roster=roster, policy=lenient, ledger=ledger_of(tmp_path, "own2")).receive(invite)


def test_a_ledger_beside_a_plan_without_noise_is_a_mistake_that_is_named(tmp_path):
    with pytest.raises(sfl.ConfigError, match="no differential privacy"):
        sfl.aggregate(dict.fromkeys(NAMES, UPDATE), plan_of().replace(privacy=None), ledger=ledger_of(tmp_path))


def test_a_limit_on_epsilon_counts_what_the_ledger_knows_of_earlier_plans_and_clients(tmp_path):
    """Costly rounds first, each with a client object of its own: the limit holds all the same."""
    roster, book = sfl.Roster.unsigned(NAMES), ledger_of(tmp_path, "own")
    costly, cheap = plan_of(noise=1.0), plan_of(noise=5.0)
    limit = one_round_costs(costly) * 1.05
    policy = ClientPolicy(server="semi-honest", max_epsilon=limit, delta=1e-5)

    def invited(plan):
        server = SecAggServer(plan, roster=roster, ledger=ledger_of(tmp_path, f"server-{plan.digest().hex()[:8]}"))
        client = SecAggClient("p0", roster=roster, policy=policy, ledger=book)
        return client.receive(dict(server.start_round())["p0"])

    assert invited(costly)

    def charge(plan):
        release = plan.release
        return Charge(
            owner="p0",
            party="p0",
            session=bytes(16),
            ctx=bytes(32),
            attempt=len(book.entries).to_bytes(2, "big"),
            plan=bytes(32),
            event=release.event,
            relation=plan.privacy.relation,
            unit=plan.privacy.unit,
            floor=release.floor.survivors,
            colluders=release.floor.colluders,
        )

    def many_cheap_rounds():
        for _ in range(9):
            invited(cheap)
            book.charge(charge(cheap))

    book.charge(charge(costly))
    with pytest.raises(PolicyRefusedError, match="with this round all of them cost") as refused:
        many_cheap_rounds()
    assert refused.value.floor == "max_epsilon"
    assert book.spent() <= limit


def test_another_name_on_another_roster_opens_no_second_budget(tmp_path):
    plan = plan_of()
    book = ledger_of(tmp_path, "own", epsilon=one_round_costs(plan) * 1.0001)
    own = {name: ledger_of(tmp_path, name) for name in NAMES} | {"p0": book}
    sfl.MemorySession(plan, NAMES, ledger=ledger_of(tmp_path), ledgers=own).round(dict.fromkeys(NAMES, UPDATE))
    renamed = sfl.Roster.unsigned(("hospital", *NAMES[1:]))
    policy = ClientPolicy.matching(plan)
    with pytest.raises(sfl.ConfigError, match="pass owner='p0'"):
        SecAggClient("hospital", roster=renamed, policy=policy, ledger=book)
    client = SecAggClient("hospital", roster=renamed, policy=policy, ledger=book, owner="p0")
    server = SecAggServer(plan, roster=renamed, ledger=ledger_of(tmp_path, "server"))
    with pytest.raises(sfl.PrivacyBudgetError):
        client.receive(dict(server.start_round())["hospital"])


def test_the_headline_of_cohorts_is_what_the_ledger_says_after_all_of_them(tmp_path):
    names = [f"q{i}" for i in range(12)]
    ledger = ledger_of(tmp_path)
    plan = plan_of()
    before = sfl.aggregate(dict.fromkeys(names[6:], UPDATE), plan, ledger=ledger).spent
    result = sfl.aggregate_cohorts(dict.fromkeys(names, UPDATE), plan, ledger=ledger)
    assert result.spent.observer == ledger.spent() > before.observer
    assert all(cohort.spent == result.spent for cohort in result.results.values())


def test_an_adaptive_clip_is_refused_where_the_number_of_parties_is_what_must_not_show():
    with pytest.raises(sfl.UnsafePlanError, match="adaptive clip under add-remove"):
        sfl.CentralDiscreteGaussian(clip=sfl.QuantileClip())
    sfl.CentralDiscreteGaussian(clip=sfl.QuantileClip(), relation="zero-out")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("variance", math.inf),
        ("variance", math.nan),
        ("variance", 0.0),
        ("radius", math.nan),
        ("radius", -1.0),
        ("noise_multiplier", math.nextafter(1.0, 0.0)),
        ("noise_multiplier", 5e-324),
        ("slack", math.inf),
        ("denominator", math.nan),
        ("k", math.nan),
    ],
)
def test_numbers_at_the_ends_of_floats_are_refused_by_a_typed_error(field, value, tmp_path):
    plan = plan_of().replace(
        privacy=sfl.DistributedSkellam(clip=sfl.QuantileClip(1.0, bit_noise=0.5), noise_multiplier=0.9)
    )
    server = SecAggServer(plan, roster=sfl.Roster.unsigned(NAMES), ledger=ledger_of(tmp_path))
    server.start_round()
    fields = msgspec.msgpack.decode(plan.to_bytes())
    place = [isinstance(part, list) and part[:1] == ["distributed-skellam"] for part in fields].index(True)
    fields[place][[f.name for f in msgspec.structs.fields(PrivacyMessage)].index(field)] = value
    forged = seal(
        Kind.INVITE,
        Invite(msgspec.msgpack.encode(fields), server._roster.digest()),
        session=server.session,
        round_number=2,
        sender=SERVER_INDEX,
        binding=pre_context_of(server.session, 2, server._roster.digest()),
    )
    client = SecAggClient(
        "p0", roster=server._roster, policy=ClientPolicy(server="semi-honest"), ledger=ledger_of(tmp_path, "own")
    )
    try:
        client.receive(forged)
    except sfl.SecureFLError:
        return
    assert field == "slack", "only an infinite slack is a plan: beta = 0"


def test_a_floor_on_noise_is_one_on_what_protects_not_on_a_number_of_the_plan():
    """On a grid of eight coordinates Skellam noise of multiplier 1 is worth less than a Gaussian of 1."""
    coarse, fine = (
        sfl.Plan(
            template=TEMPLATE,
            parties=100,
            protocol=sfl.SecAgg(server="semi-honest", min_survivors=99, max_colluders=1),
            encoding=grid,
            privacy=sfl.DistributedSkellam(clip=1.0, noise_multiplier=1.0),
        )
        for grid in (ModularGrid(8, "modular", 2.0), ModularGrid(20))
    )
    assert coarse.release.effective_multiplier < 0.9
    assert fine.release.effective_multiplier >= 0.99
    policy = ClientPolicy(server="semi-honest", min_noise_multiplier=0.99)
    roster = sfl.Roster.unsigned([f"p{i}" for i in range(100)])
    policy.check(fine, roster)
    with pytest.raises(PolicyRefusedError, match="is worth"):
        policy.check(coarse, roster)


def test_two_ledgers_of_one_party_keep_their_heads_apart(tmp_path):
    """One for each relation, as the ledger itself asks for."""
    used = sfl.UsedFile.create(tmp_path / "used")
    plan, roster = plan_of(), sfl.Roster.unsigned(NAMES)
    books = [ledger_of(tmp_path, "one"), ledger_of(tmp_path, "two")]
    for number in range(3):
        used.anchor(bytes(16), number, books[0].path, Head(number + 1, bytes([number]) * 32))
    SecAggClient("p0", roster=roster, policy=ClientPolicy.matching(plan), used=used, ledger=books[1])
    with pytest.raises(sfl.ConfigError, match="is missing"):
        SecAggClient("p0", roster=roster, policy=ClientPolicy.matching(plan), used=used, ledger=books[0])
