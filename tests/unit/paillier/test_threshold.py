from __future__ import annotations

import itertools
import math

import pytest

from securefl.crypto.signing import SigningKey
from securefl.errors import BelowThresholdError, CryptoError, RemoteProtocolError
from securefl.paillier import Ciphertexts, Encryptor
from securefl.paillier.threshold import (
    Combiner,
    KeyShare,
    VerificationKeys,
    WrongPartialError,
    deal,
    safe_private_key,
)
from securefl.paillier.threshold.combining import lagrange_at_zero

NAMES = ("Ann", "Bob", "Cem", "Dua", "Eve")
CTX = b"session 1, round 7"
PLAIN = [0, 1, -1, 10**60, -(10**60)]


@pytest.fixture(scope="module")
def private():
    return safe_private_key(512, insecure_size_for_tests=True)


@pytest.fixture(scope="module")
def dealing(private):
    return deal(private, NAMES, threshold=3, dealer=SigningKey.generate())


@pytest.fixture(scope="module")
def encrypted(private):
    return Encryptor(private.public_key, window=4).encrypt(PLAIN)


@pytest.fixture(scope="module")
def sent(dealing, encrypted):
    return [share.partials(encrypted, ctx=CTX, threads=1).to_bytes() for share in dealing.shares]


def combined(keys, encrypted, messages):
    combiner = Combiner(keys, encrypted, ctx=CTX, threads=1)
    for party, data in messages:
        combiner.receive(party, data)
    return combiner.plaintexts()


@pytest.mark.parametrize("parties", list(itertools.combinations(range(5), 3)))
def test_every_set_of_t_parties_decrypts(dealing, encrypted, sent, parties):
    for order in (parties, parties[::-1]):
        assert combined(dealing.keys, encrypted, [(party, sent[party]) for party in order]) == PLAIN


def test_more_than_t_parties_decrypt_and_the_key_holder_agrees(private, dealing, encrypted, sent):
    assert combined(dealing.keys, encrypted, enumerate(sent)) == PLAIN == private.decrypt(encrypted)


@pytest.mark.parametrize("parties", list(itertools.combinations(range(5), 2)))
def test_no_set_of_t_minus_1_parties_decrypts(dealing, encrypted, sent, parties):
    combiner = Combiner(dealing.keys, encrypted, ctx=CTX)
    for party in parties:
        combiner.receive(party, sent[party])
    assert combiner.missing == 1
    with pytest.raises(BelowThresholdError, match="2 parties are there, 3 are needed"):
        combiner.plaintexts()


@pytest.mark.parametrize("parties", list(itertools.combinations(range(5), 2)))
def test_t_minus_1_shares_do_not_determine_the_plaintext_though_nobody_counts_them(dealing, encrypted, parties):
    """The dealer signs a lower threshold over the same shares: two of them interpolate something else than the key."""
    keys, dealer = dealing.keys, SigningKey.generate()
    lower = VerificationKeys.signed(keys.key, 2, NAMES, keys.values, dealer=dealer)
    shares = [KeyShare(lower, party, dealing.shares[party]._share) for party in parties]
    messages = [(share.party, share.partials(encrypted, ctx=CTX).to_bytes()) for share in shares]
    with pytest.raises(CryptoError, match="shares are not those of one key"):
        combined(lower, encrypted, messages)


@pytest.mark.parametrize(("parties", "threshold"), [(2, 2), (3, 2), (4, 4), (12, 5)])
def test_other_numbers_of_parties_decrypt_too(private, encrypted, parties, threshold):
    dealing = deal(private, [f"p{i}" for i in range(parties)], threshold=threshold, dealer=SigningKey.generate())
    chosen = dealing.shares[-threshold:]
    messages = [(share.party, share.partials(encrypted, ctx=CTX).to_bytes()) for share in chosen]
    assert combined(dealing.keys, encrypted, messages) == PLAIN


def test_sums_are_decrypted_by_the_parties_together(dealing, encrypted, private):
    total = Ciphertexts.total([encrypted, encrypted, Encryptor(private.public_key, window=4).encrypt([5] * 5)])
    messages = [(party, dealing.shares[party].partials(total, ctx=CTX).to_bytes()) for party in (0, 2, 4)]
    assert combined(dealing.keys, total, messages) == [2 * m + 5 for m in PLAIN]


def test_no_ciphertexts_give_no_plaintexts(dealing, encrypted):
    none = encrypted[:0]
    messages = [(party, dealing.shares[party].partials(none, ctx=CTX).to_bytes()) for party in (0, 1, 2)]
    assert combined(dealing.keys, none, messages) == []


def test_the_shares_lie_on_a_polynomial_through_d(private, dealing):
    p, q = private.primes
    n, m = p * q, (p // 2) * (q // 2)
    shares = [int(share._share) for share in dealing.shares]
    assert all(0 < share < n * m for share in shares)
    for parties in itertools.combinations(range(5), 3):
        weights = lagrange_at_zero([party + 1 for party in parties], 120)
        scaled = sum(weights[party + 1] * shares[party] for party in parties)
        assert scaled % m == 0
        assert scaled % n == 120
    two = lagrange_at_zero([1, 2], 120)
    assert (two[1] * shares[0] + two[2] * shares[1]) % n != 120


def test_the_published_values_are_those_of_the_shares_and_v_is_a_square(private, dealing):
    keys, n = dealing.keys, int(dealing.keys.key.n)
    p, q = private.primes
    v, order = int(keys.base), n * (p // 2) * (q // 2)
    assert pow(v, order, n * n) == 1  # a square
    assert all(pow(v, order // prime, n * n) != 1 for prime in (p, q, p // 2, q // 2))  # and a generator of them
    delta = math.factorial(5)
    assert keys.values == tuple(pow(v, delta * int(share._share), n * n) for share in dealing.shares)


def test_weights_are_integers_even_for_the_most_parties():
    delta = math.factorial(256)
    points = range(3, 257, 2)
    weights = lagrange_at_zero(points, delta)
    for x in points:
        exact = delta * math.prod(other for other in points if other != x)
        assert weights[x] * math.prod(other - x for other in points if other != x) == exact


def test_a_key_that_is_not_made_of_safe_primes_is_not_dealt(key):
    with pytest.raises(CryptoError, match="not safe primes"):
        deal(key, NAMES, threshold=3, dealer=SigningKey.generate())


@pytest.mark.parametrize(
    ("names", "threshold", "match"),
    [
        (NAMES, 1, "threshold of 1 among 5"),
        (NAMES, 0, "threshold of 0"),
        (NAMES, 6, "threshold of 6"),
        (NAMES, True, "threshold of True"),
        (NAMES, 3.0, "threshold of 3.0"),
        (["p"] * 257, 3, "257 parties"),
        (["a", "a", "b"], 2, "two parties have one name"),
        (["a", ""], 2, "cannot be a party's name"),
        (["a", "x" * 65], 2, "cannot be a party's name"),
        (["a", "b\n"], 2, "cannot be a party's name"),
        (["a", b"b"], 2, "cannot be a party's name"),
    ],
)
def test_parties_and_thresholds_are_checked(private, names, threshold, match):
    with pytest.raises(CryptoError, match=match):
        deal(private, names, threshold=threshold, dealer=SigningKey.generate())


def test_a_wrong_share_is_refused_and_its_party_named(dealing):
    share = int(dealing.shares[1]._share)
    for wrong in (share + 1, int(dealing.shares[2]._share), 0, -share, int(dealing.keys.key.squared)):
        with pytest.raises(CryptoError, match=r"party 1 \('Bob'\) is not the one of its verification key"):
            KeyShare(dealing.keys, 1, wrong)
    assert KeyShare(dealing.keys, 1, share).party == 1


def test_a_share_beyond_n_squared_is_refused_even_where_it_would_serve(private, dealing):
    """The nonces of proofs hide shares below n^2 by 128 bits, longer ones by less."""
    p, q = private.primes
    longer = int(dealing.shares[1]._share) + 5 * (p * q) * (p // 2) * (q // 2)
    with pytest.raises(CryptoError, match="Bob"):
        KeyShare(dealing.keys, 1, longer)


@pytest.mark.parametrize("party", [-1, 5, True, "1", None])
def test_nobodys_index_is_refused(dealing, encrypted, sent, party):
    with pytest.raises(CryptoError, match="no party has index"):
        KeyShare(dealing.keys, party, int(dealing.shares[0]._share))
    with pytest.raises(CryptoError, match="no party has index"):
        Combiner(dealing.keys, encrypted, ctx=CTX).receive(party, sent[0])


def test_a_wrong_partial_names_its_sender_and_the_others_go_on(dealing, encrypted, sent):
    combiner = Combiner(dealing.keys, encrypted, ctx=CTX)
    combiner.receive(0, sent[0])
    wrong = bytearray(sent[3])
    wrong[200] ^= 1
    with pytest.raises(WrongPartialError, match=r"party 3 \('Dua'\)") as caught:
        combiner.receive(3, bytes(wrong))
    assert caught.value.party == 3
    assert caught.value.suspects == ("Dua",)
    assert combiner.missing == 2
    combiner.receive(1, sent[1])
    combiner.receive(4, sent[4])
    assert combiner.missing == 0
    assert combiner.plaintexts() == PLAIN


def test_a_party_is_heard_once(dealing, encrypted, sent):
    combiner = Combiner(dealing.keys, encrypted, ctx=CTX)
    combiner.receive(2, sent[2])
    again = dealing.shares[2].partials(encrypted, ctx=CTX).to_bytes()
    for data in (sent[2], again):
        with pytest.raises(RemoteProtocolError, match="second partials of party 2") as caught:
            combiner.receive(2, data)
        assert caught.value.suspects == ("Cem",)
    assert combiner.missing == 2


def test_ciphertexts_under_another_key_are_refused_everywhere(dealing, encrypted, other):
    strange = Encryptor(other.public_key, window=4).encrypt(PLAIN)
    partials = dealing.shares[0].partials(encrypted, ctx=CTX)
    for attempt in (
        lambda: dealing.shares[0].partials(strange, ctx=CTX),
        lambda: partials.verify(strange, ctx=CTX),
        lambda: Combiner(dealing.keys, strange, ctx=CTX),
    ):
        with pytest.raises(CryptoError, match="under key"):
            attempt()


def test_a_decryption_without_a_context_is_refused(dealing, encrypted):
    with pytest.raises(CryptoError, match="context of a decryption is empty"):
        dealing.shares[0].partials(encrypted, ctx=b"")


def test_progress_is_told_in_chunks_and_threads_change_nothing(dealing, private):
    many = Encryptor(private.public_key, window=4).encrypt(list(range(70)))
    told = []
    two = dealing.shares[0].partials(many, ctx=CTX, threads=2, progress=lambda *done: told.append(done))
    assert told == [(64, 70), (70, 70)]
    assert two.values == dealing.shares[0].partials(many, ctx=CTX, threads=1).values
    two.verify(many, ctx=CTX, threads=2)
    two.verify(many, ctx=CTX, threads=1)
