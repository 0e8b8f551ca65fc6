"""The traps that other Paillier libraries and frameworks fell into (paillier.md, Traps), one test each."""

from __future__ import annotations

import ast
import pickle
import random
from pathlib import Path

import numpy as np
import pytest

import securefl.paillier
from securefl.errors import CryptoError, EncodingError, SecretMisuseError
from securefl.paillier import Ciphertexts, Encryptor, Masks, PrivateKey, SlotLayout

SOURCES = {
    path.stem: ast.parse(path.read_text(encoding="utf-8"))
    for path in Path(securefl.paillier.__file__).parent.glob("*.py")
}


def test_numpy_integers_do_not_overflow_in_silence(key, encryptor):
    with pytest.raises(EncodingError, match="plaintext 0 is a int64"):
        encryptor.encrypt([np.int64(2**62)])
    with pytest.raises(EncodingError, match="plaintext 0 is a float"):
        encryptor.encrypt([1.0])
    layout = SlotLayout(512, 3, 2**59)
    vector = np.full(4, 2**59)
    total = Ciphertexts.total([encryptor.encrypt(layout.pack(vector))] * 3)
    assert layout.unpack(key.decrypt(total), 4, vectors=3).tolist() == [3 * 2**59] * 4


def test_an_r_that_is_not_coprime_to_n_is_drawn_again(key):
    p, q = key.primes

    class Source:
        def __init__(self):
            self.draws = [p - 1, 5 * q - 1, 41]  # `below` is one less than r

        def below(self, bound):
            return self.draws.pop(0)

    source = Source()
    (mask,) = Masks(key.public_key, "standard", random=source).draw(1)
    n = p * q
    assert mask == pow(42, n, n * n)
    assert source.draws == []


def test_negative_numbers_take_the_way_of_positive_ones(key):
    calls = []

    class Source:
        def token(self, size):
            calls.append(size)
            return bytes(size - 1) + b"\1"

    one = Encryptor(key.public_key, window=4, random=Source())
    n = int(key.public_key.n)
    negative, positive = one.encrypt([-5], threads=1), one.encrypt([5], threads=1)
    mask = pow(int(securefl.paillier.masks.generator(key.public_key)), n, n * n)
    assert positive.values[0] == (1 + 5 * n) * mask % (n * n)
    assert negative.values[0] == (1 + (n - 5) * n) * mask % (n * n)
    assert calls == [32, 32]


def test_nothing_has_an_exponent_that_could_grow_or_be_seen(encryptor):
    encrypted = encryptor.encrypt([1])
    assert set(Ciphertexts.__slots__) == {"key", "values"}
    total = encrypted
    for _ in range(50):
        total = total + encrypted
    assert len(total.to_bytes()) == len(encrypted.to_bytes())


def test_weights_travel_encrypted_in_a_slot_of_their_own(key, encryptor):
    layout = SlotLayout(512, 3, 100, max_weight=50)
    updates, weights = [np.array([10, -20]), np.array([30, 40]), np.array([-100, 100])], [1, 50, 7]
    sent = [
        encryptor.encrypt(layout.pack(np.append(w * update, w))) for w, update in zip(weights, updates, strict=True)
    ]
    *total, weight = layout.unpack(key.decrypt(Ciphertexts.total(sent)), 3, vectors=3).tolist()
    assert weight == 58
    assert total == [10 + 1500 - 700, -20 + 2000 + 700]


def test_parties_on_different_keys_are_told(key, other):
    mine = Encryptor(key.public_key, window=4).encrypt([1])
    theirs = Encryptor(other.public_key, window=4).encrypt([1])
    with pytest.raises(CryptoError, match="under key"):
        Ciphertexts.total([mine, theirs])
    with pytest.raises(CryptoError, match="another id"):
        Ciphertexts.from_bytes(theirs.to_bytes(), key=key.public_key, count=1)


def test_the_secret_key_does_not_travel(key):
    p, q = (prime.to_bytes(32, "big") for prime in key.primes)
    holder = Encryptor(key.public_key, window=4, private_key=key)
    for travels in (key.public_key.to_bytes(), holder.encrypt([1]).to_bytes(), pickle.dumps(key.public_key)):
        for prime in (p, q, p[::-1], q[::-1]):
            assert prime not in travels
    for secret in (key, holder):
        with pytest.raises(SecretMisuseError):
            pickle.dumps(secret)
    for public in ("to_bytes", "from_bytes"):
        assert "password" in getattr(PrivateKey, public).__annotations__


def test_no_other_randomness_than_the_operating_systems(key, monkeypatch):
    imported = {
        name
        for tree in SOURCES.values()
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not {name.partition(".")[0] for name in imported} & {"random", "secrets"}
    attributes = {node.attr for tree in SOURCES.values() for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not attributes & {"default_rng", "urandom", "random_state", "mpz_random", "mpz_urandomb", "getrandbits"}

    values = set()
    for _ in range(2):
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        for mode in ("standard", "djn", "short"):
            values |= set(Encryptor(key.public_key, mode, window=4).encrypt([1]).values)
        values.add(PrivateKey.generate(256, insecure_size_for_tests=True).primes)
    assert len(values) == 8


def test_a_list_of_ciphertexts_is_as_long_as_the_plan_says(key, encryptor):
    data = encryptor.encrypt([1] * 5).to_bytes()
    with pytest.raises(CryptoError, match="4 ciphertexts under a key of 512 bits take"):
        Ciphertexts.from_bytes(data, key=key.public_key, count=4)


def test_only_checked_ciphertexts_of_the_own_key_are_decrypted(key, other):
    n, (p, _) = int(key.public_key.n), key.primes
    for probe in (0, n * n, p, n):
        with pytest.raises(CryptoError):
            Ciphertexts(key.public_key, [probe])
    with pytest.raises(CryptoError, match="under key"):
        key.decrypt(Encryptor(other.public_key, window=4).encrypt([1]))
