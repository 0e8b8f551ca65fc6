"""What every protocol refuses, and how it says so."""

from __future__ import annotations

import numpy as np
import pytest

import securefl as sfl
from conformance.adapters import PARTIES

TEMPLATE = {"layer": {"w": ((3,), "float32")}}
GOOD = {"layer": {"w": np.array([0.5, -0.5, 0.0], np.float32)}}
UPDATES = dict.fromkeys(PARTIES, GOOD)

BAD_UPDATES = {
    "nan": ({"layer": {"w": np.array([0, np.nan, 0], np.float32)}}, sfl.NonFiniteError, "flat index 1"),
    "infinity": ({"layer": {"w": np.array([0, 0, -np.inf], np.float32)}}, sfl.NonFiniteError, "flat index 2"),
    "shape": ({"layer": {"w": np.zeros(4, np.float32)}}, sfl.LayoutMismatchError, r"\(4,\)"),
    "dtype": ({"layer": {"w": np.zeros(3)}}, sfl.LayoutMismatchError, "float64"),
    "missing": ({"layer": {"v": np.zeros(3, np.float32)}}, sfl.LayoutMismatchError, "no such leaf"),
    "surplus": (
        {"layer": {"w": np.zeros(3, np.float32), "x": np.zeros(1)}},
        sfl.LayoutMismatchError,
        "expected no such leaf",
    ),
    "no tree": ({}, sfl.EncodingError, "empty"),
    "text": ({"layer": {"w": "many"}}, sfl.EncodingError, "type"),
    "complex": ({"layer": {"w": np.zeros(3, np.complex64)}}, sfl.EncodingError, "complex64"),
}


def opened(session):
    """All parties have accepted the plan."""
    session.begin()
    return session.clients


@pytest.mark.parametrize("case", BAD_UPDATES)
def test_a_bad_update_is_refused_when_it_is_submitted_and_its_tensor_is_named(protocol, case):
    update, error, text = BAD_UPDATES[case]
    client = opened(protocol.session(protocol.plan(TEMPLATE)))[PARTIES[0]]
    with pytest.raises(error, match=text) as caught:
        client.submit(update)
    if case not in {"no tree", "surplus"}:
        assert caught.value.tensor == "layer/w"


@pytest.mark.parametrize("case", BAD_UPDATES)
def test_a_bad_update_from_before_the_plan_was_known_is_never_sent(protocol, case):
    update, error, _ = BAD_UPDATES[case]
    session = protocol.session(protocol.plan(TEMPLATE))
    session.clients[PARTIES[3]].submit(update)
    result = session.round({party: good for party, good in UPDATES.items() if party != PARTIES[3]})
    assert isinstance(session.refusals[PARTIES[3]], error)
    assert set(result.survivors) == set(PARTIES) - {PARTIES[3]}
    np.testing.assert_allclose(result.mean["layer"]["w"], GOOD["layer"]["w"], atol=1e-4)


@pytest.mark.parametrize("weight", [0, -1, 11, 2.0, True, None, "3"])
def test_a_weight_outside_the_plan_is_refused(protocol, weight):
    client = opened(protocol.session(protocol.plan(TEMPLATE, max_weight=10)))[PARTIES[0]]
    with pytest.raises(sfl.EncodingError, match=r"whole number in 1\.\.10"):
        client.submit(GOOD, weight=weight)


@pytest.mark.parametrize(
    ("metrics", "error"),
    [
        (None, sfl.EncodingError),
        ({"loss": 1.0, "speed": 2.0}, sfl.EncodingError),
        ({"loss": float("nan")}, sfl.NonFiniteError),
        ({"loss": float("inf")}, sfl.NonFiniteError),
    ],
)
def test_metrics_other_than_the_plans_are_refused(protocol, metrics, error):
    client = opened(protocol.session(protocol.plan(TEMPLATE, metrics={"loss": (0, 1)})))[PARTIES[0]]
    with pytest.raises(error, match=r"metric"):
        client.submit(GOOD, metrics=metrics)


def test_saturation_is_counted_and_clamped_or_refused(protocol):
    large = {party: {"layer": {"w": np.array([9, -9, 0.5], np.float32)}} for party in PARTIES}
    session = protocol.session(protocol.plan(TEMPLATE, encoding=sfl.FixedPoint(bound=1.0)))
    result = session.round(large)
    np.testing.assert_allclose(result.mean["layer"]["w"], [1, -1, 0.5], atol=1e-4)
    assert [client.saturated for client in session.clients.values()] == [2] * len(PARTIES)

    strict = protocol.session(protocol.plan(TEMPLATE, encoding=sfl.FixedPoint(bound=1.0, on_saturation="refuse")))
    result = strict.round({**UPDATES, PARTIES[1]: large[PARTIES[1]]})
    assert isinstance(strict.refusals[PARTIES[1]], sfl.SaturationError)
    assert strict.refusals[PARTIES[1]].tensor == "layer/w"
    assert PARTIES[1] not in result.survivors


def test_each_message_is_answered_and_counted_once(protocol):
    session = protocol.session(protocol.plan(TEMPLATE))
    result = session.round(UPDATES, twice=True)
    assert result.survivors == PARTIES
    np.testing.assert_allclose(result.sum["layer"]["w"], np.array([3, -3, 0]), atol=6e-4)


def test_an_update_is_masked_once(protocol):
    """A party that has nothing new to give says so, instead of masking the last update again."""
    session = protocol.session(protocol.plan(TEMPLATE))
    session.round(UPDATES)
    with pytest.raises(sfl.BelowThresholdError):
        session.round({})
    assert all(isinstance(refusal, sfl.LocalProtocolError) for refusal in session.refusals.values())
    assert len(session.refusals) == len(PARTIES)


def test_too_few_parties_end_the_round_by_name(protocol):
    session = protocol.session(protocol.plan(TEMPLATE))
    staying = 2
    for step in [step for step in protocol.steps if step not in protocol.unmissed]:
        drop = dict.fromkeys(PARTIES[staying:], step)
        with pytest.raises(sfl.BelowThresholdError) as caught:
            session.round(UPDATES, drop=drop)
        assert caught.value.phase == step
        assert all(party in str(caught.value) for party in drop)
        assert caught.value.remedy
        with pytest.raises(sfl.LocalProtocolError):
            session.server.result()
    assert session.round(UPDATES).survivors == PARTIES, "an aborted round leaves the session usable"


@pytest.mark.parametrize(
    ("trained", "reason"),
    [
        ({"w": np.array([0, 0, 1e-9], np.float32)}, "not the one that the round is for"),
        ({"w": np.zeros(3, np.float64)}, "not the one that the round is for"),
        ({"v": np.zeros(3, np.float32)}, "not the one that the round is for"),
        (None, "came without one"),
    ],
)
def test_a_party_with_another_model_is_left_out(protocol, trained, reason):
    model = {"w": np.zeros(3, np.float32)}
    session = protocol.session(protocol.plan(TEMPLATE))
    result = session.round(UPDATES, model=model, models={**dict.fromkeys(PARTIES, model), PARTIES[4]: trained})
    assert set(result.survivors) == set(PARTIES) - {PARTIES[4]}
    assert isinstance(session.refusals[PARTIES[4]], sfl.RemoteProtocolError)
    assert reason in str(session.refusals[PARTIES[4]])
    assert not any(party == PARTIES[4] for step, party, _ in session.up if step == "masked_input")


def test_a_model_for_a_round_without_one_is_refused(protocol):
    session = protocol.session(protocol.plan(TEMPLATE))
    with pytest.raises(sfl.BelowThresholdError):
        session.round(UPDATES, models={party: {"w": np.zeros(3)} for party in PARTIES})
    assert all("the round is for none" in str(refusal) for refusal in session.refusals.values())


def test_no_policy_means_no_participation(protocol):
    session = protocol.session(protocol.plan(TEMPLATE))
    with pytest.raises(sfl.ConfigError, match="has no policy"):
        protocol.client(PARTIES[0], roster=session.roster, policy=None, identity=session.identities.get(PARTIES[0]))


def test_a_policy_that_refuses_sends_nothing_and_the_others_go_on(protocol):
    plan = protocol.plan(TEMPLATE)
    keys = ", ".join(f'"{key}"' for key in sfl.ClientPolicy.matching(plan).paillier_keys)
    text = f"""server = "semi-honest"
min_parties = 7
graphs = ["complete", "k-regular"]
paillier_keys = [{keys}]
key_models = ["separate", "clients", "threshold"]
"""
    session = protocol.session(plan, policies={PARTIES[2]: sfl.ClientPolicy.from_toml(text)})
    result = session.round(UPDATES)
    refusal = session.refusals[PARTIES[2]]
    assert isinstance(refusal, sfl.PolicyRefusedError)
    assert (refusal.floor, refusal.line) == ("min_parties", "line 2: min_parties = 7")
    assert not any(party == PARTIES[2] for _, party, _ in session.up)
    assert set(result.survivors) == set(PARTIES) - {PARTIES[2]}


def test_a_plan_for_another_number_of_parties_is_refused_by_both_sides(protocol):
    session = protocol.session(protocol.plan(TEMPLATE))
    larger = protocol.for_seven(TEMPLATE)
    with pytest.raises(sfl.ConfigError, match="for 7 parties, the roster has 6"):
        protocol.server(larger, session.roster)
    theirs, _ = sfl.Roster.generate([*PARTIES, "another"])
    stranger = protocol.server(larger, theirs)
    _, invite = stranger.start_round()[0]
    with pytest.raises(sfl.RemoteProtocolError, match="roster"):
        session.clients[PARTIES[0]].receive(invite)


def test_a_message_of_another_session_or_round_is_refused(protocol):
    plan = protocol.plan(TEMPLATE)
    first, second = protocol.session(plan), protocol.session(plan)
    first.round(UPDATES)
    second.server.start_round()
    stale = [data for step, party, data in first.up if (step, party) == (protocol.steps[0], PARTIES[0])]
    with pytest.raises(sfl.RemoteProtocolError, match="session") as caught:
        second.server.receive(stale[0], party=PARTIES[0])
    assert caught.value.suspects == (PARTIES[0],)
    first.server.start_round()
    with pytest.raises(sfl.RemoteProtocolError, match="round 1, this is"):
        first.server.receive(stale[0], party=PARTIES[0])


def test_a_message_in_anothers_name_is_refused_where_the_transport_knows_better(protocol):
    session = protocol.session(protocol.plan(TEMPLATE))
    (data,) = session.begin(UPDATES)[PARTIES[0]]
    with pytest.raises(sfl.RemoteProtocolError, match="in the name of party 0") as caught:
        session.server.receive(data, party=PARTIES[1])
    assert caught.value.suspects == (PARTIES[1],)
    assert PARTIES[0] in session.server.waiting_for
    session.server.receive(data, party=PARTIES[0])
    assert PARTIES[0] not in session.server.waiting_for
