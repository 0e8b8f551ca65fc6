from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.signing import SigningKey
from securefl.errors import ConfigError, PolicyRefusedError
from securefl.plan import Plan, Roster, SecAgg
from securefl.policy import ClientPolicy
from unit.secagg.harness import parameters

NAMES = [f"p{i}" for i in range(10)]
SIGNED = Roster.generate(NAMES)[0].sign(SigningKey.generate())
UNSIGNED = Roster.unsigned(NAMES)
ACTIVE = Plan(
    template={"w": ((4,), "float32")},
    parties=SIGNED,
    protocol=SecAgg(threshold=7, max_colluders=2, min_survivors=7),
    purpose="trial 7",
)
LENIENT = ClientPolicy()

FLOORS = {
    # floor: (its line, a line that ACTIVE just meets, or none, part of the refusal)
    "min_parties": ("min_parties = 11", "min_parties = 10", "parties = 10, this party demands 11"),
    "min_survivors": ("min_survivors = 8", "min_survivors = 7", "survivors = 7, this party demands 8"),
    "min_threshold": ("min_threshold = 8", "min_threshold = 7", "threshold = 7, this party demands 8"),
    "min_colluders": ("min_colluders = 3", "min_colluders = 2", "colluders = 2, this party demands 3"),
    "purposes": (
        'purposes = ["trial 8"]',
        'purposes = ["trial 8", "trial 7"]',
        "'trial 7', this party accepts trial 8",
    ),
    "graphs": ("graphs = []", 'graphs = ["complete"]', "on a complete graph"),
    "expires": ("expires = 2030-01-30", "expires = 2030-01-31", "ended on 2030-01-30, today is 2030-01-31"),
    "max_rounds": ("max_rounds = 5", "max_rounds = 6", "has joined 5 rounds, it joins 5"),
    "roster_fingerprint": (
        'roster_fingerprint = "0000 0000"',
        f'roster_fingerprint = "{SIGNED.fingerprint}"',
        f"the roster is {SIGNED.fingerprint}, this party accepts 0000 0000",
    ),
    "roster_owner": (
        'roster_owner = "0000 0000"',
        f'roster_owner = "{SIGNED.owner_fingerprint}"',
        f"the roster is signed by {SIGNED.owner_fingerprint}, this party accepts 0000 0000",
    ),
    "min_noise_multiplier": ("min_noise_multiplier = 0.5", None, "adds no noise"),
    "max_epsilon": ("max_epsilon = 8\ndelta = 1e-5", None, "adds no noise"),
}
TODAY = dt.date(2030, 1, 31)


def decide(policy, plan=ACTIVE, roster=SIGNED):
    policy.check(plan, roster, rounds_before=5, today=TODAY)


def test_every_floor_is_tried():
    elsewhere = {"delta", "noise_by", "paillier_keys", "key_models", "randomness"}  # in the attacks on such plans
    elsewhere |= {"model"}  # in test_model_check.py
    assert FLOORS.keys() | {"server"} | elsewhere == {
        field.name for field in dataclasses.fields(ClientPolicy) if field.name not in {"simulated", "source"}
    }


@pytest.mark.parametrize("floor", FLOORS)
def test_each_floor_refuses_and_shows_the_line_that_sets_it(floor):
    line, _, reason = FLOORS[floor]
    policy = ClientPolicy.from_toml(f"# my floors\n\n{line}\n")
    with pytest.raises(PolicyRefusedError) as caught:
        decide(policy)
    assert caught.value.floor == floor
    assert caught.value.line == f"line 3: {line.splitlines()[0]}"
    assert f"line 3: {line.splitlines()[0]}" in str(caught.value)
    assert reason in caught.value.message


@pytest.mark.parametrize("floor", [floor for floor, case in FLOORS.items() if case[1]])
def test_a_plan_that_just_meets_a_floor_is_accepted(floor):
    policy = ClientPolicy.from_toml(FLOORS[floor][1])
    assert getattr(policy, floor) != getattr(LENIENT, floor) or floor == "graphs"
    decide(policy)


def test_a_semi_honest_plan_is_refused_unless_the_policy_says_otherwise():
    plan = Plan(template={"w": ((4,), "float32")}, parties=UNSIGNED)
    with pytest.raises(PolicyRefusedError, match="semi-honest server, this party demands active") as caught:
        decide(ClientPolicy(), plan, UNSIGNED)
    assert (caught.value.floor, caught.value.line) == ("server", "server (default)")
    with pytest.raises(PolicyRefusedError) as caught:
        decide(ClientPolicy.from_toml('server = "active"'), plan, UNSIGNED)
    assert caught.value.line == 'line 1: server = "active"'
    semi_honest = ClientPolicy.from_toml('server = "semi-honest"')
    decide(semi_honest, plan, UNSIGNED)
    decide(semi_honest)  # and more than one asks for is no harm


def test_the_attendance_is_checked_again():
    policy = ClientPolicy.from_toml("min_parties = 8")
    decide(policy)
    policy.check_attendance(8)
    with pytest.raises(PolicyRefusedError, match="7 parties advertised keys, this party demands 8") as caught:
        policy.check_attendance(7)
    assert caught.value.line == "line 1: min_parties = 8"


def test_a_plan_agreed_on_under_another_policy_is_refused():
    policy = ClientPolicy(min_parties=5)
    decide(policy, ACTIVE.replace(policy_digest=policy.digest()))
    with pytest.raises(PolicyRefusedError, match="under another policy"):
        decide(policy, ACTIVE.replace(policy_digest=ClientPolicy(min_parties=6).digest()))


def test_without_a_date_the_clock_decides():
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    with pytest.raises(PolicyRefusedError, match="ended on"):
        ClientPolicy(expires=yesterday - dt.timedelta(days=1)).check(ACTIVE, SIGNED)
    ClientPolicy(expires=yesterday + dt.timedelta(days=3)).check(ACTIVE, SIGNED)


@given(parameters(st.integers(3, 100)))
def test_the_matching_policy_accepts_its_plan_and_nothing_weaker(chosen):
    def plan_of(**changes):
        fields = {
            "server": chosen.server,
            "threshold": chosen.threshold,
            "max_colluders": chosen.max_colluders,
            "min_survivors": chosen.min_survivors,
        }
        return Plan(
            template={"w": ((1,), "float32")},
            parties=chosen.parties,
            protocol=SecAgg(**{**fields, **changes}),
            purpose="p",
        )

    policy = ClientPolicy.matching(plan_of())
    assert policy.simulated
    roster = Roster.unsigned([str(i) for i in range(chosen.parties)])
    policy.check(plan_of(), roster)
    with pytest.raises(PolicyRefusedError, match="purpose"):
        policy.check(plan_of().replace(purpose="q"), roster)
    if chosen.max_colluders:
        with pytest.raises(PolicyRefusedError, match="colluders"):
            policy.check(plan_of(max_colluders=chosen.max_colluders - 1), roster)
    if chosen.min_survivors > max(3, chosen.max_colluders + 2):
        with pytest.raises(PolicyRefusedError, match="survivors"):
            policy.check(plan_of(min_survivors=chosen.min_survivors - 1), roster)
    if chosen.active and chosen.threshold > 2 and chosen.threshold - 1 > chosen.max_colluders:
        with pytest.raises(PolicyRefusedError, match="server"):
            policy.check(plan_of(server="semi-honest"), roster)


BAD = {
    "an unknown key": ("min_partys = 5", "did you mean 'min_parties'?"),
    "a count as text": ('min_parties = "5"', "line 1: min_parties"),
    "a count as a float": ("min_parties = 5.0", "line 1: min_parties"),
    "a count that is true": ("min_colluders = true", "line 1: min_colluders"),
    "too few parties": ("min_parties = 2", "a whole number from 3"),
    "too few survivors": ("min_survivors = 2", "a whole number from 3"),
    "a threshold of one": ("min_threshold = 1", "a whole number from 2"),
    "negative colluders": ("min_colluders = -1", "a whole number from 0"),
    "no rounds": ("max_rounds = 0", "a whole number from 1"),
    "no noise": ("min_noise_multiplier = 0", "a number above 0"),
    "noise without a value": ("min_noise_multiplier = nan", "a number above 0"),
    "no epsilon": ("max_epsilon = -1.0", "a number above 0"),
    "epsilon without delta": ("max_epsilon = 1.0", "set delta"),
    "noise by nobody known": ('noise_by = "nobody"', '"parties", "server", "none"'),
    "delta of one": ("delta = 1.0", "between 0 and 1"),
    "delta of nothing": ("delta = nan", "between 0 and 1"),
    "an unknown server": ('server = "honest"', '"active" or "semi-honest"'),
    "an unknown graph": ('graphs = ["star"]', '"complete" or "k-regular"'),
    "a graph that is no list": ('graphs = "complete"', "a list"),
    "a graph that is no text": ("graphs = [1]", "quote each"),
    "purposes that are no text": ("purposes = [true]", "quote each"),
    "a date as text": ('expires = "2030-01-01"', "line 1: expires"),
    "no toml": ("min_parties", "not TOML"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_policy_is_refused_and_its_place_named(case):
    text, part = BAD[case]
    with pytest.raises(ConfigError) as caught:
        ClientPolicy.from_toml(text, source="policy.toml")
    assert part in str(caught.value)
    assert "policy" in str(caught.value)


def test_a_date_with_a_time_counts_as_its_date():
    assert ClientPolicy.from_toml("expires = 2030-01-31T12:00:00Z").expires == TODAY


def test_a_policy_is_loaded_from_a_file_and_names_it(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text("min_parties = 5\n", encoding="utf-8")
    assert ClientPolicy.load(path) == ClientPolicy(min_parties=5)
    path.write_text("min_partys = 5\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"policy\.toml: unknown key"):
        ClientPolicy.load(path)
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read"):
        ClientPolicy.load(tmp_path / "none.toml")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        ClientPolicy.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"server": "semi-honest"},
        {"graphs": ()},
        {"min_parties": 4},
        {"min_survivors": 4},
        {"min_threshold": 3},
        {"min_colluders": 1},
        {"max_rounds": 1},
        {"purposes": ("a",)},
        {"expires": TODAY},
        {"roster_fingerprint": "00"},
        {"roster_owner": "00"},
        {"min_noise_multiplier": 1.0},
        {"max_epsilon": 1.0, "delta": 1e-5},
        {"delta": 1e-5},
        {"noise_by": "server"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_digest_changes_with_every_floor(change):
    assert ClientPolicy(**change).digest() != LENIENT.digest()
    assert ClientPolicy(**change) != LENIENT


def test_the_digest_is_of_the_floors_and_not_of_the_file():
    assert ClientPolicy.from_toml("min_parties = 3\n# the default").digest() == LENIENT.digest()
    assert ClientPolicy(simulated=True).digest() == LENIENT.digest()


@pytest.mark.parametrize("text", ["", "# floors follow", "\n\n"])
def test_a_policy_that_was_cut_off_before_its_first_floor_accepts_nothing(text):
    with pytest.raises(ConfigError, match="sets no floor"):
        ClientPolicy.from_toml(text)
