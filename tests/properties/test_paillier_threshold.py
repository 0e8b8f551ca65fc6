from __future__ import annotations

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.signing import SigningKey
from securefl.errors import BelowThresholdError, CryptoError
from securefl.paillier import Ciphertexts, Encryptor
from securefl.paillier.threshold import (
    Combiner,
    Partials,
    VerificationKeys,
    WrongPartialError,
    deal,
    safe_private_key,
)
from securefl.paillier.threshold.equality import Statement

TEST = {"insecure_size_for_tests": True}
DEALER = SigningKey.generate()


@functools.cache
def private():
    return safe_private_key(256, **TEST)


@functools.cache
def encryptor():
    return Encryptor(private().public_key, window=4)


@functools.cache
def dealt(threshold, parties):
    return deal(private(), [f"p{i}" for i in range(parties)], threshold=threshold, dealer=DEALER)


@st.composite
def decryptions(draw, enough=True, least=0):
    """A dealing, plaintexts with their ciphertexts, a context, and some of the parties: t or more, or fewer."""
    parties = draw(st.integers(2, 6))
    threshold = draw(st.integers(2, parties))
    sizes = {"min_size": threshold} if enough else {"max_size": threshold - 1}
    chosen = draw(st.lists(st.sampled_from(range(parties)), unique=True, **sizes))
    plain = draw(st.lists(st.integers(-(2**254), 2**254), min_size=least, max_size=4))
    ctx = draw(st.binary(min_size=1, max_size=40))
    return dealt(threshold, parties), plain, encryptor().encrypt(plain, threads=1), ctx, chosen


def message(share, encrypted, ctx):
    return share.partials(encrypted, ctx=ctx, threads=1).to_bytes()


@given(decryptions())
def test_any_t_or_more_parties_in_any_order_decrypt_what_was_encrypted(drawn):
    dealing, plain, encrypted, ctx, chosen = drawn
    combiner = Combiner(dealing.keys, encrypted, ctx=ctx, threads=1)
    for party in chosen:
        combiner.receive(party, message(dealing.shares[party], encrypted, ctx))
    assert combiner.plaintexts() == plain


@given(decryptions(enough=False))
def test_fewer_than_t_parties_decrypt_nothing(drawn):
    dealing, _, encrypted, ctx, chosen = drawn
    combiner = Combiner(dealing.keys, encrypted, ctx=ctx, threads=1)
    for party in chosen:
        combiner.receive(party, message(dealing.shares[party], encrypted, ctx))
    assert combiner.missing == dealing.keys.threshold - len(chosen)
    with pytest.raises(BelowThresholdError):
        combiner.plaintexts()


@given(decryptions(least=1), st.integers(2, 5))
def test_parties_together_decrypt_a_sum_as_the_sum_modulo_n(drawn, times):
    dealing, plain, encrypted, ctx, chosen = drawn
    total = Ciphertexts.total([encrypted] * times, threads=1)
    combiner = Combiner(dealing.keys, total, ctx=ctx, threads=1)
    for party in chosen:
        combiner.receive(party, message(dealing.shares[party], total, ctx))
    n = int(private().public_key.n)
    assert [m % n for m in combiner.plaintexts()] == [times * m % n for m in plain]


@given(decryptions(least=1), st.data())
def test_one_wrong_partial_anywhere_is_refused_and_its_sender_named(drawn, data):
    dealing, _, encrypted, ctx, chosen = drawn
    share, squared = dealing.shares[chosen[0]], int(private().public_key.squared)
    values = [int(v) for v in share.partials(encrypted, ctx=ctx, threads=1).values]
    place = data.draw(st.integers(0, len(values) - 1))
    factor = data.draw(st.integers(2, squared - 2))
    values[place] = values[place] * factor % squared
    proof = Statement(dealing.keys, share.party, ctx, encrypted, values, 1).prove(share._exponent)
    cheat = Partials(dealing.keys, share.party, values, proof).to_bytes()
    with pytest.raises(WrongPartialError) as caught:
        Combiner(dealing.keys, encrypted, ctx=ctx, threads=1).receive(share.party, cheat)
    assert (caught.value.party, caught.value.suspects) == (share.party, (f"p{share.party}",))


@given(decryptions(), st.data())
def test_no_altered_bit_of_a_message_gets_through_and_its_sender_is_named(drawn, data):
    dealing, _, encrypted, ctx, chosen = drawn
    altered = bytearray(message(dealing.shares[chosen[0]], encrypted, ctx))
    altered[data.draw(st.integers(0, len(altered) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(WrongPartialError) as caught:
        Combiner(dealing.keys, encrypted, ctx=ctx, threads=1).receive(chosen[0], bytes(altered))
    assert caught.value.suspects == (f"p{chosen[0]}",)


@given(decryptions(), st.binary(min_size=1, max_size=40))
def test_partials_hold_in_their_own_context_only(drawn, other):
    dealing, _, encrypted, ctx, chosen = drawn
    data = message(dealing.shares[chosen[0]], encrypted, ctx)
    combiner = Combiner(dealing.keys, encrypted, ctx=other, threads=1)
    if other == ctx:
        combiner.receive(chosen[0], data)
        return
    with pytest.raises(WrongPartialError, match="proof does not show"):
        combiner.receive(chosen[0], data)


@given(st.integers(2, 6), st.data())
def test_no_altered_bit_of_verification_keys_gets_through(parties, data):
    keys = dealt(data.draw(st.integers(2, parties)), parties).keys
    altered = bytearray(keys.to_bytes())
    altered[data.draw(st.integers(0, len(altered) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(CryptoError):
        VerificationKeys.from_bytes(bytes(altered), dealer=DEALER.verify_key, **TEST)


@given(st.binary(max_size=600))
def test_arbitrary_bytes_are_no_partials(data):
    keys = dealt(2, 3).keys
    with pytest.raises(WrongPartialError, match=r"party 1 \('p1'\)"):
        Partials.from_bytes(data, keys=keys, party=1, count=2)
