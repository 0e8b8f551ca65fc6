"""Where a round's secrets are, and that they are gone afterwards."""

from __future__ import annotations

import copy
import pickle

import pytest

from securefl.crypto.secret import Redacted
from securefl.errors import ProtocolError, SecretMisuseError
from securefl.secagg.dealing import HeldShares, Label
from securefl.secagg.parameters import choose
from securefl.secagg.states import ClientState, ServerState
from securefl.types import ServerModel
from unit.secagg.harness import Round

ACTIVE = choose(5, ServerModel.ACTIVE, threshold=3)


def secrets_of(client):
    """Every secret that a party holds, with the objects that hold it."""
    found = {}
    if client._kept.advertised:
        found |= {"mask pair": client._kept.advertised.mask, "share pair": client._kept.advertised.share}
    if client._kept.dealer:
        found |= {"seed": client._kept.dealer.seed, "dealt mask pair": client._kept.dealer.mask}
    if client._kept.holder:
        found |= {f"shares of {owner}": held for owner, held in client._kept.holder.held.items()}
    return found


def gone(secret):
    if isinstance(secret, HeldShares):
        return not secret._shares
    private = getattr(secret, "private", secret)
    return private._wiped and not any(private._buffer) and getattr(secret, "_key", None) is None


def test_the_share_key_is_wiped_when_shares_are_dealt_the_others_when_the_vector_is_masked():
    round_ = Round(ACTIVE)
    client = round_.clients[0]
    round_.ask()
    pairs = secrets_of(client)
    assert not any(gone(secret) for secret in pairs.values())
    round_.collect()
    round_.ask()
    dealt = secrets_of(client)
    assert dealt.keys() == {"mask pair", "share pair", "seed", "dealt mask pair"}
    assert [name for name, secret in dealt.items() if gone(secret)] == ["share pair"]
    assert client._kept.dealer.incoming
    dealer = client._kept.dealer
    round_.collect()
    round_.ask()
    assert client.state is ClientState.MASKED
    assert all(gone(secret) for secret in dealt.values())
    assert not dealer.incoming
    held = [secret for name, secret in secrets_of(client).items() if name.startswith("shares")]
    assert len(held) == 4
    assert not any(gone(secret) for secret in held)


@pytest.mark.parametrize("ends", ["done", "aborted"])
@pytest.mark.parametrize("state", list(ServerState)[2:6])
def test_every_secret_is_wiped_when_the_round_is_over_for_a_party(ends, state):
    round_ = Round(ACTIVE)
    client = round_.clients[0]
    round_.until(state)
    secrets = secrets_of(client)
    assert secrets
    if ends == "done":
        round_.until(ServerState.DONE)
        assert client.state is ClientState.DONE
    else:
        client.abort()
        assert client.state is ClientState.ABORTED
    assert all(gone(secret) for secret in [*secrets.values(), *secrets_of(client).values()])


def test_a_message_that_breaks_a_rule_wipes_everything():
    round_ = Round(ACTIVE)
    round_.until(ServerState.CONSISTENCY)
    client, secrets = round_.clients[0], secrets_of(round_.clients[0])
    lie = round_.server
    from securefl.wire import bitmap
    from securefl.wire.messages import Kind, Survivors

    data = lie._send(frozenset({0}), Kind.SURVIVORS, lambda _: Survivors(bitmap.pack({1, 2, 3}, 5)), lie._ctx)[0][1]
    with pytest.raises(ProtocolError, match="missing from the survivor set"):
        client.receive(round_.open(data))
    assert client.state is ClientState.ABORTED
    assert all(gone(secret) for secret in secrets.values())


def test_giving_out_one_share_forgets_the_other():
    held = HeldShares({Label.SELF_MASK: b"a" * 33, Label.MASK_KEY: b"b" * 33})
    assert held.release(Label.SELF_MASK) == [b"a" * 33]
    for label in Label:
        with pytest.raises(SecretMisuseError, match="given out or wiped"):
            held.release(label)


def test_the_server_keeps_nothing_that_it_collected():
    round_ = Round(ACTIVE)
    round_.until(ServerState.DONE)
    server = round_.server
    assert not server._got.answers
    assert not server._got.signatures
    assert not server._got.messages
    aborted = Round(ACTIVE)
    aborted.until(ServerState.UNMASK)
    aborted.server.abort()
    assert aborted.server._got.total.size == 0
    assert not aborted.server._got.answers


@pytest.mark.parametrize("state", list(ServerState)[1:6])
def test_no_secret_is_printed_pickled_or_copied(state):
    round_ = Round(ACTIVE)
    round_.until(state)
    client = round_.clients[0]
    holders = [client, client._kept.advertised, client._kept.dealer, client._kept.holder, *secrets_of(client).values()]
    for holder in filter(None, holders):
        assert isinstance(holder, Redacted)
        assert repr(holder) == f"<{type(holder).__name__}: redacted>"
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(SecretMisuseError, match="pickled"):
                pickle.dumps(holder, protocol)
        for duplicate in (copy.copy, copy.deepcopy):
            with pytest.raises(SecretMisuseError, match="copied"):
                duplicate(holder)
