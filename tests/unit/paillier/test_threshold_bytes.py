from __future__ import annotations

import copy
import dataclasses
import pickle

import msgspec
import pytest

from securefl.crypto.password import open_with_password, seal_with_password
from securefl.crypto.signing import SigningKey
from securefl.errors import CryptoError, SecretMisuseError
from securefl.paillier import Encryptor
from securefl.paillier.threshold import KeyShare, Partials, VerificationKeys, WrongPartialError, deal, safe_private_key

TEST = {"insecure_size_for_tests": True}
CTX = b"ctx"
PURPOSE = b"securefl paillier threshold share"
pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode


@pytest.fixture(scope="module")
def private():
    return safe_private_key(512, **TEST)


@pytest.fixture(scope="module")
def dealer():
    return SigningKey.generate()


@pytest.fixture(scope="module")
def dealing(private, dealer):
    return deal(private, ("Ann", "Bob", "Cem"), threshold=2, dealer=dealer)


@pytest.fixture(scope="module")
def partials(dealing, private):
    encrypted = Encryptor(private.public_key, window=4).encrypt([1, 2, 3])
    return dealing.shares[1].partials(encrypted, ctx=CTX)


def replaced(data, **fields):
    """The message with some of its fields changed, by their places: `_3` is the fourth."""
    message = unpack(data)
    for place, value in fields.items():
        message[int(place[1:])] = value(message[int(place[1:])])
    return pack(message)


def with_a_wider_length(data):
    """Of the challenge, found by its bytes: in the residues before it a header's two bytes come in one message of 200."""
    challenge = unpack(data)[4]
    return data.replace(b"\xc4\x10" + challenge, b"\xc5\x00\x10" + challenge)


def longer(data):
    return data + b"\0"


def shorter(data):
    return data[:-1]


def test_partials_come_back_from_their_bytes(dealing, partials):
    data = partials.to_bytes()
    again = Partials.from_bytes(data, keys=dealing.keys, party=1, count=3)
    assert again.values == partials.values
    assert again.proof == partials.proof
    assert again.party == 1
    assert again.to_bytes() == data
    assert len(data) < 3 * 128 + 128 + 4 * 64


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda d: b"", "does not parse"),
        (lambda d: b"\xc0", "does not parse"),
        (longer, "does not parse|not in canonical form"),
        (shorter, "does not parse"),
        (lambda d: d + bytes(1000), "at most"),
        (lambda d: replaced(d, _0=lambda v: 2), "does not parse"),
        (lambda d: replaced(d, _0=lambda v: 0), "does not parse"),
        (lambda d: replaced(d, _1=shorter), "does not parse"),
        (lambda d: replaced(d, _1=lambda v: bytes(32)), "of another dealing"),
        (lambda d: replaced(d, _2=lambda v: 0), "claim to be party 0's"),
        (lambda d: replaced(d, _2=lambda v: -1), "claim to be party -1's"),
        (lambda d: replaced(d, _3=longer), "3 residues modulo n.2 take 384 bytes, came 385"),
        (lambda d: replaced(d, _3=shorter), "came 383"),
        (lambda d: replaced(d, _3=lambda v: v[128:]), "came 256"),
        (lambda d: replaced(d, _3=lambda v: v + v[:128]), "at most"),
        (lambda d: replaced(d, _4=longer), "does not parse"),
        (lambda d: replaced(d, _4=shorter), "does not parse"),
        (lambda d: replaced(d, _5=longer), "a response of"),
        (lambda d: replaced(d, _5=shorter), "a response of"),
        (lambda d: pack([*unpack(d), 1]), "does not parse"),
        (lambda d: pack(unpack(d)[:-1]), "does not parse"),
        (with_a_wider_length, "not in canonical form"),
    ],
)
def test_partials_that_are_not_canonical_are_refused_and_their_sender_named(dealing, partials, change, match):
    with pytest.raises(WrongPartialError, match=match) as caught:
        Partials.from_bytes(change(partials.to_bytes()), keys=dealing.keys, party=1, count=3)
    assert (caught.value.party, caught.value.suspects) == (1, ("Bob",))


@pytest.mark.parametrize("place", [0, 2])
def test_values_that_are_no_units_are_refused_by_their_place(dealing, private, partials, place):
    p, q = private.primes
    squared = (p * q) ** 2
    for wrong in (0, squared, squared + 1, 2**1024 - 1, p, q * q, p * q, 7 * p):
        encoded = wrong.to_bytes(128, "big")
        data = replaced(partials.to_bytes(), _3=lambda v, e=encoded: v[: 128 * place] + e + v[128 * (place + 1) :])
        with pytest.raises(WrongPartialError, match=rf"party 1 \('Bob'\): number {place} is no unit"):
            Partials.from_bytes(data, keys=dealing.keys, party=1, count=3)


@pytest.mark.parametrize("wrong", [-1, -(2**512), 0])
def test_values_below_1_are_refused(dealing, partials, wrong):
    with pytest.raises(WrongPartialError, match="number 1 is no unit"):
        Partials(dealing.keys, 1, [partials.values[0], wrong, partials.values[2]], partials.proof)


def test_verification_keys_come_back_from_their_bytes(dealing, dealer):
    keys = dealing.keys
    again = VerificationKeys.from_bytes(keys.to_bytes(), dealer=dealer.verify_key, **TEST)
    assert again.to_bytes() == keys.to_bytes()
    assert (again.key, again.threshold, again.names, again.values) == (keys.key, 2, ("Ann", "Bob", "Cem"), keys.values)
    assert again.dealing_id == keys.dealing_id
    assert "2 of 3, trusted dealer" in repr(again)


def test_verification_keys_under_a_small_modulus_are_refused(dealing, dealer):
    with pytest.raises(CryptoError, match="512 bits, needs"):
        VerificationKeys.from_bytes(dealing.keys.to_bytes(), dealer=dealer.verify_key)


def test_verification_keys_of_another_dealer_are_refused(dealing, dealer):
    keys, mallory = dealing.keys, SigningKey.generate()
    forged = VerificationKeys.signed(keys.key, 2, keys.names, keys.values, dealer=mallory).to_bytes()
    assert unpack(forged)[:5] == unpack(keys.to_bytes())[:5]
    assert VerificationKeys.from_bytes(forged, dealer=mallory.verify_key, **TEST).dealing_id != keys.dealing_id
    renamed = replaced(forged, _5=lambda v: dealer.verify_key)
    for data, match in ((forged, "another dealer than"), (renamed, "signature is not the one")):
        with pytest.raises(CryptoError, match=match):
            VerificationKeys.from_bytes(data, dealer=dealer.verify_key, **TEST)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda d: b"", "no verification keys"),
        (longer, "no verification keys"),
        (shorter, "no verification keys"),
        (lambda d: bytes(1 << 22), "no verification keys"),
        (lambda d: replaced(d, _0=lambda v: 2), "no verification keys"),
        (lambda d: replaced(d, _1=shorter), "Paillier public key"),
        (lambda d: replaced(d, _1=lambda v: v[:-1] + bytes([v[-1] ^ 2])), "signature is not|modulus"),
        (lambda d: replaced(d, _1=lambda v: v[:25] + b"\0" + v[26:]), "signature is not"),
        (lambda d: replaced(d, _2=lambda v: 1), "threshold of 1"),
        (lambda d: replaced(d, _2=lambda v: 3), "signature is not"),
        (lambda d: replaced(d, _2=lambda v: 4), "threshold of 4"),
        (lambda d: replaced(d, _3=lambda v: v[::-1]), "signature is not"),
        (lambda d: replaced(d, _3=lambda v: v[:2]), "2 residues"),
        (lambda d: replaced(d, _3=lambda v: ["Ann", "Ann", "Cem"]), "two parties have one name"),
        (lambda d: replaced(d, _4=lambda v: v[128:256] + v[:128] + v[256:]), "signature is not"),
        (lambda d: replaced(d, _4=longer), "385"),
        (lambda d: replaced(d, _4=shorter), "383"),
        (lambda d: replaced(d, _4=lambda v: bytes(128) + v[128:]), "'Ann' is no unit"),
        (lambda d: replaced(d, _4=lambda v: v[:256] + b"\xff" * 128), "'Cem' is no unit"),
        (lambda d: replaced(d, _5=shorter), "another dealer"),
        (lambda d: replaced(d, _6=shorter), "signature has 63 bytes"),
        (lambda d: replaced(d, _6=lambda v: v[:-1] + bytes([v[-1] ^ 1])), "signature is not"),
    ],
)
def test_altered_verification_keys_are_refused(dealing, dealer, change, match):
    with pytest.raises(CryptoError, match=match):
        VerificationKeys.from_bytes(change(dealing.keys.to_bytes()), dealer=dealer.verify_key, **TEST)


def test_as_many_values_as_names_are_needed(dealing, dealer):
    keys = dealing.keys
    with pytest.raises(CryptoError, match="2 verification keys for 3 parties"):
        VerificationKeys.signed(keys.key, 2, keys.names, keys.values[:2], dealer=dealer)


def test_sealed_shares_come_back_and_keep_their_secret(dealing):
    share = dealing.shares[2]
    data = share.to_bytes("correct horse")
    assert int(share._share).to_bytes(128, "big") not in data
    again = KeyShare.from_bytes(data, "correct horse", keys=dealing.keys)
    assert again._share == share._share
    assert again.party == 2
    for bad, password in ((data, "wrong"), (data[:-1] + bytes([data[-1] ^ 1]), "correct horse")):
        with pytest.raises(CryptoError, match="wrong password"):
            KeyShare.from_bytes(bad, password, keys=dealing.keys)
    with pytest.raises(CryptoError, match="password is empty"):
        share.to_bytes("")


def test_shares_sealed_for_something_else_or_altered_inside_are_refused(dealing, private):
    keys, data = dealing.keys, dealing.shares[2].to_bytes("pw")
    with pytest.raises(CryptoError, match="another purpose"):
        KeyShare.from_bytes(seal_with_password(b"x", "pw", purpose=b"snapshot"), "pw", keys=keys)
    with pytest.raises(CryptoError, match="another purpose"):
        KeyShare.from_bytes(private.to_bytes("pw"), "pw", keys=keys)
    plain = open_with_password(data, "pw", purpose=PURPOSE)
    for bad, match in (
        (b"", "no share of a threshold key"),
        (longer(plain), "no share of a threshold key"),
        (shorter(plain), "no share of a threshold key"),
        (replaced(plain, _0=lambda v: 2), "no share of a threshold key"),
        (replaced(plain, _1=lambda v: bytes(32)), "another dealing"),
        (replaced(plain, _2=lambda v: 3), "no party has index 3"),
        (replaced(plain, _2=lambda v: 1), "Bob"),
        (replaced(plain, _3=lambda v: b"\0" + v), "a share of 129 bytes"),
        (replaced(plain, _3=lambda v: v[:-1] + bytes([v[-1] ^ 1])), "Cem"),
    ):
        with pytest.raises(CryptoError, match=match):
            KeyShare.from_bytes(seal_with_password(bad, "pw", purpose=PURPOSE), "pw", keys=keys)


def test_a_share_serves_its_own_dealing_only(private, dealing, dealer):
    again = deal(private, dealing.keys.names, threshold=2, dealer=dealer)
    with pytest.raises(CryptoError, match="another dealing"):
        KeyShare.from_bytes(dealing.shares[0].to_bytes("pw"), "pw", keys=again.keys)


def test_shares_and_dealings_show_nothing_of_themselves(dealing):
    secrets = [str(int(share._share)) for share in dealing.shares]
    for holder in (*dealing.shares, dealing):
        for shown in (repr(holder), str(holder), f"{holder}", f"{[holder]}"):
            assert "redacted" in shown
            assert not any(secret in shown for secret in secrets)
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(SecretMisuseError):
                attempt(holder)
    with pytest.raises(SecretMisuseError):
        dataclasses.asdict(dealing)


def test_what_goes_wrong_with_a_share_does_not_show_it(dealing):
    share = int(dealing.shares[0]._share)
    with pytest.raises(CryptoError) as caught:
        KeyShare(dealing.keys, 1, share)
    assert str(share) not in str(caught.value)


def test_partials_and_keys_say_what_they_are(partials):
    assert repr(partials) == "<Partials: 3 of party 1 ('Bob')>"
    assert len(partials) == 3
