"""What every protocol reports."""

from __future__ import annotations

import numpy as np
import pytest

import securefl as sfl
from conformance.adapters import PARTIES
from securefl.session.disclosure import disclosures

TEMPLATE = {"w": ((50,), "float32")}
UPDATES = {party: {"w": np.full(50, 0.1, np.float32)} for party in PARTIES}


@pytest.fixture
def finished(protocol):
    session = protocol.session(protocol.plan(TEMPLATE, purpose="a test"))
    return session, session.round(UPDATES, drop={PARTIES[1]: "masked_input"})


def test_bytes_are_those_on_the_wire(protocol, finished):
    session, result = finished
    assert tuple(result.bytes_by_step) == protocol.steps
    for step, (up, down) in result.bytes_by_step.items():
        assert up == sum(len(data) for at, _, data in session.up if at == step), step
        assert down == sum(len(data) for at, _, data in session.down if at == step), step
    assert result.bytes_up == sum(len(data) for _, _, data in session.up)
    assert result.bytes_down == sum(len(data) for _, _, data in session.down)


def test_a_masked_vector_costs_what_the_plan_says_and_a_few_headers(finished):
    session, result = finished
    vectors = [len(data) for step, _, data in session.up if step == "masked_input"]
    assert len(vectors) == len(result.survivors)
    assert all(result.plan.masked_bytes < size < result.plan.masked_bytes + 250 for size in vectors)


def test_a_result_has_its_plan_its_survivors_in_order_and_its_losses(finished):
    session, result = finished
    assert result.plan == session.plan
    assert result.survivors == tuple(party for party in PARTIES if party != PARTIES[1])
    assert result.dropped == {PARTIES[1]: "masked_input"}
    assert result.weight_sum == 5
    assert result.metrics == {}
    assert not result.simulated
    assert result.saturated == {}


def test_the_report_says_who_learned_what(finished):
    _, result = finished
    text = result.report()
    assert all(party in text for party in PARTIES)
    assert f"{result.bytes_up} up, {result.bytes_down} down" in text
    assert result.plan.digest().hex()[:16] in text
    for row in disclosures(result.plan):
        assert f"{row.what}: {row.who}" in text


def test_the_disclosure_names_every_field_that_leaves_a_party(protocol):
    plan = protocol.plan(TEMPLATE, max_weight=5, metrics={"loss": (0, 1)})
    rows = {row.what: row.who for row in disclosures(plan)}
    assert f"at most {plan.parameters.max_colluders} part" in rows["one party's vector"]
    assert f"at least {plan.parameters.min_survivors} vectors" in rows["the sum over the survivors"]
    assert "the sum of the weights" in rows
    assert any("loss" in what for what in rows)
    assert ("all of the above" in rows) is not plan.parameters.active
    plain = {row.what for row in disclosures(protocol.plan(TEMPLATE))}
    assert "the sum of the weights" not in plain


def test_the_same_update_twice_gives_unrelated_bytes(protocol):
    plan = protocol.plan(TEMPLATE, ring_bits=32)
    wires = []
    for session in (protocol.session(plan), protocol.session(plan)):
        session.round(UPDATES)
        session.round(UPDATES)
        wires += [data for step, _, data in session.up if step == "masked_input"]
    vectors = [np.frombuffer(protocol.vector_of(data), np.uint8) for data in wires]
    assert [vector.size for vector in vectors] == [plan.masked_bytes] * 12
    for i, one in enumerate(vectors):
        for other in vectors[:i]:
            # 200 uniform bytes agree in 0.8 places on average, in 18 or more with probability below 2^-55; 768 bytes in 3, and in 30 or
            # more with probability below 2^-58.
            assert np.count_nonzero(one == other) < (18 if one.size == 200 else 30)


def test_a_result_can_be_asked_for_again(finished):
    session, result = finished
    again = session.server.result()
    np.testing.assert_array_equal(again.mean["w"], result.mean["w"])
    assert again.survivors == result.survivors


def test_the_states_of_server_and_parties_can_be_followed(protocol):
    session = protocol.session(protocol.plan(TEMPLATE))
    assert session.server.step is None
    assert session.server.waiting_for == ()
    assert session.clients[PARTIES[0]].plan is None
    session.begin()
    assert session.server.step == protocol.steps[0]
    assert session.server.waiting_for == PARTIES
    accepted = session.clients[PARTIES[0]].plan
    assert accepted is not None
    assert accepted.digest() == session.plan.digest()
    assert session.clients[PARTIES[0]].rounds_joined == 1
    session.round(UPDATES)
    assert session.server.done
    assert session.server.step is None


def test_a_clamped_value_is_known_to_its_party_alone(protocol):
    session = protocol.session(protocol.plan(TEMPLATE, encoding=sfl.FixedPoint(bound=0.05)))
    result = session.round({**UPDATES, PARTIES[0]: {"w": np.zeros(50, np.float32)}})
    assert session.clients[PARTIES[1]].saturated == 50
    assert session.clients[PARTIES[0]].saturated == 0
    assert result.saturated == {}
