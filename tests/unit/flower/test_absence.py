"""Nodes that fall silent, are restarted or fail: the round goes on, or ends by name, and the next one starts clean."""

from __future__ import annotations

import pytest
from flwr.app import Error, Message
from hypothesis import given, settings
from hypothesis import strategies as st

from securefl.errors import BelowThresholdError
from securefl.session.result import RoundResult
from unit.flower.test_protocols import ROUNDING
from unit.flower.world import ARRAYS, World, differ, mean_of, run, secagg, train

ALL = ("party-0", "party-1", "party-2", "party-3", "party-4")
WITHOUT = ("party-0", "party-1", "party-3", "party-4")


@pytest.mark.parametrize("prefetch", [False, True])
@pytest.mark.parametrize("server", ["active", "semi-honest"])
@pytest.mark.parametrize("exchange", [1, 2, 3, 4, 5])
def test_a_node_silent_in_any_one_exchange_is_left_out_of_that_round_alone(exchange, server, prefetch, tmp_path):
    if server == "semi-honest" and exchange == 5:
        exchange = 6  # the second round's training, or its shares where keys were sent ahead
    world = World(tmp_path, policy=f'server = "{server}"\n')
    strategy = world.strategy(world.plan(secagg(server=server, prefetch=prefetch)))
    grid = world.grid(lambda node, number: node == 102 and number == exchange)
    run(strategy, grid, 3)
    assert all(isinstance(result, RoundResult) for result in strategy.results)
    masked = 3  # the exchange in which vectors travel, in the first round
    first = ALL if exchange > masked else WITHOUT
    assert strategy.results[0].survivors == first
    assert strategy.results[2].survivors == ALL
    assert grid.exchanges == sum(strategy.exchanges.values())


@pytest.mark.parametrize("prefetch", [False, True])
@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_a_node_restarted_within_a_round_sits_it_out_and_is_back_in_the_next(after, prefetch, tmp_path):
    world = World(tmp_path)
    strategy = world.strategy(world.plan(secagg(prefetch=prefetch)))
    grid = world.grid()
    send = grid.send_and_receive

    def restarting(messages, *, timeout=None):
        replies = send(messages, timeout=timeout)
        if grid.exchanges == after:
            grid.restart(102)
        return replies

    grid.send_and_receive = restarting
    after_one = run(strategy, grid, 1)
    present = [0, 1, 2, 3, 4] if after >= 3 else [0, 1, 3, 4]
    assert differ(after_one, mean_of(present)) <= ROUNDING
    assert strategy.results[0].survivors == (ALL if after >= 3 else WITHOUT)
    grid.send_and_receive = send
    run(strategy, grid, 2)
    told = [failure.reason for failure in strategy.failures[1]]
    assert not told or "this node has no session: it was restarted within a round" in told[0]
    assert strategy.results[2].survivors == ALL
    if not prefetch:
        assert strategy.results[1].survivors == ALL


def test_a_node_that_lost_its_used_file_is_back_with_fresh_keys(tmp_path):
    world = World(tmp_path)
    strategy, grid = world.strategy(world.plan(secagg(prefetch=True))), world.grid()
    run(strategy, grid, 1)
    for path in (tmp_path / "party-2").iterdir():
        path.unlink()
    run(strategy, grid, 2)
    assert [result.survivors for result in strategy.results] == [ALL, WITHOUT, ALL]
    assert "CryptoError" in str(strategy.failures[1][0])


def test_a_node_with_a_damaged_key_file_says_so(tmp_path):
    world = World(tmp_path)
    (tmp_path / "party-2").mkdir()
    world.write("party-2/party-2.key", b"short")
    strategy = world.strategy()
    run(strategy, world.grid())
    assert "party-2.key has 5 bytes, a key has 32" in str(strategy.failures[1][0])
    assert strategy.results[0].survivors == WITHOUT


def test_a_node_that_comes_back_under_another_id_is_met_again(tmp_path):
    world = World(tmp_path)
    strategy = world.strategy(world.plan(secagg(prefetch=True)))
    run(strategy, world.grid(), 1)
    world.config[999] = world.config.pop(102)
    grid = world.grid()
    run(strategy, grid, 2)
    assert strategy.results[-1].survivors == ALL
    assert 102 not in {message.metadata.dst_node_id for message, _ in grid.seen}  # its mail would go nowhere


@pytest.mark.parametrize("exchange", [1, 2, 3, 4, 5])
def test_below_the_threshold_the_round_ends_by_name_and_the_next_starts_clean(exchange, tmp_path):
    world = World(tmp_path)
    strategy = world.strategy()
    grid = world.grid(lambda node, number: node in {101, 102, 103} and number == exchange)
    after = run(strategy, grid, 2)
    ended, following = strategy.results
    assert isinstance(ended, BelowThresholdError)
    assert following.survivors == ALL
    assert differ(after, mean_of(range(5))) <= ROUNDING  # from the model as it was


def test_nobody_at_all_ends_the_round_too(tmp_path):
    world = World(tmp_path)
    strategy = world.strategy()
    after = run(strategy, world.grid(lambda _node, _number: True), 2)
    assert [type(result) for result in strategy.results] == [BelowThresholdError] * 2
    assert after is ARRAYS


def failing(how):
    def function(message, context):
        if context.node_config["number"] != 2 or message.content["config"]["server-round"] != 1:
            return train(message, context)
        return how(message)

    return function


def raises(message):
    raise RuntimeError("patient Jane Doe has no heart rate")


def says_no(message):
    return Message(Error(code=3, reason="no data\ntoday"), reply_to=message)


@pytest.mark.parametrize(
    ("how", "reason"), [(raises, "training raised RuntimeError"), (says_no, "training failed: no data today")]
)
@pytest.mark.parametrize("prefetch", [False, True])
def test_training_that_fails_is_left_out_of_its_round_and_its_words_stay_at_home(how, reason, prefetch, tmp_path):
    world = World(tmp_path, function=failing(how))
    strategy = world.strategy(world.plan(secagg(prefetch=prefetch)))
    run(strategy, world.grid(), 3)
    assert strategy.results[0].survivors == WITHOUT
    assert strategy.results[2].survivors == ALL
    told = " ".join(map(str, strategy.failures[1]))
    assert reason in told
    assert "Jane" not in told
    assert "party-2: ConfigError" in told


@settings(max_examples=10)
@given(lost=st.sets(st.tuples(st.integers(100, 104), st.integers(1, 10)), max_size=6), server=st.booleans())
def test_whoever_is_silent_whenever_the_sum_is_of_the_survivors_or_there_is_none(lost, server, tmp_path_factory):
    world = World(tmp_path_factory.mktemp("world"), policy='server = "semi-honest"\n')
    strategy = world.strategy(world.plan(secagg(server="active" if server else "semi-honest")))
    after = run(strategy, world.grid(lambda node, number: (node, number) in lost))
    (result,) = strategy.results
    if isinstance(result, RoundResult):
        assert differ(after, mean_of([int(name[-1]) for name in result.survivors])) <= ROUNDING
        assert len(result.survivors) >= 3
    else:
        assert isinstance(result, BelowThresholdError)
        assert after is ARRAYS


def test_the_first_round_waits_for_nodes_that_connect_late(tmp_path, monkeypatch):
    """Flower's FedAvg begins with two nodes: three of five would not have been asked, and the round lost."""
    monkeypatch.setattr("securefl.flower.strategy._LOOK_AGAIN", 0.01)
    world = World(tmp_path)
    grid, looks = world.grid(), []

    def connected():
        looks.append(None)
        return list(grid.contexts)[: min(5, 1 + len(looks))]

    grid.get_node_ids = connected
    strategy = world.strategy()
    run(strategy, grid)
    assert strategy.results[0].survivors == ALL


def test_a_later_round_waits_for_as_many_as_it_needs_and_not_for_a_node_that_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr("securefl.flower.strategy._LOOK_AGAIN", 0.01)
    world = World(tmp_path)
    grid, looks = world.grid(), []
    grid.get_node_ids = lambda: list(grid.contexts)[: seen()]

    def seen():
        """All at first; then three, so that the round would be lost, and after some looks four."""
        started = grid.exchanges > 0
        looks.append(started)
        return 5 if not started else 3 if looks.count(True) < 5 else 4

    strategy = world.strategy()
    run(strategy, grid, 2)
    assert strategy.results[0].survivors == ALL
    assert len(strategy.results[1].survivors) == 4
    assert looks.count(True) >= 5


def test_nodes_that_never_connect_are_not_waited_for_longer_than_a_phase(tmp_path):
    world = World(tmp_path)
    del world.config[102]
    strategy = world.strategy(phase_timeout=0.2)
    run(strategy, world.grid())
    assert strategy.results[0].survivors == WITHOUT
