"""The tables are the contract: what they do not allow is refused, in every state."""

from __future__ import annotations

import itertools

import pytest

from securefl.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from securefl.secagg.parameters import choose
from securefl.secagg.states import CLIENT, SERVER, SERVER_COLLECTS, STEP_OF, ClientState, ServerState
from securefl.types import ServerModel, Step
from securefl.wire.envelope import SERVER_INDEX, Envelope, seal
from securefl.wire.messages import SECAGG_KINDS, Kind, Survivors
from unit.secagg.harness import Round, client_of, context_of, opened, server_of

OVER = {ClientState.DONE, ClientState.ABORTED}


def chosen(server):
    return choose(5, server, threshold=3 if server is ServerModel.ACTIVE else 2)


@pytest.mark.parametrize("server", ServerModel)
def test_a_party_goes_one_way_and_passes_each_message_once(server):
    following = {state: (kind, after) for (state, kind), after in CLIENT[server].items()}
    assert len(following) == len(CLIENT[server]), "a state with two ways out"
    path, state = [], ClientState.START
    while state in following:
        kind, state = following[state]
        path.append(kind)
    expected = [Kind.ADVERTISE, Kind.ROSTER, Kind.CIPHERTEXTS, Kind.MASKED_INPUT]
    expected += [Kind.SURVIVORS, Kind.UNMASK] if server is ServerModel.ACTIVE else [Kind.UNMASK]
    assert path == expected
    assert state is ClientState.DONE


@pytest.mark.parametrize("server", ServerModel)
def test_the_server_collects_the_steps_in_their_order(server):
    path, state = [], ServerState.START
    while state in SERVER[server]:
        state = SERVER[server][state]
        path.append(state.value)
    steps = [step for step in Step if server is ServerModel.ACTIVE or step is not Step.CONSISTENCY]
    assert path == [*steps, "done"]
    for state, kind in SERVER_COLLECTS.items():
        assert STEP_OF[kind] == state.value


def clients_in_every_state(server):
    """(state, client, binding): a party stopped in each state of its table."""
    for state in ClientState:
        if state is ClientState.SIGNED and server is ServerModel.SEMI_HONEST:
            continue
        round_ = Round(chosen(server))
        client = round_.clients[0]
        if state is ClientState.ABORTED:
            client.advertise()
            client.abort()
        elif state not in {ClientState.START, ClientState.DONE}:
            round_.ask()
            while client.state is not state:
                round_.collect()
                if state is ClientState.READY and round_.server.state is ServerState.MASKED_INPUT:
                    client.receive(round_.open(dict(round_.down)[0]))
                    break
                round_.ask()
        elif state is ClientState.DONE:
            round_.until(ServerState.DONE)
        assert client.state is state
        yield state, client, round_.server.binding


@pytest.mark.parametrize("server", ServerModel)
def test_every_message_that_the_table_does_not_allow_is_refused_as_the_servers_fault(server):
    refused = 0
    for state, client, binding in clients_in_every_state(server):
        for kind in sorted(SECAGG_KINDS):
            from_party = kind in {Kind.ADVERTISE, Kind.MASKED_INPUT}
            if (state, kind) in CLIENT[server] and not from_party:
                continue
            data = seal(
                kind,
                Survivors(b"\x1f"),
                session=client.context.session,
                round_number=1,
                sender=SERVER_INDEX,
                binding=binding,
            )
            with pytest.raises(RemoteProtocolError, match="may not come in state") as caught:
                client.receive(opened(data, 5))
            assert caught.value.suspects == ("server",)
            assert client.state is state
            refused += 1
    assert refused >= 7 * 8


@pytest.mark.parametrize("server", ServerModel)
def test_a_party_advertises_and_masks_once_and_in_turn(server):
    for state, client, _ in clients_in_every_state(server):
        if state is not ClientState.START:
            with pytest.raises(LocalProtocolError, match=r"used once|over"):
                client.advertise()
        if state is not ClientState.READY:
            with pytest.raises(LocalProtocolError, match=r"used once|over"):
                client.mask(Round(chosen(server)).vectors[0])
        assert client.state is state


@pytest.mark.parametrize("server", ServerModel)
def test_the_server_takes_only_the_kind_that_it_collects_and_each_once(server):
    for state, kind in SERVER_COLLECTS.items():
        if state not in SERVER[server]:
            continue
        round_ = Round(chosen(server))
        round_.until(state)
        binding = round_.server.binding
        for other, sender in itertools.product(sorted(SECAGG_KINDS), (0, 4)):
            if other is kind:
                continue
            data = seal(
                other,
                Survivors(b"\x1f"),
                session=round_.context.session,
                round_number=1,
                sender=sender,
                binding=binding,
            )
            with pytest.raises(RemoteProtocolError, match="late, early or not a party's") as caught:
                round_.server.receive(round_.open(data))
            assert caught.value.suspects == (f"party-{sender}",)
        round_.ask()
        party, data = round_.up[0]
        round_.server.receive(round_.open(data))
        assert party not in round_.server.waiting_for
        with pytest.raises(RemoteProtocolError, match="again") as caught:
            round_.server.receive(round_.open(data))
        assert caught.value.suspects == (f"party-{party}",)


def test_a_server_begins_once_and_closes_nothing_before_or_after():
    server = server_of(context_of(chosen(ServerModel.SEMI_HONEST)))
    with pytest.raises(LocalProtocolError, match="no phase is open"):
        server.close_phase()
    server.start()
    with pytest.raises(LocalProtocolError, match="has begun"):
        server.start()
    server.abort()
    with pytest.raises(LocalProtocolError, match="no phase is open"):
        server.close_phase()
    with pytest.raises(LocalProtocolError, match="no sum in state aborted"):
        server.result()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"session": b"another session!"}, "session"),
        ({"round": 2}, "round 2"),
        ({"sender": 3}, "bears a party's index"),
        ({"seal": bytes(16)}, "checksum"),
        ({"seal": bytes(64)}, "checksum"),
    ],
    ids=["session", "round", "sender", "seal", "long seal"],
)
def test_a_message_that_is_not_of_this_round_leaves_a_party_as_it_was(change, match):
    round_ = Round(chosen(ServerModel.ACTIVE))
    round_.ask()
    round_.collect()
    client, data = round_.clients[0], dict(round_.down)[0]
    whole = round_.open(data)
    fields = {name: getattr(whole, name) for name in whole.__struct_fields__}
    with pytest.raises(ProtocolError, match=match):
        client.receive(Envelope(**{**fields, **change}))
    assert client.state is ClientState.ADVERTISED
    assert client.receive(whole), "the true message is still answered"


def test_a_sender_beyond_the_roster_is_refused():
    round_ = Round(chosen(ServerModel.SEMI_HONEST))
    round_.ask()
    whole = round_.open(round_.up[0][1])
    fields = {name: getattr(whole, name) for name in whole.__struct_fields__}
    for sender in (5, SERVER_INDEX):
        with pytest.raises(RemoteProtocolError, match="not on the roster of 5"):
            round_.server.receive(Envelope(**{**fields, "sender": sender}))


def test_an_active_round_needs_identities():
    context = context_of(chosen(ServerModel.ACTIVE))
    from securefl.secagg.client import ClientRound
    from securefl.secagg.server import ServerRound

    with pytest.raises(LocalProtocolError, match="signed identities"):
        ClientRound(context, 0, names=["a"] * 5)
    with pytest.raises(LocalProtocolError, match="identity keys"):
        ServerRound(context, names=["a"] * 5)


def test_a_party_whose_admission_refuses_deals_nothing_and_wipes():
    def refuse(context, attending):
        raise RemoteProtocolError(f"{attending} are not enough for me")

    round_ = Round(chosen(ServerModel.SEMI_HONEST))
    round_.clients[0] = client_of(round_.context, 0, admit=refuse)
    round_.ask()
    round_.collect()
    client = round_.clients[0]
    with pytest.raises(RemoteProtocolError, match="5 are not enough for me"):
        client.receive(round_.open(dict(round_.down)[0]))
    assert client.state is ClientState.ABORTED
    assert client._kept.advertised is None
