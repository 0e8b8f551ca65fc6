"""What rests in a node's state and what travels: nothing of an update, of a metric or of a key in clear."""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict

from securefl.crypto.secret import Secret
from securefl.flower import template_of
from securefl.flower.records import RECORD
from unit.flower.world import World, run, secagg

SIZE = 64
MODEL = ArrayRecord({"w": Array(np.zeros(SIZE, np.float32))})


def update(party: int) -> np.ndarray:
    return np.random.default_rng(party).uniform(-1, 1, SIZE).astype(np.float32)


def function(message, context):
    party = context.node_config["number"]
    after = ArrayRecord({"w": Array(message.content["arrays"]["w"].numpy() + update(party))})
    metrics = MetricRecord({"num-examples": 77, "loss": 1.2345678901234})
    return Message(RecordDict({"arrays": after, "metrics": metrics}), reply_to=message)


def everything(value) -> bytes:
    """All bytes and texts in a record, one after the other."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, Array):
        return value.data
    if isinstance(value, int | float):
        return np.float64(value).tobytes()
    if hasattr(value, "items"):
        return b"".join(everything(key) + everything(item) for key, item in value.items())
    return b"".join(map(everything, value))


@pytest.fixture(params=[False, True], ids=["", "prefetch"])
def seen(request, tmp_path, caplog):
    """A run of two rounds: the world, its grid, and every secret that was made in it."""
    made: list[bytes] = []
    init = Secret.__init__

    def noting(self, value):
        init(self, value)
        made.append(bytes(value))

    world = World(tmp_path, function=function)
    plan = world.plan(secagg(prefetch=request.param), template=template_of(MODEL))
    grid = world.grid()
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.DEBUG):
        patch.setattr(Secret, "__init__", noting)
        run(world.strategy(plan), grid, 2, MODEL)
    for name in world.names:
        made.append((tmp_path / name / f"{name}.key").read_bytes())
    secrets = {value for value in made if len(value) >= 16}
    assert len(secrets) > 20
    return world, grid, secrets, request.param


def patterns(party):
    """An update as it might lie about: its bytes in either precision, of some values."""
    values = update(party)
    return [values[:2].tobytes(), values[:1].astype(np.float64).tobytes(), values.tobytes()]


def test_what_leaves_a_node_has_nothing_in_clear(seen):
    _world, grid, secrets, _ = seen
    for message, reply in grid.seen:
        party = message.metadata.dst_node_id - 100
        sent = everything(reply.content)
        assert set(reply.content) == {RECORD}
        for pattern in [*patterns(party), np.float64(1.2345678901234).tobytes(), *secrets]:
            assert pattern not in sent


def test_what_rests_in_a_node_s_state_is_sealed_or_gone(seen):
    _world, grid, secrets, prefetch = seen
    for node, context in grid.contexts.items():
        assert set(context.state) == ({RECORD} if prefetch else set())
        rests = everything(context.state)
        for pattern in [*patterns(node - 100), *secrets]:
            assert pattern not in rests


def test_the_state_within_a_round_is_sealed_too(tmp_path):
    made: list[bytes] = []
    init = Secret.__init__

    def noting(self, value):
        init(self, value)
        made.append(bytes(value))

    world = World(tmp_path, function=function)
    grid = world.grid()
    send = grid.send_and_receive
    resting: list[bytes] = []

    def noted(messages, *, timeout=None):
        replies = send(messages, timeout=timeout)
        resting.extend(everything(context.state) for context in grid.contexts.values())
        return replies

    grid.send_and_receive = noted
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Secret, "__init__", noting)
        run(world.strategy(world.plan(template=template_of(MODEL))), grid, 1, MODEL)
    assert sum(map(bool, resting)) >= 20  # five nodes, four exchanges between which a session rests
    secrets = [value for value in made if len(value) >= 16]
    for state in resting:
        for pattern in [*secrets, *(pattern for party in range(5) for pattern in patterns(party))]:
            assert pattern not in state


def test_the_key_of_what_rests_is_on_the_node_s_disk_alone(seen):
    world, _, _, _ = seen
    keys = set()
    for name in world.names:
        path = world.directory / name / f"{name}.key"
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        keys.add(path.read_bytes())
        assert sorted(file.name for file in path.parent.iterdir() if file.suffix != ".lock") == [
            f"{name}.key",
            f"{name}.used",
        ]
    assert len(keys) == len(world.names)


def test_a_state_carried_to_another_node_opens_nothing_there(tmp_path):
    world = World(tmp_path, function=function)
    strategy = world.strategy(world.plan(secagg(prefetch=True), template=template_of(MODEL)))
    grid = world.grid()
    run(strategy, grid, 1, MODEL)
    grid.contexts[101].state[RECORD] = grid.contexts[102].state[RECORD]
    run(strategy, grid, 1, MODEL)
    assert "party-1" not in strategy.results[1].survivors
    assert "CryptoError" in str(strategy.failures[1][0])


def test_no_secret_is_logged(seen, caplog):
    _, _, secrets, _ = seen
    text = io.StringIO("\n".join(record.getMessage() for record in caplog.records)).read()
    assert not any(secret.hex() in text or repr(secret) in text for secret in secrets)
