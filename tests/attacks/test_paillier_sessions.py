"""Sessions of encrypted aggregation: hostile plans, restarts, keys that do not belong together, budgets that are not charged."""

from __future__ import annotations

import dataclasses
import functools
import threading
import time
import tracemalloc

import msgspec
import numpy as np
import pytest

import attacks.harness  # noqa: F401 - which sees to it that the copy under test is what is imported
import securefl as sfl
from conformance.adapters import dealing, private_key
from securefl.crypto.signing import SigningKey
from securefl.dp.ledger import PrivacyBudgetError
from securefl.dp.mechanisms import DistributedSkellam
from securefl.dp.modular_grid import ModularGrid
from securefl.errors import (
    ConfigError,
    LocalProtocolError,
    MalformedMessageError,
    PolicyRefusedError,
    RemoteProtocolError,
    RoundAbortedError,
    SecretMisuseError,
    SecureFLError,
    UnsafePlanError,
)
from securefl.paillier.rounds import ClientState
from securefl.paillier.rounds import client as client_module
from securefl.paillier.threshold import deal
from securefl.plan.message import message_of
from securefl.records.used_file import UsedFile
from securefl.secagg.context import pre_context_of
from securefl.session import key_holder, paillier_client
from securefl.session.paillier_round import EncodedIntegers, context_of
from securefl.session.submission import Submission
from securefl.types import KEY_HOLDER
from securefl.wire import codec
from securefl.wire.envelope import SERVER_INDEX, seal
from securefl.wire.messages import Encrypt, Invite, Kind

NAMES = tuple(f"party-{i}" for i in range(6))
TEMPLATE = {"w": ((3,), "float64")}
UPDATE = {"w": np.full(3, 0.25)}
UNSIGNED = sfl.Roster.unsigned(NAMES)


@functools.cache
def signed():
    return sfl.Roster.generate(NAMES)


def under(holder="separate", **fields):
    key = dealing().keys if holder == "threshold" else private_key().public_key
    return sfl.Paillier(key, holder, **{"min_survivors": 3, **fields})


def plan_of(holder="separate", **fields):
    return sfl.Plan(template=TEMPLATE, parties=6, protocol=under(holder, **fields))


def private_plan(mechanism=sfl.DistributedDiscreteGaussian, noise=1.0, **fields):
    return sfl.Plan(
        template=TEMPLATE,
        parties=6,
        protocol=under(max_colluders=1),
        encoding=ModularGrid(20),
        privacy=mechanism(clip=1.0, noise_multiplier=noise, **fields),
    )


def ledger_of(path, name="ledger", epsilon=1e6):
    return sfl.PrivacyLedger(path / f"{name}.jsonl", sfl.Budget(epsilon=epsilon, delta=1e-5))


def client_of(plan, party=0, *, roster=UNSIGNED, **options):
    policy = options.pop("policy", None) or sfl.ClientPolicy.matching(plan)
    return sfl.PaillierClient(NAMES[party], roster=roster, policy=policy, threads=1, **options)


def holder_of(plan, *, roster=UNSIGNED, **options):
    policy = options.pop("policy", None) or sfl.ClientPolicy.matching(plan)
    return sfl.PaillierKeyHolder(private_key(), roster=roster, policy=policy, threads=1, **options)


def mail_of(server, model=None):
    """Invitation and request of a new round, by name."""
    mail: dict[str, list[bytes]] = {}
    for name, data in server.start_round(model):
        mail.setdefault(name, []).append(data)
    return mail


def invitation(plan_bytes, *, roster=UNSIGNED, session=b"s" * 16, number=1):
    binding = pre_context_of(session, number, roster.digest())
    body = Invite(plan_bytes, roster.digest())
    return seal(Kind.INVITE, body, session=session, round_number=number, sender=SERVER_INDEX, binding=binding)


# Invitations.


def hostile_plans():
    """Plan bytes that no honest server sends, by what is wrong with them."""
    separate, dealt = message_of(plan_of()), message_of(plan_of("threshold"))
    good = separate.paillier
    n = int(private_key().public_key.n)

    def key(n, bits=None, blum=1):
        bits = bits or n.bit_length()
        return good.key[:25] + bytes([blum]) + bits.to_bytes(2, "big") + n.to_bytes(-(-n.bit_length() // 8), "big")

    changed = {
        "even n": {"key": key(n - 1)},
        "short n": {"key": key(n >> 2816)},
        "n of 2047 bits": {"key": key(n >> 1025, 2048)},
        "huge n": {"key": key((1 << 32768) - 1)},
        "promised huge": {"key": key(n, 65520)},
        "n of 16384 bits": {"key": key((1 << 16384) - 3)},
        "a power": {"key": key((n >> 1536 | 1) ** 2)},
        "small factor": {"key": key(3 * (n >> 2 | 1))},
        "no Blum key": {"key": key(n, blum=0)},
        "kind of key": {"key": key(n, blum=7)},
        "no key": {"key": b""},
        "cut key": {"key": good.key[:-1]},
        "much too long": {"key": bytes(1 << 19)},
        "a dealing as a key": {"key": dealt.paillier.key},
        "unknown holder": {"holder": "server"},
        "empty holder": {"holder": ""},
        "a key as a dealing": {"holder": "threshold"},
        "unknown randomness": {"randomness": "none"},
    }
    plans = {
        name: msgspec.structs.replace(separate, paillier=msgspec.structs.replace(good, **c))
        for name, c in changed.items()
    }
    for name, fields in {
        "threshold of nobody": {"threshold": 4},
        "another server model": {"server": "active"},
        "another graph": {"graph": "k-regular"},
        "neighbours": {"neighbours": 2},
        "prefetch": {"prefetch": True},
        "floor of two": {"min_survivors": 2},
        "no floor": {"min_survivors": 0},
        "floor above n": {"min_survivors": 7},
        "all collude": {"max_colluders": 5},
        "named secagg": {"protocol": "secagg"},
        "endless vector": {"leaves": [msgspec.structs.replace(separate.leaves[0], shape=[2**52])]},
        "heavy weights": {"max_weight": 2**52},
        "wide ring": {"ring_bits": 65},
        "narrow ring": {"ring_bits": 8},
    }.items():
        plans[name] = msgspec.structs.replace(separate, **fields)
    plans["dealing of others"] = message_of(
        sfl.Plan(template=TEMPLATE, parties=6, protocol=sfl.Paillier(other_names().keys, min_survivors=3))
    )
    spoilt = dealt.paillier.key[:-1] + bytes([dealt.paillier.key[-1] ^ 1])
    plans["tampered dealing"] = msgspec.structs.replace(
        dealt, paillier=msgspec.structs.replace(dealt.paillier, key=spoilt)
    )
    return {name: codec.encode(plan) for name, plan in plans.items()}


@functools.cache
def other_names():
    from conformance.adapters import _stored

    return deal(_stored("safe"), [f"x{i}" for i in range(6)], threshold=4, dealer=SigningKey.generate())


def test_hostile_plans_are_refused_with_one_error_in_little_memory_and_time():
    """Success: a plan under a key, or with fields, that nobody can mean is accepted; or costs the party its memory, or a traceback."""
    policies = [sfl.ClientPolicy.matching(plan_of()), sfl.ClientPolicy.matching(plan_of("threshold"))]
    for name, data in hostile_plans().items():
        for policy in policies:
            receivers = [
                sfl.PaillierClient("party-0", roster=UNSIGNED, policy=policy),
                sfl.PaillierKeyHolder(private_key(), roster=UNSIGNED, policy=policy),
            ]
            for receiver in receivers:
                tracemalloc.start()
                started = time.perf_counter()
                try:
                    assert receiver.receive(invitation(data)) == [], name
                except SecureFLError:
                    assert receiver.plan is None, name
                else:
                    # A vector that no memory holds may be agreed on: nothing is made of it before an update fits it.
                    assert name == "endless vector"
                peak, seconds = tracemalloc.get_traced_memory()[1], time.perf_counter() - started
                tracemalloc.stop()
                assert peak < 32 * len(data) + (4 << 20), (name, peak)
                assert seconds < 20, (name, seconds)


def test_a_session_takes_no_other_protocols_plan():
    """Success: a party that encrypts is talked into masks, or the other way round, and crashes."""
    masks = sfl.Plan(template=TEMPLATE, parties=6, protocol=sfl.SecAgg(server="semi-honest"))
    for receiver in (client_of(plan_of()), holder_of(plan_of())):
        with pytest.raises(SecureFLError):
            receiver.receive(invitation(masks.to_bytes()))
    with pytest.raises(SecureFLError):
        sfl.SecAggClient("party-0", roster=UNSIGNED, policy=sfl.ClientPolicy.matching(masks)).receive(
            invitation(plan_of().to_bytes())
        )


def test_a_party_that_declines_stays_silent():
    """Success: a party that has said no to a plan is had to encrypt under it."""
    server = sfl.PaillierServer(plan_of(), roster=UNSIGNED)
    client = client_of(plan_of(), policy=sfl.ClientPolicy(server="semi-honest"))
    client.submit(UPDATE)
    invite, request = mail_of(server)["party-0"]
    with pytest.raises(PolicyRefusedError):
        client.receive(invite)
    assert client.receive(request) == []
    assert client.state is ClientState.START
    with pytest.raises(RemoteProtocolError):
        client.receive(
            seal(
                Kind.DECRYPT,
                Invite(b"", bytes(32)),
                session=server.session,
                round_number=1,
                sender=SERVER_INDEX,
                binding=bytes(32),
            )
        )


def test_an_invitation_that_was_damaged_on_the_way_and_came_again_is_an_invitation():
    """Success: one flipped bit, and the party is silent for the whole round without anybody knowing why."""
    server = sfl.PaillierServer(plan_of(), roster=UNSIGNED)
    client = client_of(plan_of())
    client.submit(UPDATE)
    invite, request = mail_of(server)["party-0"]
    damaged = invite[:-1] + bytes([invite[-1] ^ 1])
    with pytest.raises(MalformedMessageError):
        client.receive(damaged)
    assert client.receive(invite) == []
    assert len(client.receive(request)) == 1


@pytest.mark.parametrize("holder", ["separate", "threshold"])
def test_without_identity_keys_on_ones_own_roster_nobody_takes_part_in_an_audited_round(holder):
    """Success: signatures are demanded by the plan and checked by nobody: the server's forgeries are in the sum."""
    plan = plan_of(holder, audited=True)
    for receiver in (
        client_of(plan, identity=SigningKey.generate(), key=dealing().shares[0] if holder == "threshold" else None),
        *([holder_of(plan)] if holder == "separate" else []),
    ):
        with pytest.raises(ConfigError, match="identity keys"):
            receiver.receive(invitation(plan.to_bytes()))
    with pytest.raises(ConfigError, match="identity keys"):
        sfl.PaillierServer(plan, roster=UNSIGNED)
    roster, _ = signed()
    with pytest.raises(LocalProtocolError, match="identity key"):
        client_of(plan, roster=roster, key=dealing().shares[0]).receive(invitation(plan.to_bytes(), roster=roster))


def test_two_groups_of_share_holders_that_could_open_two_sums_are_no_audited_plan():
    """Success: a malicious server shows one sum to t parties and another to t others."""
    weak = deal(_safe(), NAMES, threshold=3, dealer=SigningKey.generate()).keys
    for keys, colluders, what in ((weak, 0, "two sums of one round"), (dealing().keys, 2, "max_colluders")):
        protocol = sfl.Paillier(keys, audited=True, min_survivors=6, max_colluders=colluders)
        with pytest.raises(UnsafePlanError, match=what):
            sfl.Plan(template=TEMPLATE, parties=6, protocol=protocol)


def _safe():
    from conformance.adapters import _stored

    return _stored("safe")


def test_a_paillier_plan_that_protects_less_than_it_says_cannot_be_made():
    """Success: a plan whose key opens for its colluders, was dealt to others, or whose masks hide less than they should."""
    public, keys = private_key().public_key, dealing().keys
    plain = sfl.paillier.PublicKey(int(public.n))
    wrong = [
        (lambda: sfl.Paillier(plain), "not known to be 3 modulo 4"),
        (lambda: sfl.Paillier(plain, randomness="short"), "not known to be 3 modulo 4"),
        (lambda: sfl.Paillier(public, "threshold"), "does not go with the key"),
        (lambda: sfl.Paillier(keys, "clients"), "does not go with the key"),
        (lambda: sfl.Paillier(private_key()), "of another type"),
        (lambda: sfl.Paillier(public, randomness="none"), "randomness is unknown"),
        (lambda: sfl.Paillier(public, audited=1), "audited is of another type"),
        (lambda: plan_of("clients", max_colluders=1), "max_colluders"),
        (lambda: plan_of("clients", audited=True), "another sum of one round"),
        (lambda: plan_of("threshold", min_survivors=6, max_colluders=4), "max_colluders"),
        (lambda: plan_of(min_survivors=4, max_colluders=3), "max_colluders"),
        (lambda: plan_of(min_survivors=2), "min_survivors"),
        (lambda: sfl.Plan(template=TEMPLATE, parties=5, protocol=under("threshold")), "another number of parties"),
    ]
    for make, rule in wrong:
        with pytest.raises(UnsafePlanError, match=rule):
            make()
    with pytest.raises(ConfigError, match="dealt to x0"):
        sfl.PaillierServer(
            sfl.Plan(template=TEMPLATE, parties=6, protocol=sfl.Paillier(other_names().keys, min_survivors=3)),
            roster=UNSIGNED,
        )


def test_a_request_for_another_plan_or_model_or_an_old_round_is_refused():
    """Success: a vector is encrypted, or a sum decrypted, under another plan, model or round than was agreed."""
    plan, model = plan_of(), {"w": np.zeros(3)}
    server = sfl.PaillierServer(plan, roster=UNSIGNED)
    mail = mail_of(server, model)
    holder, client = holder_of(plan), client_of(plan)
    holder.receive(mail[KEY_HOLDER][0])
    binding = pre_context_of(server.session, 1, UNSIGNED.digest())
    header = {"session": server.session, "round_number": 1, "sender": SERVER_INDEX, "binding": binding}
    for receiver in (holder, client):
        if receiver is client:
            client.receive(mail["party-0"][0])
            client.submit(UPDATE, model=model)
        with pytest.raises(RemoteProtocolError, match="another plan"):
            receiver.receive(seal(Kind.ENCRYPT, Encrypt(bytes(32), bytes(32)), **header))
        with pytest.raises(RemoteProtocolError, match="joined before"):
            receiver.receive(mail["party-0"][0])
    client.submit(UPDATE, model={"w": np.ones(3)})
    with pytest.raises(RemoteProtocolError, match="is not the one that the round is for"):
        client.receive(mail["party-0"][1])
    assert client.state is ClientState.ABORTED


# Policies.


def test_a_policy_decides_on_key_holder_randomness_and_floors():
    """Success: the party encrypts under a key, for holders, with randomness or below floors that its owner never accepted."""
    roster = UNSIGNED
    plan, dealt = plan_of(), plan_of("threshold")
    accepting = sfl.ClientPolicy.matching(plan)
    changed = [
        (plan, accepting, {"paillier_keys": ()}, "paillier_keys"),
        (plan, accepting, {"paillier_keys": (dealt.protocol.fingerprint,)}, "paillier_keys"),
        (plan_of("clients"), accepting, {}, "key_models"),
        (plan_of(randomness="short"), accepting, {}, "randomness"),
        (plan, accepting, {"server": "active"}, "server"),
        (plan, accepting, {"min_survivors": 4}, "min_survivors"),
        (plan, accepting, {"min_parties": 7}, "min_parties"),
        (plan, accepting, {"min_colluders": 2}, "min_colluders"),
        (dealt, sfl.ClientPolicy.matching(dealt), {"min_threshold": 5}, "min_threshold"),
        (dealt, sfl.ClientPolicy.matching(dealt), {"paillier_keys": (plan.protocol.fingerprint,)}, "paillier_keys"),
    ]
    accepting.check(plan, roster)
    for offered, policy, demanded, floor in changed:
        with pytest.raises(PolicyRefusedError) as error:
            dataclasses.replace(policy, **demanded).check(offered, roster)
        assert error.value.floor == floor


def test_a_holder_counts_its_rounds():
    """Success: a holder that is to decrypt two sums decrypts any number."""
    plan = plan_of()
    holder = holder_of(plan, policy=dataclasses.replace(sfl.ClientPolicy.matching(plan), max_rounds=2))
    for number in (1, 2):
        assert holder.receive(invitation(plan.to_bytes(), number=number)) == []
    with pytest.raises(PolicyRefusedError, match="joined 2 rounds"):
        holder.receive(invitation(plan.to_bytes(), number=3))
    again = holder_of(plan)
    again.receive(invitation(plan.to_bytes()))
    with pytest.raises(RemoteProtocolError, match="joined before"):
        again.receive(invitation(plan.to_bytes()))


def test_an_invitation_for_another_key_is_no_invitation_for_this_holder():
    """Success: a holder decrypts under a key that it does not hold, or for parties who hold it."""
    for plan in (plan_of("clients"), plan_of("threshold")):
        with pytest.raises(RemoteProtocolError, match="this holder has"):
            holder_of(plan).receive(invitation(plan.to_bytes()))


# Keys.


@pytest.mark.parametrize("holder", ["clients", "threshold"])
def test_who_cannot_decrypt_its_part_says_so_before_it_sends_or_spends_anything(holder):
    """Success: another's share, or a key where a share belongs, shows only when the vector is sent and the ledger charged."""
    plan = plan_of(holder)
    shares = dealing().shares
    wrong = [None, private_key(), shares[1], other_names().shares[0]] if holder == "threshold" else [None, shares[0]]
    for key in wrong:
        client = client_of(plan, key=key)
        client.submit(UPDATE)
        with pytest.raises(LocalProtocolError):
            client.receive(invitation(plan.to_bytes()))
        assert client.plan is None


def test_an_aggregation_with_another_key_is_one_clear_error():
    """Success: mixed keys show as a round that fails for no stated reason."""
    updates = dict.fromkeys(NAMES, UPDATE)
    for holder, key in (
        ("separate", _safe()),
        ("clients", _safe()),
        ("threshold", other_names()),
        ("threshold", dict.fromkeys(NAMES, 3)),
    ):
        with pytest.raises(ConfigError, match="of another one"):
            sfl.aggregate(updates, plan_of(holder), key_holder=key)
    for holder, key in (("separate", dealing()), ("threshold", private_key()), ("separate", 7)):
        with pytest.raises(ConfigError, match="key_holder is not"):
            sfl.aggregate(updates, plan_of(holder), key_holder=key)


# Restarts and budgets.


def test_a_restarted_party_encrypts_no_second_vector_for_a_round(tmp_path):
    """Success: a second noisy vector for a round finds the first one's entry in the ledger, and costs nothing."""
    plan = private_plan()
    server = sfl.PaillierServer(plan, roster=UNSIGNED, ledger=ledger_of(tmp_path, "server"))
    messages = mail_of(server)["party-0"]
    for attempt in (1, 2):
        used = UsedFile.open_or_create(tmp_path / "used")
        client = client_of(plan, ledger=ledger_of(tmp_path), used=used)
        client.submit(UPDATE)
        assert client.receive(messages[0]) == []
        if attempt == 1:
            assert len(client.receive(messages[1])) == 1
            continue
        with pytest.raises(SecretMisuseError, match="vector was encrypted before"):
            client.receive(messages[1])
        assert client.state is ClientState.ABORTED
    assert len(ledger_of(tmp_path).owners) == 1


def test_a_restarted_party_has_not_forgotten_how_many_rounds_it_joined(tmp_path):
    """Success: a party that is to join one round joins one after every restart; engines may make a new object for each round."""
    plan = plan_of()
    policy = dataclasses.replace(sfl.ClientPolicy.matching(plan), max_rounds=1)
    server = sfl.PaillierServer(plan, roster=UNSIGNED)
    for attempt in (1, 2):
        client = client_of(plan, policy=policy, used=UsedFile.open_or_create(tmp_path / "used"))
        client.submit(UPDATE)
        invite, request = mail_of(server)["party-0"]
        if attempt == 1:
            client.receive(invite)
            assert len(client.receive(request)) == 1
            continue
        with pytest.raises(PolicyRefusedError, match="joined 1 rounds"):
            client.receive(invite)


def test_a_party_that_was_made_to_forget_a_session_encrypts_no_second_vector_for_its_round(tmp_path, monkeypatch):
    """Success: invitations to hundreds of other sessions push a round out of memory, and it is asked for again."""
    monkeypatch.setattr(paillier_client, "_SESSIONS_REMEMBERED", 1)
    plan = private_plan()
    server = sfl.PaillierServer(plan, roster=UNSIGNED, ledger=ledger_of(tmp_path, "server"))
    messages = mail_of(server)["party-0"]
    client = client_of(plan, ledger=ledger_of(tmp_path))
    client.submit(UPDATE)
    assert [answer for data in messages for answer in client.receive(data)]
    client.receive(invitation(plan.to_bytes(), session=b"o" * 16))
    client.submit(UPDATE)
    client.receive(messages[0])
    client.submit(UPDATE)
    with pytest.raises(SecretMisuseError, match="vector was encrypted before"):
        client.receive(messages[1])


def test_a_holder_that_was_made_to_forget_a_session_or_restarted_decrypts_no_second_sum(tmp_path, monkeypatch):
    """Success: after a restart, or hundreds of sessions later, another sum of an old round is decrypted."""
    monkeypatch.setattr(key_holder, "_SESSIONS_REMEMBERED", 1)
    plan = plan_of()
    server = sfl.PaillierServer(plan, roster=UNSIGNED, threads=1)
    mail = mail_of(server)
    holder = holder_of(plan, used=UsedFile.open_or_create(tmp_path / "used"))
    for data in mail[KEY_HOLDER]:
        assert holder.receive(data) == []
    asked = []
    for name in NAMES:
        client = client_of(plan, NAMES.index(name))
        client.submit(UPDATE)
        for data in mail[name]:
            for answer in client.receive(data):
                asked += server.receive(answer, party=name)
    assert [name for name, _ in asked] == [KEY_HOLDER]
    assert len(holder.receive(asked[0][1])) == 1
    holder.receive(invitation(plan.to_bytes(), session=b"o" * 16))
    restarted = holder_of(plan, used=UsedFile.open(tmp_path / "used"))
    for again in (holder, restarted):
        for data in mail[KEY_HOLDER]:
            again.receive(data)
        with pytest.raises(SecretMisuseError, match="sum was decrypted before"):
            again.receive(asked[0][1])


def test_what_a_vector_costs_is_entered_before_a_ciphertext_exists(tmp_path, monkeypatch):
    """Success: a party whose ledger refuses, or cannot be written, has encrypted all the same."""
    plan = private_plan()
    server = sfl.PaillierServer(plan, roster=UNSIGNED, ledger=ledger_of(tmp_path, "server"))
    messages = mail_of(server)["party-0"]
    ledger = ledger_of(tmp_path)
    client = client_of(plan, ledger=ledger)
    client.submit(UPDATE)
    client.receive(messages[0])
    entered = []
    honest = client_module.Encryptor.encrypt

    def watched(self, *args, **options):
        entered.append(ledger.owners)
        return honest(self, *args, **options)

    monkeypatch.setattr(client_module.Encryptor, "encrypt", watched)
    for data in messages[1:]:
        client.receive(data)
    assert list(map(list, entered)) == [["party-0"]]
    poor = client_of(plan, ledger=ledger_of(tmp_path, "poor", epsilon=1e-6))
    poor.submit(UPDATE)
    with pytest.raises((PrivacyBudgetError, PolicyRefusedError)):
        poor.receive(messages[0])
    assert poor.receive(messages[1]) == []
    assert len(entered) == 1
    without = client_of(plan)
    with pytest.raises(ConfigError, match="no privacy ledger"):
        without.receive(messages[0])


def test_a_sum_that_the_servers_ledger_cannot_pay_is_not_sent_to_be_decrypted(tmp_path, monkeypatch):
    """Success: the holder is asked for a sum that is in no ledger."""
    plan = private_plan()
    ledger = ledger_of(tmp_path, "server")
    server = sfl.PaillierServer(plan, roster=UNSIGNED, ledger=ledger, threads=1)
    mail = mail_of(server)

    def broken(_charges):
        raise ConfigError("the disk is full")

    sent = []
    for name in NAMES[:5]:
        client = client_of(plan, NAMES.index(name), ledger=ledger_of(tmp_path, name))
        client.submit(UPDATE)
        sent += [(name, answer) for data in mail[name] for answer in client.receive(data)]
    for name, data in sent:
        assert server.receive(data, party=name) == []
    monkeypatch.setattr(ledger, "charge_all", broken)
    with pytest.raises(RoundAbortedError, match="the disk is full"):
        server.close_phase()
    assert server.done


@pytest.mark.parametrize(
    "mechanism",
    [sfl.DistributedDiscreteGaussian, DistributedSkellam, sfl.CentralDiscreteGaussian, sfl.LocalDiscreteGaussian],
)
def test_under_every_mechanism_noise_is_packed_unreduced_and_each_vector_is_charged(tmp_path, mechanism):
    """Success: a holder sees words of the ring instead of noisy integers, noise leaves its slot, or a survivor is in no ledger."""
    plan, roster = private_plan(mechanism), UNSIGNED
    context = context_of(plan, plan.for_round(bytes(16), 1, roster=roster))
    submission = Submission({"w": np.full(3, -1.0)}, 1, {}, None, None)
    seen = np.concatenate([part for _ in range(20) for part in EncodedIntegers(plan, context, submission)])
    assert seen.dtype == np.int64
    assert seen.min() < 0 < seen.max()  # a word of the ring is never negative
    assert np.abs(seen).max() <= plan.slots.bound
    ledger = ledger_of(tmp_path)
    updates = dict.fromkeys(NAMES, UPDATE)
    result = sfl.aggregate(updates, plan, key_holder=private_key(), ledger=ledger, drop={"party-5": "masked_input"})
    assert result.survivors == NAMES[:5]
    assert set(NAMES[:5]) <= set(ledger.owners)
    assert result.spent.observer > 0


def test_noise_that_comes_off_again_and_unreduced_noise_beyond_its_slot_are_no_plans():
    """Success: seeds of noise are agreed on that nobody deals, or packed words say how often each party's noise wrapped."""
    with pytest.raises(UnsafePlanError, match="taken off again"):
        private_plan(DistributedSkellam, max_dropouts=3)
    plan = private_plan()
    # A slot holds what a party brings before it is reduced, with its noise, and not words of the ring.
    assert plan.slots.bound >= plan.release.bound.l2
    assert plan.slots.noise_bits > 0
    assert private_plan(sfl.CentralDiscreteGaussian).slots.noise_bits == 0
    assert private_plan(noise=4.0).slots.noise_bits > plan.slots.noise_bits


def test_two_threads_do_not_have_two_vectors_encrypted():
    """Success: the same request, taken by two threads, is answered twice."""
    plan = plan_of()
    server = sfl.PaillierServer(plan, roster=UNSIGNED)
    invite, request = mail_of(server)["party-0"]
    client = client_of(plan)
    client.submit(UPDATE)
    client.receive(invite)
    answers = []

    def run():
        try:
            answers.append(client.receive(request))
        except SecureFLError:
            return

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [len(answer) for answer in answers] == [1]
