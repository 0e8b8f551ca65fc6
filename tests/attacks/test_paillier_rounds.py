"""Rounds of encrypted aggregation against a malicious server, malicious parties and malicious holders of keys.

Known, disclosed and not attacked here: a party that sends a multiple of another's ciphertexts, and a holder who believes the server
where rounds are not audited. What sessions, plans and policies refuse is in test_paillier_sessions.py.
"""

from __future__ import annotations

import dataclasses
import threading
import time

import numpy as np
import pytest

from attacks.paillier_table import CLIENTS, SEPARATE, THRESHOLD, Table, private
from securefl.crypto.signing import SigningKey
from securefl.encoding.words import pack
from securefl.errors import (
    BelowThresholdError,
    CryptoError,
    EncodingError,
    LocalProtocolError,
    MalformedMessageError,
    RemoteProtocolError,
    RoundAbortedError,
    SecretMisuseError,
    SecureFLError,
)
from securefl.paillier import Ciphertexts, SlotLayout
from securefl.paillier.rounds import server as server_module
from securefl.paillier.rounds.states import ClientState, ServerState
from securefl.paillier.threshold import WrongPartialError
from securefl.records.used_file import UsedFile
from securefl.session.decryption import Spent
from securefl.wire import bitmap
from securefl.wire.envelope import HOLDER_INDEX, SERVER_INDEX, parse
from securefl.wire.messages import PAILLIER_KINDS, Decrypt, Decrypted, Encrypt, EncryptedInput, PartialDecryption

MODELS = (SEPARATE, CLIENTS, THRESHOLD)
KINDS = [(model, audited) for model in MODELS for audited in (False, True)]
every_round = pytest.mark.parametrize(("holder", "audited"), KINDS)
every_model = pytest.mark.parametrize("holder", MODELS)


def refused(table: Table, data: bytes, holder=None, match=None) -> None:
    with pytest.raises(RemoteProtocolError, match=match):
        table.hand(data, holder)


# The server towards whoever decrypts.


@every_model
def test_in_an_audited_round_the_server_cannot_have_one_partys_ciphertexts_decrypted_as_the_sum(holder):
    """Success: the holder decrypts ciphertexts of the server's choice: here those of party 0, alone or three times."""
    table = Table(holder, audited=True)
    mail = table.inputs()
    first = min(table.holders)
    for times in (1, 3, 5):
        refused(table, table.decrypt(range(times), table.total({0: times})))
        refused(table, table.decrypt(range(5), table.total({0: times})), match="of its own")
    table.hand(table.sent[0][0], first)
    for others in ([0], [0, 1], []):
        refused(table, table.decrypt(others), match="at least 3")
    refused(table, table.decrypt([0, 1, 2]), match="party-1, party-2 are to be in the sum")
    with pytest.raises(RemoteProtocolError, match="where 1 of 1 was due"):
        table.hand(table.sent[0][0], first)
    table.finish([(index, data) for index, data in mail if (index, data) != (first, table.sent[0][0])])
    table.assert_exact()


@every_round
def test_a_sum_of_too_few_of_none_and_of_strangers_is_not_decrypted(holder, audited):
    """Success: fewer vectors than the floor are in what is decrypted, or somebody is who is on no roster."""
    table = Table(holder, audited=audited)
    mail = table.inputs()
    total = b"" if audited else table.total({0: 1, 1: 1})
    for few in ([], [0], [0, 1]):
        refused(table, table.decrypt(few, total), match="at least 3")
    for bits in (b"\x3f", b"\xff", b"\x1f\x00", b""):
        data = total if isinstance(total, bytes) else total.to_bytes()
        refused(table, table.forge(Decrypt(bits, 0, data)), match="set")
    table.finish(mail)
    table.assert_exact()


@every_round
def test_a_second_sum_of_one_round_is_not_decrypted(holder, audited):
    """Success: the difference of two decrypted sums of one round is one party's vector."""
    table = Table(holder, audited=audited, n=5)
    mail = table.inputs()
    first = min(table.holders)
    table.finish(mail)
    table.assert_exact()
    second = table.decrypt([1, 2, 3, 4], b"" if audited else table.total({1: 1, 2: 1, 3: 1, 4: 1}))
    refused(table, second, first, match="repetition")
    refused(table, mail[-1][1], first, match="repetition")
    if audited:
        refused(table, table.sent[0][0], first)


@pytest.mark.parametrize("same", [True, False])
@every_round
def test_after_a_restart_the_used_file_says_that_the_sum_was_decrypted(tmp_path, holder, audited, same):
    """Success: a holder that forgot the round decrypts a second sum of it, or the same ciphertexts but for later chunks."""
    table = Table(holder, audited=audited, parts=2)
    mail = table.inputs()
    first = min(table.holders)
    before, after = (
        table.decryptor(first, spend=Spent(UsedFile.open_or_create(tmp_path / "used")).decrypting(table.context))
        for _ in range(2)
    )
    messages = [data for index, data in mail if index == first]
    assert [answer for data in messages for answer in table.hand(data, before)]
    members = range(5) if same else [1, 2, 3, 4]
    for party in members if audited else ():
        for data in table.sent[party]:
            table.hand(data, after)
    chunks = (0,) if audited else (0, 1)
    for chunk in chunks:
        total = b"" if audited else table.total(dict.fromkeys(members, 1), chunk)
        with pytest.raises(SecretMisuseError if chunk == 0 else RemoteProtocolError):
            table.hand(table.decrypt(members, total, chunk), after)


def test_two_threads_do_not_have_two_sums_decrypted():
    """Success: of two requests that race, both are answered."""
    gate = threading.Barrier(2)

    def spend():
        try:
            gate.wait(2)
        except threading.BrokenBarrierError:
            return

    table = Table(SEPARATE, spend=spend, parts=3)
    table.inputs()
    sums = [table.decrypt(s, table.total(dict.fromkeys(s, 1))) for s in ([0, 1, 2, 3, 4], [1, 2, 3, 4])]
    assert len(raced([lambda data=data: table.hand(data) for data in sums])) == 1


def test_two_objects_with_one_memory_do_not_decrypt_two_sums():
    """Success: two decryptors of one holder both find that nothing was decrypted yet."""

    class Slow(set):
        def __contains__(self, item):
            found = super().__contains__(item)
            time.sleep(0.1)
            return found

    spent = Spent(None)
    spent._taken = Slow()
    table = Table(SEPARATE)
    table.inputs()
    both = [table.decryptor(spend=spent.decrypting(table.context)) for _ in range(2)]
    data = table.decrypt(range(5), table.total(dict.fromkeys(range(5), 1)))
    assert len(raced([lambda one=one: table.hand(data, one) for one in both])) == 1


def raced(acts):
    """What came back from those that were not refused."""
    done = []

    def run(act):
        try:
            done.append(act())
        except SecureFLError:
            return

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return done


@every_model
def test_the_survivors_do_not_change_within_one_sum(holder):
    """Success: the first values are a sum over five, the others one over four: their difference over both chunks is a vector's part."""
    table = Table(holder, parts=2)
    mail = table.inputs()
    first = min(table.holders)
    table.hand(table.decrypt(range(5), table.total(dict.fromkeys(range(5), 1), 0), 0), first)
    four = dict.fromkeys(range(1, 5), 1)
    refused(table, table.decrypt(four, table.total(four, 1), 1), first, match="changed within one sum")
    if holder is THRESHOLD:
        table.finish([(index, data) for index, data in mail if index != first])
        table.assert_exact()


@every_model
def test_chunks_of_a_sum_come_in_order_once_and_no_more_of_them(holder):
    """Success: a chunk is decrypted twice, out of turn, or beyond the last."""
    table = Table(holder, parts=3)
    mail = table.inputs()
    first = min(table.holders)
    parts = [table.decrypt(range(5), table.total(dict.fromkeys(range(5), 1), chunk), chunk) for chunk in range(3)]
    refused(table, parts[1], first, match="where 0 of 3 was due")
    own = [data for index, data in mail if index == first]
    table.hand(own[0], first)
    refused(table, own[0], first, match="where 1 of 3 was due")
    refused(table, parts[2], first, match="where 1 of 3 was due")
    beyond = table.forge(Decrypt(bitmap.pack(range(5), 5), 3, b""))
    refused(table, beyond, first)
    for data in own[1:]:
        assert table.hand(data, first)
    refused(table, beyond, first)


@pytest.mark.parametrize("sender", [HOLDER_INDEX, SERVER_INDEX, 5, 1 << 20])
@every_model
def test_ciphertexts_of_nobody_are_refused_by_name(holder, sender):
    """Success: an index without a key crashes the holder, or needs no signature."""
    table = Table(holder, audited=True)
    mail = table.inputs()
    body = table.body(table.sent[0][0], EncryptedInput)
    refused(table, table.forge(body, sender=sender))
    refused(table, table.forge(body, sender=sender, identity=table.keys[0]))
    table.finish(mail)
    table.assert_exact()


def test_without_identity_keys_an_audited_round_is_not_decrypted():
    """Success: a holder whose roster has no keys takes checksums, which anybody can make, for signatures."""
    table = Table(SEPARATE, audited=True)
    with pytest.raises(LocalProtocolError, match="identity keys"):
        table.decryptor(verify_keys=None)


def test_only_the_plans_key_and_only_ones_own_share_decrypt():
    """Success: another key, another party's share or one of another dealing is used, and the round fails late or under a wrong name."""
    apart, together, shared = Table(SEPARATE), Table(CLIENTS), Table(THRESHOLD)
    shares, others = shared.dealing.shares, Table(THRESHOLD, which=1).dealing.shares
    assert others[0].keys.key == shares[0].keys.key
    wrong = [
        (apart, HOLDER_INDEX, private(1)),
        (apart, HOLDER_INDEX, shares[0]),
        (together, 0, private(1)),
        (together, 0, shares[0]),
        (shared, 0, private(0)),
        (shared, 0, shares[1]),
        (shared, 1, others[1]),
    ]
    for table, index, key in wrong:
        with pytest.raises(LocalProtocolError, match="held here"):
            table.decryptor(index, key=key)


def test_a_plaintext_that_no_such_sum_has_is_not_told():
    """Success: the holder is an oracle for whatever was encrypted; it tells sums within the bounds, or nothing, and once."""
    table = Table(SEPARATE)
    table.inputs()
    hundred = Ciphertexts.total([table.total({0: 1})] * 200, threads=1)
    refused(table, table.decrypt(range(5), hundred), match="no sum of 5 vectors")
    refused(table, table.decrypt(range(5), table.total(dict.fromkeys(range(5), 1))), match="repetition")


@every_model
def test_a_holder_that_audits_adds_whole_vectors_only(holder):
    """Success: a party of whom a part is missing, or with a part too many, is in the sum."""
    table = Table(holder, audited=True, parts=2)
    mail = table.inputs()
    first = min(table.holders)
    own = [data for index, data in mail if index == first]
    for data in own[1:-1]:
        if data is not own[1]:
            table.hand(data, first)
    table.hand(own[0], first)
    refused(table, own[-1], first, match="party-0 are to be in the sum")
    table.hand(own[1], first)
    for chunk in (0, 1, 2):
        again = table.write_as(0, EncryptedInput(chunk, table.body(own[1], EncryptedInput).ciphertexts))
        refused(table, again, first, match="where 2 of 2 was due")
    assert table.hand(own[-1], first)


# Parties and the network towards the server, and towards a holder that audits.


@every_round
@pytest.mark.parametrize(
    "change",
    [
        {"session": b"t" * 16},
        {"round": 8},
        {"roster_digest": b"R" * 32},
        {"plan_digest": b"P" * 32},
        {"model_digest": b"M" * 32},
        {"which": 1},
        {"most": 1001},
    ],
    ids=str,
)
def test_ciphertexts_of_another_session_round_plan_model_key_or_layout_are_in_no_sum(holder, audited, change):
    """Success: what a party encrypted elsewhere is added here."""
    table = Table(holder, audited=audited)
    foreign = Table(holder, audited=audited, keys=table.keys, **change)
    assert foreign.context.ctx != table.context.ctx
    replayed = foreign.encrypted(0)
    for data in replayed:
        with pytest.raises(RemoteProtocolError):
            table.give(data)
    mail = table.inputs()
    if audited:
        refused(table, replayed[0])
    foreign_mail = foreign.inputs()
    refused(table, foreign_mail[-1][1], foreign_mail[-1][0] if holder is SEPARATE else 0)
    table.finish(mail)
    table.assert_exact()
    assert len(table.server.survivors) == 5


@every_model
def test_a_signature_that_is_missing_forged_or_anothers_is_refused_by_server_and_holder(holder):
    """Success: the server, or a colluder, puts ciphertexts of its own into the sum in the name of an honest party."""
    table = Table(holder, audited=True)
    mail = table.inputs()
    body = table.body(table.sent[0][0], EncryptedInput)
    fresh = Table(holder, audited=True, keys=table.keys)
    forged = [
        table.forge(body, sender=0),
        table.forge(body, sender=0, identity=SigningKey.generate()),
        table.forge(body, sender=0, identity=table.keys[1]),
        table.forge(body, sender=1, identity=table.keys[0]),
        table.write_as(0, body, binding=table.context.ctx0),
    ]
    for data in forged:
        refused(table, data)
        with pytest.raises(RemoteProtocolError):
            fresh.give(data)
    table.finish(mail)
    table.assert_exact()
    if holder is not SEPARATE:
        answering = Table(holder, audited=True, keys=table.keys)
        index, requests = 0, answering.inputs()
        answers = [a for i, data in requests if i == index for a in answering.hand(data, i)]
        struct = PartialDecryption if holder is THRESHOLD else Decrypted
        answer = answering.body(answers[-1], struct)
        for data in (answering.forge(answer, sender=0), answering.forge(answer, sender=0, identity=table.keys[1])):
            with pytest.raises(RemoteProtocolError):
                answering.give(data)


def test_signatures_that_cannot_be_checked_are_not_believed():
    """Success: a server without its parties' keys adds what anybody sends; a party without its own sends what anybody could."""
    table = Table(SEPARATE, audited=True)
    with pytest.raises(LocalProtocolError, match="identity keys"):
        server_module.ServerRound(table.context, names=table.names, encryptor=table.server._encryptor)
    table.keys = ()
    with pytest.raises(LocalProtocolError, match="identity key"):
        table.client(0)


@every_round
def test_a_message_that_comes_again_late_early_or_from_nobody_changes_nothing(holder, audited):
    """Success: one party's vector is in the sum twice, or one that was left out is in it."""
    table = Table(holder, audited=audited)
    table.sent[4] = table.encrypted(4)
    first = table.encrypted(0)[0]
    table.give(first)
    for data in (first, table.encrypted(0)[0]):
        with pytest.raises(RemoteProtocolError, match="again"):
            table.give(data)
    answer = PartialDecryption(0, b"") if holder is THRESHOLD else Decrypted(0, b"")
    with pytest.raises(RemoteProtocolError, match="in state masked_input"):
        table.give(table.write_as(1, answer))
    body = table.body(first, EncryptedInput)
    for sender in (HOLDER_INDEX, SERVER_INDEX, 5):
        with pytest.raises(RemoteProtocolError):
            table.give(table.forge(body, sender=sender))
    table.sent[0] = [first]
    for party in (1, 2, 3):
        table.sent[party] = table.encrypted(party)
        table.give(table.sent[party][0])
    mail = table.server.close_phase()
    with pytest.raises(RemoteProtocolError, match="in state unmask"):
        table.give(table.sent[4][0])
    table.finish(mail)
    assert table.server.survivors == {0, 1, 2, 3}
    table.assert_exact()


def test_chunks_of_a_vector_come_in_order_once_and_all_of_them():
    """Success: a party's vector is in the sum in part, or one of its chunks twice."""
    table = Table(SEPARATE, parts=3)
    sent = {party: table.encrypted(party) for party in range(5)}
    for wrong in (sent[0][1], sent[0][2]):
        with pytest.raises(RemoteProtocolError, match="where 0 of 3 was due"):
            table.give(wrong)
    table.give(sent[0][0])
    with pytest.raises(RemoteProtocolError, match="where 1 of 3 was due"):
        table.give(sent[0][0])
    table.give(sent[0][1])  # and never the third
    for party in range(1, 5):
        for data in sent[party]:
            table.give(data)
    beyond = table.write_as(1, EncryptedInput(3, table.key.key_id))
    with pytest.raises(RemoteProtocolError, match="again"):
        table.give(beyond)
    table.finish(table.server.close_phase())
    assert table.server.survivors == {1, 2, 3, 4}
    table.assert_exact()


@every_round
def test_integers_that_are_no_ciphertexts_are_refused_by_name(holder, audited):
    """Success: a sum is 0 or undefined modulo n^2, or tells a factor of n: nothing of the kind is ever added or decrypted."""
    table = Table(holder, audited=audited)
    key, count = table.key, table.context.ciphertexts
    p, q = private(0).primes if holder is not THRESHOLD else (int(key.n), 1)
    n, size = int(key.n), key.ciphertext_bytes
    values = [0, n, 7 * n, n * n, n * n + 1, (1 << 8 * size) - 1, p, 3 * p, p * p, *([q, n * p] if q > 1 else [])]
    rest = [1] * (count - 1)

    def written(*integers: int, key_id: bytes = key.key_id) -> bytes:
        return key_id + b"".join(i.to_bytes(size, "big") for i in integers)

    good = written(*rest, 1)
    bad = [written(*rest, value) for value in values]
    bad += [good[:-1], good + b"\x00", good + good[32:], key.key_id, b"", good[:32] + good[33:]]
    bad += [written(*rest, 1, key_id=private(1).public_key.key_id)]
    for data in bad:
        message = table.write_as(0, EncryptedInput(0, data))
        with pytest.raises(RemoteProtocolError, match="party-0 sent what cannot be added") as error:
            table.give(message)
        assert error.value.suspects == ("party-0",)
        asked = message if audited else table.forge(Decrypt(bitmap.pack(range(5), 5), 0, data))
        refused(table, asked, match="sent what cannot be added")
    table.finish(table.inputs())
    table.assert_exact()


# Whoever decrypts, towards the server.


@pytest.mark.parametrize("audited", [False, True])
def test_wrong_partials_are_left_out_by_name_and_the_sum_is_right(audited):
    """Success: one share-holder changes the sum, or ends the round without being named."""
    table = Table(THRESHOLD, audited=audited, parts=2)
    mail = table.inputs()
    answers = {i: [a for j, data in mail if j == i for a in table.hand(data, i)] for i in range(5)}
    partials = [table.body(data, PartialDecryption) for data in answers[0]]
    swapped = [as_chunk(partials[1], chunk=0), as_chunk(partials[0], chunk=1)]
    # Right for the first chunk, and for the second those of the first.
    half = [partials[0], as_chunk(partials[0], chunk=1)]
    stolen = [table.body(data, PartialDecryption) for data in answers[1]]
    for wrong in (swapped, half, stolen, [PartialDecryption(c, b"\x00" * 9) for c in (0, 1)]):
        again = Table(THRESHOLD, audited=audited, parts=2, keys=table.keys)
        again.sent, again.vectors = table.sent, table.vectors
        for party in range(5):
            for data in table.sent[party]:
                again.give(data)
        if not audited:
            again.server._sum = table.server._sum
        with pytest.raises(RemoteProtocolError, match="where 0 of 2 was due"):
            again.give(again.write_as(0, PartialDecryption(1, b"")))
        for body in wrong:
            again.give(again.write_as(0, body))
        for party in (1, 2, 3, 4):
            for data in answers[party]:
                again.give(data)
        again.assert_exact()
        assert [type(error) for error in again.server.refusals] == [WrongPartialError]
        assert again.server.refusals[0].suspects == ("party-0",)
        assert again.server.dropped == {0: "unmask"}


def as_chunk(body, chunk):
    return PartialDecryption(chunk, body.partials)


@pytest.mark.parametrize("audited", [False, True])
def test_with_one_share_too_few_nothing_is_decrypted_and_who_lied_is_named(audited):
    """Success: t - 1 shares decrypt, or the liar is not among the suspects."""
    table = Table(THRESHOLD, audited=audited, threshold=4)
    answers = [(index, answer) for index, data in table.inputs() for answer in table.hand(data, index)]
    for index, answer in answers[:-1]:
        body = table.body(answer, PartialDecryption)
        table.give(table.write_as(index, PartialDecryption(0, body.partials[::-1])) if index in {0, 2} else answer)
    with pytest.raises(BelowThresholdError, match="3 parties decrypted their part, 4 are needed") as error:
        table.give(answers[-1][1])
    assert error.value.suspects == ("party-0", "party-2")
    assert table.server.state is ServerState.ABORTED
    with pytest.raises(LocalProtocolError):
        _ = table.server.total


@pytest.mark.parametrize("holder", [SEPARATE, CLIENTS])
def test_what_a_holder_decrypted_has_the_plans_length_and_words(holder):
    """Success: the server takes a shorter, longer or wilder sum for the round's."""
    table = Table(holder, parts=2)
    mail = table.inputs()
    asked = mail[0][0]
    answers = [answer for index, data in mail for answer in table.hand(data, index)]
    values = table.context.values_in(0)
    words = np.zeros(values, np.uint32)
    bodies = [
        Decrypted(0, pack(words[:-1], 20)),
        Decrypted(0, pack(words, 20) + b"\x00\x00\x00"),
        Decrypted(0, b""),
        Decrypted(0, b"\xff" * len(pack(words, 20))),
        Decrypted(1, pack(words, 20)),
        Decrypted(2, b""),
    ]
    for body in bodies:
        with pytest.raises(RemoteProtocolError):
            table.give(table.forge(body, sender=asked))
    for sender in set(range(5)) - {asked}:
        with pytest.raises(RemoteProtocolError, match=r"unasked|not its to send"):
            table.give(table.forge(Decrypted(0, pack(words, 20)), sender=sender))
    for answer in answers:
        table.give(answer)
    table.assert_exact()


# The server's own rules.


@every_round
def test_too_few_vectors_end_the_round_before_anybody_is_asked_to_decrypt(holder, audited):
    """Success: the holder hears of a sum of two."""
    table = Table(holder, audited=audited)
    for party in (0, 1):
        table.give(table.encrypted(party)[0])
    with pytest.raises(BelowThresholdError, match="2 parties completed masked_input, 3 are needed"):
        table.server.close_phase()
    assert table.server.state is ServerState.ABORTED
    assert table.server._signed == {}
    assert table.server._sum is None


def test_too_few_share_holders_end_the_round_before_anybody_decrypts_a_part():
    """Success: partial decryptions are out in the world of a sum that nobody can have."""
    table = Table(THRESHOLD, threshold=4)
    for party in (0, 1, 2):
        table.give(table.encrypted(party)[0])
    with pytest.raises(BelowThresholdError, match="3 parties completed masked_input, 4 are needed"):
        table.server.close_phase()


@every_round
def test_the_ledger_is_asked_and_the_survivors_are_fixed_before_the_sum_goes_out(holder, audited):
    """Success: the sum is decrypted though the ledger refuses it, or though another set of survivors was fixed before a rollback."""
    asked = []

    def release(survivors, ctx):
        asked.append((survivors, ctx))
        raise RoundAbortedError("overspent")

    def agree(step, what):
        asked.append((step, what))
        raise SecretMisuseError("closed otherwise")

    for hook in ({"release": release}, {"agree": agree}):
        asked.clear()
        table = Table(holder, audited=audited, **hook)
        with pytest.raises(RoundAbortedError, match=r"overspent|closed otherwise"):
            table.inputs()
        assert len(asked) == 1
        assert table.server.state is ServerState.ABORTED
        with pytest.raises(LocalProtocolError):
            table.server.close_phase()


def test_two_threads_do_not_lose_a_summand(monkeypatch):
    """Success: vectors that arrive together overwrite each other, and a survivor is not in the sum."""
    honest = Ciphertexts.total

    def slow(vectors, **options):
        result = honest(vectors, **options)
        time.sleep(0.05)
        return result

    table = Table(SEPARATE)
    sent = [table.encrypted(party)[0] for party in range(5)]
    monkeypatch.setattr(server_module.Ciphertexts, "total", slow)
    mail = [answer for answers in raced([lambda data=data: table.give(data) for data in sent]) for answer in answers]
    monkeypatch.undo()
    table.finish(mail)
    table.assert_exact()
    assert len(table.server.survivors) == 5


def test_the_sum_is_rerandomised_before_a_holder_sees_it():
    """Success: a holder who also saw the parties' messages finds out whose vectors are in the sum, or that nobody else's are."""
    table = Table(SEPARATE)
    mail = table.inputs()
    sent = table.body(mail[0][1], Decrypt).ciphertexts
    plain = table.total(dict.fromkeys(range(5), 1))
    assert sent != plain.to_bytes()
    hidden = Ciphertexts.from_bytes(sent, key=table.key, count=table.context.ciphertexts)
    assert private(0).decrypt(hidden, threads=1) == private(0).decrypt(plain, threads=1)


# A party.


def test_a_party_encrypts_once_and_only_for_the_plan_that_it_accepted():
    """Success: a party encrypts two vectors in a round, or for a plan or round that it has not accepted."""
    table = Table(SEPARATE)
    model = table.context.round.model_digest
    wrong = [
        table.forge(Encrypt(b"q" * 32, model), binding=table.context.ctx0),
        table.forge(Encrypt(b"p" * 32, model), binding=table.context.ctx),
        table.forge(Encrypt(b"p" * 32, model), binding=table.context.ctx0, session=b"t" * 16),
        table.forge(Encrypt(b"p" * 32, model), binding=table.context.ctx0, round_number=8),
        table.forge(Encrypt(b"p" * 32, model), binding=table.context.ctx0, sender=3),
    ]
    client = table.client(0)
    for data in wrong:
        with pytest.raises(RemoteProtocolError):
            client.on_encrypt(parse(data, parties=5, kinds=PAILLIER_KINDS))
        assert client.state is ClientState.START
    request = parse(table.requests[0], parties=5, kinds=PAILLIER_KINDS)
    client.on_encrypt(request)
    with pytest.raises(RemoteProtocolError, match="a repetition"):
        client.on_encrypt(request)
    assert len(list(client.encrypt([table.vectors[0]]))) == 1
    with pytest.raises(LocalProtocolError, match="one is sent in each round"):
        client.encrypt([table.vectors[1]])


@pytest.mark.parametrize("kind", [np.int64, np.uint64, np.int32, np.float64, object])
def test_a_value_beyond_the_bound_or_no_integer_is_refused_before_encryption(kind):
    """Success: a party's value runs into its neighbour's slot, where nobody ever sees that the sum is wrong."""
    table = Table(SEPARATE)
    for value in (1001, -1001 if kind is not np.uint64 else 2**64 - 1):
        vector = np.zeros(table.context.round.length, kind)
        vector[3] = value
        with pytest.raises(EncodingError):
            table.encrypted(0, vector)
    for wrong in (table.vectors[0][:-1], np.append(table.vectors[0], 0), table.vectors[0].reshape(1, -1)):
        client = table.client(1)
        client.on_encrypt(parse(table.requests[1], parties=5, kinds=PAILLIER_KINDS))
        with pytest.raises((LocalProtocolError, EncodingError)):
            list(client.encrypt([wrong]))
    table.finish(table.inputs())
    table.assert_exact()


# All of them.


@every_round
def test_damaged_messages_are_refused_with_one_error_and_the_round_goes_on(holder, audited):
    """Success: a traceback of another kind, or a sum that is wrong, after any bit has flipped or the end is missing."""
    table = Table(holder, audited=audited)
    rng = np.random.default_rng(1)

    def damaged(data: bytes):
        for place in [0, 1, 2, 3, *rng.integers(0, len(data), 12).tolist(), len(data) - 1]:
            spoiled = bytearray(data)
            spoiled[place] ^= 1 << int(rng.integers(0, 8))
            yield bytes(spoiled)
            yield data[:place]
        yield data + b"\x00"

    for party in range(5):
        table.sent[party] = table.encrypted(party)
        for data in damaged(table.sent[party][0]) if party == 0 else ():
            with pytest.raises(RemoteProtocolError):
                table.give(data)
        mail = table.give(table.sent[party][0])
    for index, data in mail:
        for spoiled in damaged(data) if index in {0, HOLDER_INDEX} else ():
            with pytest.raises(RemoteProtocolError):
                table.hand(spoiled, index)
        for answer in table.hand(data, index):
            for spoiled in damaged(answer) if index in {0, HOLDER_INDEX} else ():
                with pytest.raises((MalformedMessageError, RemoteProtocolError)):
                    table.give(spoiled)
            if table.server.state is not ServerState.DONE:
                table.give(answer)
    table.assert_exact()
    assert table.server.refusals == []


def test_another_layout_is_another_context_and_its_sums_are_seen_through():
    """Success: two sides with different slots, or another number of vectors, understand different integers, and nobody notices."""
    table = Table(SEPARATE)
    other = dataclasses.replace(table.context, slots=SlotLayout(512, 5, 1000, 1, 1))
    assert other.ctx != table.context.ctx
    slots = table.context.slots
    fullest = [5 * plaintext for plaintext in slots.pack(np.full(3, 1000))]
    assert slots.unpack(fullest, 3, vectors=5).tolist() == [5000] * 3
    with pytest.raises(CryptoError, match="no sum of 4 vectors"):
        slots.unpack(fullest, 3, vectors=4)
