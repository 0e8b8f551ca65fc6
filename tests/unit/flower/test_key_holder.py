"""A Paillier key on Flower: held by a node of its own, which is asked once a round and sees no model."""

from __future__ import annotations

import pytest
from flwr.app import Message

import securefl as sfl
from conformance.adapters import private_key
from securefl import ConfigError
from securefl.flower.records import RECORD, answer
from securefl.session.result import RoundResult
from unit.flower.test_protocols import ROUNDING
from unit.flower.world import World, app_of, differ, mean_of, run

HOLDER = 200


@pytest.fixture
def world(tmp_path) -> World:
    return with_holder(tmp_path)


def with_holder(directory, *, server="semi-honest", policy="", of_holder=""):
    key = private_key()
    text = f'server = "{server}"\npaillier_keys = ["{key.public_key.fingerprint}"]\n'
    world = World(directory, policy=text + policy)
    world.config[HOLDER] = {
        "securefl-key-holder": world.write("key.paillier", key.to_bytes("a password")),
        "securefl-key-holder-password-file": world.write("key.password", "a password\n"),
        "securefl-roster": str(directory / "roster.toml"),
        "securefl-policy": world.write("holder.policy.toml", text + of_holder),
        "securefl-state": str(directory / "holder"),
    }
    return world


def plan_of(world, **fields):
    return world.plan(sfl.Paillier(private_key().public_key, min_survivors=3, **fields))


def kinds(grid, node):
    """What a node was sent: by exchange whether the model came, and how many messages."""
    return [
        (bool(message.content.array_records), len(message.content[RECORD]["messages"]))
        for message, _ in grid.seen
        if message.metadata.dst_node_id == node
    ]


@pytest.mark.parametrize("audited", [False, True])
def test_the_sum_is_opened_by_the_holder_in_one_exchange(audited, tmp_path):
    world = with_holder(tmp_path, server="active" if audited else "semi-honest")
    strategy, grid = world.strategy(plan_of(world, audited=audited)), world.grid()
    after = run(strategy, grid)
    assert differ(after, mean_of(range(5))) <= ROUNDING
    assert strategy.failures == {1: ()}
    assert strategy.results[0].survivors == tuple(world.names)


def test_the_holder_never_sees_the_model_and_the_first_round_alone_has_a_greeting(world):
    strategy, grid = world.strategy(plan_of(world)), world.grid()
    run(strategy, grid, 3)
    assert strategy.exchanges == {1: 3, 2: 2, 3: 2}
    assert not any(model for model, _ in kinds(grid, HOLDER))
    assert len(kinds(grid, HOLDER)) == 4  # a greeting, three sums


def test_nothing_of_a_paillier_session_rests_in_any_context(world):
    grid = world.grid()
    run(world.strategy(plan_of(world)), grid, 2)
    assert all(RECORD not in context.state for context in grid.contexts.values())


def test_a_party_that_leaves_is_left_out(world):
    strategy = world.strategy(plan_of(world))
    after = run(strategy, world.grid(lambda node, number: node == 103 and number == 2))
    assert differ(after, mean_of([0, 1, 2, 4])) <= ROUNDING
    assert "party-3" in strategy.results[0].dropped


def test_without_a_holder_the_round_ends_before_anybody_trains(world):
    trained = []
    world.app = app_of(lambda message, context: trained.append(context.node_id))
    del world.config[HOLDER]
    strategy = world.strategy(plan_of(world), phase_timeout=0.2)
    run(strategy, world.grid())
    (ended,) = strategy.results
    assert "no node answered as the key holder" in str(ended)
    assert trained == []


def test_two_holders_are_too_many(world):
    world.config[HOLDER + 1] = world.config[HOLDER] | {"securefl-state": str(world.directory / "another")}
    strategy = world.strategy(plan_of(world))
    run(strategy, world.grid())
    assert "nodes 200, 201 say that they hold the key" in str(strategy.results[0])


def test_a_holder_that_falls_silent_ends_the_round_by_name_and_the_next_starts_clean(world):
    strategy = world.strategy(plan_of(world))
    after = run(strategy, world.grid(lambda node, number: node == HOLDER and number == 3), 2)
    assert "the key holder did not decrypt the sum" in str(strategy.results[0])
    assert isinstance(strategy.results[1], RoundResult)
    assert differ(after, mean_of(range(5))) <= ROUNDING


def test_a_holder_whose_policy_is_stricter_says_which_floor_before_anybody_trains(tmp_path):
    world = with_holder(tmp_path, of_holder="min_survivors = 4\n")
    strategy, grid = world.strategy(plan_of(world)), world.grid()
    run(strategy, grid)
    refused = [failure for failure in strategy.failures[1] if failure.node == HOLDER]
    assert "key-holder: PolicyRefusedError" in str(refused[0])
    assert "min_survivors = 4`" in str(refused[0])
    assert "no node answered as the key holder" in str(strategy.results[0])
    assert grid.exchanges == 1


def test_a_party_whose_policy_has_another_key_never_gets_the_model(world):
    world.config[101]["securefl-policy"] = world.write("none.toml", 'server = "semi-honest"\n')
    strategy, grid = world.strategy(plan_of(world)), world.grid()
    after = run(strategy, grid)
    assert differ(after, mean_of([0, 2, 3, 4])) <= ROUNDING
    assert kinds(grid, 101) == [(False, 1)]
    assert "paillier_keys" in str(strategy.failures[1][0])


def test_a_stranger_who_claims_a_party_s_name_does_not_take_its_place_under_an_audited_plan(tmp_path):
    world = with_holder(tmp_path, server="active")
    world.config[99] = world.config[101] | {"securefl-identity": world.config[102]["securefl-identity"]}
    inner = world.app

    def lying(message, context):
        if context.node_id == 99:
            return Message(answer("party-1", []), reply_to=message)
        return inner(message, context)

    world.app = lying
    strategy = world.strategy(plan_of(world, audited=True))
    after = run(strategy, world.grid(), 1)
    assert differ(after, mean_of(range(5))) <= ROUNDING


@pytest.mark.parametrize("name", ["party-9", "server", ""])
def test_a_node_with_a_name_that_is_nobody_s_is_noted_and_left_out(name, world):
    inner = world.app
    world.config[99] = {}

    def lying(message, context):
        return Message(answer(name, []), reply_to=message) if context.node_id == 99 else inner(message, context)

    world.app = lying
    strategy, grid = world.strategy(plan_of(world)), world.grid()
    run(strategy, grid)
    assert isinstance(strategy.results[0], RoundResult)
    assert [failure.node for failure in strategy.failures[1]] == [99]
    assert kinds(grid, 99) == [(False, 1)]


def test_max_rounds_of_a_policy_counts_over_exchanges(tmp_path):
    world = with_holder(tmp_path)
    text = (tmp_path / "party-2.policy.toml").read_text()
    (tmp_path / "party-2.policy.toml").write_text(text + "max_rounds = 2\n")
    strategy = world.strategy(plan_of(world))
    run(strategy, world.grid(), 3)
    present = ["party-2" in result.survivors for result in strategy.results]
    assert present == [True, True, False]
    assert "max_rounds = 2" in str(strategy.failures[3][0])


def test_max_rounds_of_a_holder_s_policy_counts_too(tmp_path):
    world = with_holder(tmp_path, of_holder="max_rounds = 1\n")
    strategy = world.strategy(plan_of(world))
    run(strategy, world.grid(), 2)
    assert isinstance(strategy.results[0], RoundResult)
    assert "max_rounds = 1" in " ".join(map(str, strategy.failures[2]))


def test_the_holder_opens_a_sum_once(world):
    grid = world.grid()
    run(world.strategy(plan_of(world)), grid)
    asked = [message for message, _ in grid.seen if message.metadata.dst_node_id == HOLDER][-1]
    reply = grid.app(asked, grid.contexts[HOLDER])
    assert reply.has_error()
    assert "SecretMisuseError" in reply.error.reason


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("securefl-key-holder-password-file", None, "no securefl-key-holder-password-file"),
        ("securefl-key-holder-password-file", "", "holds no password"),
        ("securefl-key-holder-password-file", "another", "wrong password"),
        ("securefl-key-holder", "no key", "CryptoError"),
        ("securefl-policy", None, "no securefl-policy"),
    ],
)
def test_a_holder_s_bad_setting_is_named(setting, value, reason, world):
    if value is None:
        del world.config[HOLDER][setting]
    else:
        world.config[HOLDER][setting] = world.write("bad", value)
    strategy = world.strategy(plan_of(world))
    run(strategy, world.grid())
    told = " ".join(str(failure) for failure in strategy.failures[1])
    assert "key-holder: " in told
    assert reason in told


def test_a_node_is_not_a_party_and_the_holder(world):
    world.config[HOLDER]["securefl-party"] = "party-0"
    strategy = world.strategy(plan_of(world))
    run(strategy, world.grid())
    assert "who holds the key is no party" in str(strategy.failures[1][0])


def test_the_holder_refuses_a_plan_of_masks_and_the_parties_go_on(tmp_path):
    world = with_holder(tmp_path, server="active")
    strategy = world.strategy(world.plan())
    after = run(strategy, world.grid())
    assert differ(after, mean_of(range(5))) <= ROUNDING
    assert [failure.node for failure in strategy.failures[1]] == [HOLDER]


@pytest.mark.parametrize("holder", ["clients"])
def test_a_key_held_otherwise_is_refused_at_the_start(holder, world):
    plan = world.plan(sfl.Paillier(private_key().public_key, holder, min_survivors=3))
    with pytest.raises(ConfigError, match='holder is "separate"'):
        world.strategy(plan)


def test_a_holder_is_asked_for_an_invitation_first(world):
    grid = world.grid()
    run(world.strategy(plan_of(world)), grid)
    asked = [message for message, _ in grid.seen if message.metadata.dst_node_id == HOLDER][-1]
    asked.content[RECORD]["messages"] = asked.content[RECORD]["messages"][2:]
    reply = grid.app(asked, grid.contexts[HOLDER])
    assert "came without an invitation" in reply.error.reason
