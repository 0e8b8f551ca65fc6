"""Whatever does not fit, a node says which party it is and why, and sends nothing else."""

from __future__ import annotations

import re
import sys
import types

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg

import securefl as sfl
from securefl.flower import SecureAggregation, secure_mod
from securefl.flower.records import RECORD, answer, question
from unit.flower.test_absence import WITHOUT
from unit.flower.test_protocols import ROUNDING
from unit.flower.world import ARRAYS, World, app_of, differ, mean_of, run, secagg, train


def sent_by(grid, node):
    """What left a node: the bytes of our records; anything else fails the test."""
    left = []
    for message, reply in grid.seen:
        if message.metadata.dst_node_id != node or reply.has_error():
            continue
        assert set(reply.content) == {RECORD}
        left += reply.content[RECORD]["messages"]
    return left


def bad_policy(world, text):
    world.config[102]["securefl-policy"] = world.write("bad.toml", text)


def no_policy(world):
    del world.config[102]["securefl-policy"]


def no_party(world):
    del world.config[102]["securefl-party"]


def no_identity(world):
    del world.config[102]["securefl-identity"]


def identity_of_another(world):
    world.config[102]["securefl-identity"] = world.config[101]["securefl-identity"]


def identity_nowhere(world):
    world.config[102]["securefl-identity"] = str(world.directory / "nowhere.pem")


def identity_sealed(world):
    world.config[102]["securefl-identity"] = world.write("sealed.pem", world.keys["party-2"].to_pem(b"secret"))


def roster_of_others(world):
    other, _ = sfl.Roster.generate(world.names)
    world.config[102]["securefl-roster"] = world.write("other.toml", other.to_toml())


def roster_of_more(world):
    other, _ = sfl.Roster.generate([*world.names, "party-5"])
    world.config[102]["securefl-roster"] = world.write("other.toml", other.to_toml())


def not_on_the_roster(world):
    world.config[102]["securefl-party"] = "party-7"


def roster_nowhere(world):
    world.config[102]["securefl-roster"] = str(world.directory / "nowhere.toml")


def state_on_a_file(world):
    world.config[102]["securefl-state"] = world.config[102]["securefl-policy"]


SPOILT = {
    "no policy": (no_policy, "party-2: ConfigError: this node's config has no securefl-policy"),
    "an empty policy": (lambda w: bad_policy(w, ""), "sets no floor"),
    "min_parties": (lambda w: bad_policy(w, "min_parties = 9\n"), "party-2: PolicyRefusedError.*min_parties = 9"),
    "min_threshold": (lambda w: bad_policy(w, "min_threshold = 5\n"), "party-2: PolicyRefused.*min_threshold = 5"),
    "min_survivors": (lambda w: bad_policy(w, "min_survivors = 5\n"), "party-2: PolicyRefused.*min_survivors = 5"),
    "min_colluders": (lambda w: bad_policy(w, "min_colluders = 1\n"), "party-2: PolicyRefused.*min_colluders = 1"),
    "noise": (lambda w: bad_policy(w, "min_noise_multiplier = 1.0\n"), "party-2: .*differential privacy"),
    "expired": (lambda w: bad_policy(w, "expires = 2020-01-01\n"), "party-2: .*this policy ended on 2020-01-01"),
    "purpose": (lambda w: bad_policy(w, 'purposes = ["cancer"]\n'), "party-2: .*purpose"),
    "no party": (no_party, "no securefl-party"),
    "no identity": (no_identity, "party-2: .*signed identities"),
    "identity of another": (identity_of_another, "party-2: ConfigError: the identity key is not the one"),
    "identity nowhere": (identity_nowhere, "party-2: ConfigError: securefl-identity: .*nowhere.pem cannot be read"),
    "identity sealed": (identity_sealed, "party-2: ConfigError: securefl-identity.*encrypted and no password"),
    "roster of others": (roster_of_others, "party-2: RemoteProtocolError: the server's roster is not this party's"),
    "roster of more": (roster_of_more, "party-2: RemoteProtocolError: the server's roster is not this party's"),
    "roster nowhere": (roster_nowhere, "party-2: ConfigError: .*nowhere.toml"),
    "not on the roster": (not_on_the_roster, "party-7: ConfigError: 'party-7' is not on the roster"),
    "state on a file": (state_on_a_file, "party-2: ConfigError: securefl-state"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_node_that_may_not_take_part_sends_nothing_and_the_server_learns_who_and_why(what, tmp_path):
    world = World(tmp_path)
    spoil, reason = SPOILT[what]
    spoil(world)
    strategy, grid = world.strategy(), world.grid()
    after = run(strategy, grid)
    assert sent_by(grid, 102) == []
    (failure,) = strategy.failures[1]
    assert failure.node == 102
    assert re.search(reason, failure.reason), failure.reason
    assert strategy.results[0].survivors == WITHOUT
    assert differ(after, mean_of([0, 1, 3, 4])) <= ROUNDING


def test_a_round_that_refusals_end_names_them(tmp_path):
    world = World(tmp_path, policy="min_parties = 9\n")
    strategy = world.strategy()
    run(strategy, world.grid())
    assert len(strategy.failures[1]) == 5
    told = "\n".join(strategy.results[0].__notes__)
    for name in world.names:
        assert f"{name}: PolicyRefusedError" in told
    assert told.count("min_parties = 9") == 5


def test_a_sealed_identity_opens_with_its_password_file(tmp_path):
    world = World(tmp_path)
    identity_sealed(world)
    world.config[102]["securefl-identity-password-file"] = world.write("password", "secret\n")
    strategy = world.strategy()
    run(strategy, world.grid())
    assert strategy.failures == {1: ()}


def test_a_policy_that_became_stricter_between_rounds_is_heeded_in_the_next(tmp_path):
    world = World(tmp_path)
    strategy, grid = world.strategy(world.plan(secagg(prefetch=True))), world.grid()
    run(strategy, grid, 1)
    (tmp_path / "party-2.policy.toml").write_text("min_parties = 9\n")
    run(strategy, grid, 2)
    assert [result.survivors for result in strategy.results[1:]] == [WITHOUT] * 2
    assert "min_parties = 9" in str(strategy.failures[1][0])


def test_max_rounds_of_a_policy_is_counted_over_exchanges_and_restarts(tmp_path):
    world = World(tmp_path)
    (tmp_path / "party-2.policy.toml").write_text("max_rounds = 2\n")
    strategy, grid = world.strategy(), world.grid()
    run(strategy, grid, 1)
    grid.restart(102)
    run(strategy, grid, 2)
    assert ["party-2" in result.survivors for result in strategy.results] == [True, True, False]


def message(kind, content=None):
    return Message(
        content or RecordDict({"arrays": ARRAYS, "config": ConfigRecord({"server-round": 1})}),
        dst_node_id=100,
        message_type=kind,
    )


def called(world, kind, content=None, *, answers=None):
    calls = []

    def function(message, context):
        calls.append(message)
        return answers or train(message, context)

    app = ClientApp(mods=[secure_mod])
    app.train()(function)
    app.evaluate()(function)
    app.query()(function)
    world.app = app
    (reply,) = world.grid().send_and_receive([message(kind, content)])
    return reply, calls


@pytest.mark.parametrize("kind", ["train", "evaluate"])
def test_an_unprotected_message_gets_an_error_and_is_not_even_shown_to_the_app(kind, tmp_path):
    reply, calls = called(World(tmp_path), kind)
    assert f"an unprotected {kind} message" in reply.error.reason
    assert "securefl.flower.SecureAggregation" in reply.error.reason
    assert calls == []


def test_an_evaluate_message_with_a_record_of_ours_is_refused_too(tmp_path):
    content = RecordDict({"arrays": ARRAYS, RECORD: question([])})
    reply, calls = called(World(tmp_path), "evaluate", content)
    assert "an unprotected evaluate message" in reply.error.reason
    assert calls == []


def test_a_message_without_questions_trains_nobody(tmp_path):
    reply, calls = called(World(tmp_path), "train", RecordDict({"arrays": ARRAYS, RECORD: question([])}))
    assert reply.content[RECORD]["messages"] == []
    assert calls == []


@pytest.mark.parametrize(
    "record", [{"messages": [1, 2]}, {"messages": "x"}, {"messages": [b"", b"\x00"]}, {"messages": [b"x" * 10**5]}]
)
def test_what_is_no_message_is_refused(record, tmp_path):
    content = RecordDict({"arrays": ARRAYS, RECORD: ConfigRecord(record)})
    reply, calls = called(World(tmp_path), "train", content)
    assert "MalformedMessageError" in reply.error.reason
    assert calls == []


def test_a_wrapped_strategy_and_a_node_without_the_mod(tmp_path):
    """Its plain reply, whatever is in it, is no answer; what it sent in clear the server's side cannot take back."""
    world = World(tmp_path)
    protected, bare = world.app, app_of(protected=False)
    world.app = lambda message, context: (bare if context.node_id == 102 else protected)(message, context)
    strategy = world.strategy()
    run(strategy, world.grid())
    assert strategy.results[0].survivors == WITHOUT
    assert strategy.failures[1][0].node == 102


def test_a_reply_in_clear_is_refused_by_name(tmp_path):
    world = World(tmp_path)
    inner = world.app

    def clear(message, context):
        if context.node_id != 102:
            return inner(message, context)
        return Message(RecordDict({"metrics": MetricRecord({"num-examples": 1})}), reply_to=message)

    world.app = clear
    strategy = world.strategy()
    run(strategy, world.grid())
    assert "replied without a securefl record" in str(strategy.failures[1][0])
    assert "mods=[secure_mod]" in str(strategy.failures[1][0])


def test_a_plain_strategy_and_nodes_with_the_mod_get_nothing(tmp_path):
    world = World(tmp_path)
    after = run(FedAvg(fraction_evaluate=1.0), world.grid(), 1)
    assert after is ARRAYS


def test_two_nodes_that_claim_one_party_the_second_is_refused_by_name(tmp_path):
    world = World(tmp_path)
    world.config[105] = world.config[102] | {"securefl-state": str(tmp_path / "twin")}
    strategy = world.strategy()
    after = run(strategy, world.grid(), 2)
    assert [len(result.survivors) for result in strategy.results] == [5, 5]
    assert [failure.node for failure in strategy.failures[1]] == [105]
    assert "party-2 sent advertise" in str(strategy.failures[1][0])
    assert differ(after, ARRAYS) > 0.01


@pytest.mark.parametrize("messages", [[], [b"nonsense"]])
@pytest.mark.parametrize("stranger", [99, 999])  # who answers before the party, and after it
def test_a_stranger_takes_no_party_s_place_by_its_name(stranger, messages, tmp_path):
    world = World(tmp_path)
    inner = world.app
    world.config[stranger] = {}

    def lying(message, context):
        if context.node_id != stranger:
            return inner(message, context)
        return Message(answer("party-2", messages), reply_to=message)

    world.app = lying
    strategy = world.strategy()
    after = run(strategy, world.grid())
    assert differ(after, mean_of(range(5))) <= ROUNDING


def test_where_nothing_is_signed_a_party_that_is_known_is_heard_before_a_stranger_in_its_name(tmp_path):
    world = World(tmp_path, policy='server = "semi-honest"\n')
    unsigned = sfl.Roster.unsigned(world.names)
    world.write("roster.toml", unsigned.to_toml())
    for config in world.config.values():
        del config["securefl-identity"]
    world.config[99] = world.config[102] | {"securefl-state": str(tmp_path / "stranger")}
    plan = world.plan(secagg(server="semi-honest"), parties=unsigned)
    strategy = SecureAggregation(FedAvg(fraction_evaluate=0.0), plan=plan, roster=unsigned)
    grid = world.grid(lambda node, number: node == 99 and number <= 4)  # in the first round it is not there
    send = grid.send_and_receive
    grid.send_and_receive = lambda messages, *, timeout=None: send(messages, timeout=timeout)[::-1]
    run(strategy, grid, 2)
    assert [len(result.survivors) for result in strategy.results] == [5, 5]
    assert [failure.node for failure in strategy.failures[2]] == [99]


def test_a_stranger_with_another_s_name_and_a_key_of_its_own_is_refused(tmp_path):
    world = World(tmp_path)
    _, keys = sfl.Roster.generate(world.names)
    # It says what the server's roster says, but it cannot sign as party-2.
    world.config[99] = world.config[102] | {
        "securefl-identity": world.write("false.pem", keys["party-2"].to_pem(None)),
        "securefl-state": str(tmp_path / "stranger"),
    }
    grid = world.grid(lambda node, _number: node == 102)
    strategy = world.strategy()
    run(strategy, grid)
    assert strategy.results[0].survivors == WITHOUT
    assert sent_by(grid, 99) == []


def test_a_node_does_not_speak_for_another(tmp_path):
    world = World(tmp_path)
    inner = world.app

    def speaking(message, context):
        reply = inner(message, context)
        if context.node_id != 102 or reply.has_error():
            return reply
        return Message(answer("party-1", reply.content[RECORD]["messages"]), reply_to=message)

    world.app = speaking
    strategy = world.strategy()
    after = run(strategy, world.grid())
    assert "party-1 sent a message in the name of party 2" in str(strategy.failures[1][0])
    assert differ(after, mean_of([0, 1, 3, 4])) <= ROUNDING


def test_what_a_node_says_went_wrong_is_one_short_line_in_the_log(tmp_path):
    world = World(tmp_path)
    bad_policy(world, "min_parties = 9\n")
    world.config[102]["securefl-party"] = "party-2\n" + "INFO: all is well\n" * 1000
    strategy = world.strategy()
    run(strategy, world.grid())
    (failure,) = strategy.failures[1]
    assert "\n" not in str(failure)
    assert len(failure.reason) <= 1000


def test_settings_of_its_own_are_heeded_even_where_ray_runs(tmp_path, monkeypatch):
    """An app that uses Ray for its data is no simulation: its node's policy is asked, and not one that suits any plan."""
    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(is_initialized=lambda: True))
    world = World(tmp_path, policy="min_parties = 9\n")
    unsigned = sfl.Roster.unsigned(world.names)
    world.write("roster.toml", unsigned.to_toml())
    for number, config in enumerate(world.config.values()):
        del config["securefl-identity"]
        config |= {"partition-id": number, "num-partitions": 5}
    plan = world.plan(secagg(server="semi-honest"), parties=unsigned)
    strategy, grid = SecureAggregation(FedAvg(fraction_evaluate=0.0), plan=plan, roster=unsigned), world.grid()
    run(strategy, grid)
    assert all(sent_by(grid, node) == [] for node in world.config)
    assert all("PolicyRefusedError" in failure.reason for failure in strategy.failures[1])
    assert len(strategy.failures[1]) == 5


def test_a_node_without_any_setting_takes_part_in_nothing(tmp_path):
    world = World(tmp_path)
    world.config[102] = {"partition-id": 2, "num-partitions": 5}
    strategy, grid = world.strategy(), world.grid()
    run(strategy, grid)
    assert sent_by(grid, 102) == []
    assert "2: ConfigError: this node's config has no securefl-policy" in str(strategy.failures[1][0])


def test_unreadable_arrays_are_named():
    from securefl.errors import LayoutMismatchError
    from securefl.flower.arrays import to_numpy

    record = ArrayRecord({"w": Array("float32", (2,), "numpy.ndarray", b"no array")})
    with pytest.raises(LayoutMismatchError, match="'w' cannot be read"):
        to_numpy(record)
    assert np.array_equal(to_numpy(ARRAYS)["batches"], 7)


def test_the_mod_needs_no_app_state(tmp_path):
    context = Context(1, 100, {}, RecordDict(), {})
    reply = secure_mod(message("train"), context, lambda _m, _c: pytest.fail("trained"))
    assert reply.has_error()
