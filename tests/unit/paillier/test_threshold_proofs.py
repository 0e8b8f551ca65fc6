"""Parties who know their shares and lie: what they send is built with the library's own prover."""

from __future__ import annotations

import dataclasses

import gmpy2
import msgspec
import pytest

from securefl.crypto.signing import SigningKey
from securefl.errors import CryptoError
from securefl.paillier import Ciphertexts, Encryptor
from securefl.paillier.threshold import Combiner, Partials, VerificationKeys, WrongPartialError, deal, safe_private_key
from securefl.paillier.threshold.equality import Proof, Statement, _challenge, _nonce_bytes, coefficients

CTX = b"session 1, round 7"
PLAIN = list(range(-20, 20))


@pytest.fixture(scope="module")
def private():
    return safe_private_key(512, insecure_size_for_tests=True)


@pytest.fixture(scope="module")
def dealing(private):
    return deal(private, ("Ann", "Bob", "Cem"), threshold=2, dealer=SigningKey.generate())


@pytest.fixture(scope="module")
def encrypted(private):
    return Encryptor(private.public_key, window=4).encrypt(PLAIN)


@pytest.fixture(scope="module")
def honest(dealing, encrypted):
    return dealing.shares[1].partials(encrypted, ctx=CTX, threads=1)


def proven(share, encrypted, values, *, ctx=CTX, exponent=None):
    """What a cheating holder of this share sends: any values, with the best proof that it can make."""
    statement = Statement(share.keys, share.party, ctx, encrypted, values)
    return Partials(share.keys, share.party, values, statement.prove(exponent or share._exponent))


def refused(partials, encrypted, *, ctx=CTX, party=1, name="Bob"):
    with pytest.raises(WrongPartialError, match="proof does not show") as caught:
        partials.verify(encrypted, ctx=ctx)
    assert caught.value.party == party
    assert caught.value.suspects == (name,)
    with pytest.raises(WrongPartialError):
        Combiner(partials.keys, encrypted, ctx=ctx).receive(party, partials.to_bytes())
    return True


def times(values, changes, modulus):
    return [value * changes.get(index, 1) % modulus for index, value in enumerate(values)]


def test_what_a_cheat_proves_of_the_truth_is_accepted(dealing, encrypted, honest):
    proven(dealing.shares[1], encrypted, honest.values).verify(encrypted, ctx=CTX)


@pytest.mark.parametrize("index", [0, 1, 17, 38, 39])
def test_one_wrong_element_among_many_is_refused(dealing, encrypted, honest, index):
    n = int(dealing.keys.key.n)
    for factor in (1 + n, 1 + 5 * n, 2, int(encrypted.values[0])):
        values = times(honest.values, {index: factor}, n * n)
        assert refused(proven(dealing.shares[1], encrypted, values), encrypted)


def test_errors_whose_product_is_1_are_refused(dealing, encrypted, honest):
    n = int(dealing.keys.key.n)
    for first, second in ((0, 1), (3, 39)):
        values = times(honest.values, {first: 1 + n, second: 1 - n}, n * n)
        assert refused(proven(dealing.shares[1], encrypted, values), encrypted)
    swapped = [honest.values[1], honest.values[0], *honest.values[2:]]
    assert refused(proven(dealing.shares[1], encrypted, swapped), encrypted)


@pytest.mark.parametrize("guess", ["honest partials", "final partials, first coefficients only"])
def test_errors_that_cancel_under_coefficients_known_beforehand_are_refused(dealing, encrypted, honest, guess):
    """Were the coefficients not hashed from the partials themselves, errors in n + 1 could be solved for."""
    n = int(dealing.keys.key.n)
    transcript = Statement(dealing.keys, 1, CTX, encrypted, honest.values).transcript()
    e = [int(x) for x in coefficients(transcript, 40)]
    values = times(honest.values, {0: pow(1 + n, e[1], n * n), 1: pow(1 + n, -e[0], n * n)}, n * n)
    if guess != "honest partials":  # solve again for what the first lie changed
        e = [int(x) for x in coefficients(Statement(dealing.keys, 1, CTX, encrypted, values).transcript(), 40)]
        values = times(honest.values, {0: pow(1 + n, e[1], n * n), 1: pow(1 + n, -e[0], n * n)}, n * n)
    assert refused(proven(dealing.shares[1], encrypted, values), encrypted)


def test_the_coefficients_have_128_bits_and_are_no_two_alike():
    drawn = [int(e) for e in coefficients(b"t" * 32, 500)]
    assert len(set(drawn)) == 500
    assert max(drawn).bit_length() == 128
    assert coefficients(b"u" * 32, 500) != drawn


def test_partials_chosen_after_the_challenge_are_refused(dealing):
    """With the commitments v^r and 1 and a challenge h that were known before c and p, c = u^h and p = u^(2 z) would pass."""
    share, keys = dealing.shares[1], dealing.keys
    squared, r, u = keys.key.squared, 12345, 3**200
    first = Statement(keys, 1, CTX, Ciphertexts(keys.key, [u]), [u]).transcript()
    challenge = _challenge(keys, first, gmpy2.powmod(keys.base, r, squared), gmpy2.mpz(1))
    h = int.from_bytes(challenge, "big")
    z = r + h * int(share._exponent)
    c = Ciphertexts(keys.key, [pow(u, h, int(squared))])
    assert refused(Partials(keys, 1, [pow(u, 2 * z, int(squared))], Proof(challenge, z)), c)


def test_a_sign_does_not_count(dealing, encrypted, honest):
    """-1 is the one element of small order within reach: it leaves the proof true, and what is combined are squares."""
    squared = int(dealing.keys.key.squared)
    values = times(honest.values, {0: -1, 5: -1}, squared)
    combiner = Combiner(dealing.keys, encrypted, ctx=CTX)
    combiner.receive(1, proven(dealing.shares[1], encrypted, values).to_bytes())
    combiner.receive(2, dealing.shares[2].partials(encrypted, ctx=CTX).to_bytes())
    assert combiner.plaintexts() == PLAIN
    with pytest.raises(WrongPartialError):  # on the way nobody can change it
        Partials(dealing.keys, 1, values, honest.proof).verify(encrypted, ctx=CTX)


def test_partials_of_a_wrong_share_are_refused_though_they_agree_with_each_other(dealing, encrypted):
    share, squared = dealing.shares[1], dealing.keys.key.squared
    wrong = 6 * (share._share + 1)
    values = [gmpy2.powmod(c, 2 * wrong, squared) for c in encrypted.values]
    assert refused(proven(share, encrypted, values, exponent=wrong), encrypted)


def test_partials_of_another_partys_share_are_refused(dealing, encrypted):
    thief = dealing.shares[2].partials(encrypted, ctx=CTX)
    assert refused(Partials(dealing.keys, 1, thief.values, thief.proof), encrypted)
    assert refused(proven(dealing.shares[1], encrypted, thief.values, exponent=dealing.shares[2]._exponent), encrypted)


def test_a_replay_of_another_partys_message_names_who_sent_it(dealing, encrypted, honest):
    combiner, data = Combiner(dealing.keys, encrypted, ctx=CTX), honest.to_bytes()
    with pytest.raises(WrongPartialError, match="claim to be party 1's") as caught:
        combiner.receive(2, data)
    assert (caught.value.party, caught.value.suspects) == (2, ("Cem",))
    fields = msgspec.msgpack.decode(data)
    fields[2] = 2
    with pytest.raises(WrongPartialError, match="proof does not show") as caught:
        combiner.receive(2, msgspec.msgpack.encode(fields))
    assert (caught.value.party, caught.value.suspects) == (2, ("Cem",))
    combiner.receive(1, data)


def test_a_proof_for_another_context_is_refused(encrypted, honest):
    assert refused(honest, encrypted, ctx=b"session 1, round 8")
    honest.verify(encrypted, ctx=CTX)


def test_a_proof_for_other_ciphertexts_is_refused(dealing, encrypted, honest, private):
    values = encrypted.values
    other = Encryptor(private.public_key, window=4).encrypt(PLAIN)
    for changed in (other.values, (*values[1:], values[0]), (*values[:-1], other.values[-1])):
        assert refused(honest, Ciphertexts(dealing.keys.key, map(int, changed)))
    for number in (39, 0):
        with pytest.raises(WrongPartialError, match=f"40 of them for {number} ciphertexts"):
            honest.verify(encrypted[:number], ctx=CTX)


def test_a_proof_of_the_same_statements_in_another_order_is_refused(dealing, encrypted, honest):
    """Both vectors permuted alike: every statement is true, but this message does not say so."""
    turned = Ciphertexts(dealing.keys.key, map(int, encrypted.values[::-1]))
    assert refused(Partials(dealing.keys, 1, honest.values[::-1], honest.proof), turned)


def test_a_proof_from_another_dealing_of_the_same_key_is_refused(dealing, encrypted, private, honest):
    again = deal(private, dealing.keys.names, threshold=2, dealer=SigningKey.generate())
    with pytest.raises(WrongPartialError, match="of another dealing"):
        Combiner(again.keys, encrypted, ctx=CTX).receive(1, honest.to_bytes())
    assert refused(Partials(again.keys, 1, honest.values, honest.proof), encrypted)
    resigned = VerificationKeys.signed(
        dealing.keys.key, 3, dealing.keys.names, dealing.keys.values, dealer=SigningKey.generate()
    )
    assert refused(Partials(resigned, 1, honest.values, honest.proof), encrypted)


def test_altered_proofs_are_refused(encrypted, honest):
    proof = honest.proof
    flipped = bytes([proof.challenge[0] ^ 1]) + proof.challenge[1:]
    for changed in (
        dataclasses.replace(proof, response=proof.response + 1),
        dataclasses.replace(proof, response=0),
        dataclasses.replace(proof, challenge=flipped),
        dataclasses.replace(proof, challenge=bytes(16)),
    ):
        assert refused(Partials(honest.keys, 1, honest.values, changed), encrypted)


def test_the_transcript_binds_all_that_is_stated(dealing, encrypted, honest):
    statement = Statement(dealing.keys, 1, CTX, encrypted, honest.values)
    other = VerificationKeys.signed(
        dealing.keys.key, 3, dealing.keys.names, dealing.keys.values, dealer=SigningKey.generate()
    )
    transcripts = {
        dataclasses.replace(statement, **change).transcript()
        for change in (
            {},
            {"keys": other},
            {"party": 2},
            {"ctx": b"x"},
            {"ciphertexts": encrypted[::-1]},
            {"partials": honest.values[::-1]},
        )
    }
    assert len(transcripts) == 6
    assert statement.transcript() in transcripts


class Constant:
    """A source that repeats itself."""

    def token(self, size):
        return bytes(size)

    def below(self, bound):
        return 0


def test_a_source_that_repeats_itself_does_not_give_the_share_away(dealing, encrypted):
    share = dealing.shares[0]
    proofs = [share.partials(encrypted[:1], ctx=ctx, random=Constant()).proof for ctx in (b"a", b"b")]
    (h1, z1), (h2, z2) = ((int.from_bytes(proof.challenge, "big"), proof.response) for proof in proofs)
    assert h1 != h2
    assert z1 - z2 != (h1 - h2) * share._exponent
    nonces = {proof.response - h * share._exponent for proof, h in zip(proofs, (h1, h2), strict=True)}
    assert len(nonces) == 2


def test_nonces_are_fresh_and_hide_the_exponent_by_128_bits(dealing, encrypted):
    share, keys = dealing.shares[0], dealing.keys
    nonces = set()
    for _ in range(20):
        proof = share.partials(encrypted[:1], ctx=CTX).proof
        nonces.add(int(proof.response - int.from_bytes(proof.challenge, "big") * share._exponent))
    assert len(nonces) == 20
    assert max(nonce.bit_length() for nonce in nonces) > 8 * _nonce_bytes(keys) - 16
    largest = 2**128 * int(keys.delta) * int(keys.key.squared)  # of h x
    assert 2 ** (8 * _nonce_bytes(keys)) >= 2**128 * largest


def test_secret_exponents_take_constant_time(dealing, encrypted, monkeypatch):
    share, asked, real = dealing.shares[0], [], gmpy2.powmod_sec
    public, plain = [], gmpy2.powmod
    monkeypatch.setattr(gmpy2, "powmod_sec", lambda b, e, m: asked.append(int(e)) or real(b, e, m))
    monkeypatch.setattr(gmpy2, "powmod", lambda b, e, m: public.append(int(e)) or plain(b, e, m))
    share.partials(encrypted[:3], ctx=CTX, threads=1)
    assert asked[:3] == [2 * share._exponent] * 3
    assert len(asked) == 5
    assert asked[3] == asked[4]
    assert max(public) < 2**128  # coefficients and small exponents


def test_partials_of_nobody_are_refused(dealing, encrypted, honest):
    with pytest.raises(CryptoError, match="no party has index"):
        Partials(dealing.keys, 3, honest.values, honest.proof)
