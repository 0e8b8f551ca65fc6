from __future__ import annotations

import hashlib
import math
import os
import pickle
import threading

import gmpy2
import numpy as np
import pytest

from securefl.errors import CryptoError, EncodingError, SecretMisuseError
from securefl.paillier import Ciphertexts, Encryptor, MaskPool, Masks, PrivateKey, PublicKey, Randomness
from securefl.paillier import encryptor as encryptor_module
from securefl.paillier import threads as threads_module
from securefl.paillier.fixed_base import FixedBase
from securefl.paillier.masks import SHORT_BITS, generator
from securefl.paillier.threads import share_out

MODES = list(Randomness)


class Script:
    """A random source that gives what it is told, and counts."""

    def __init__(self, *values):
        self.values = list(values)
        self.bits = []

    def below(self, bound):
        return self.values.pop(0)

    def token(self, size):
        self.bits.append(8 * size)
        return self.values.pop(0).to_bytes(size, "big")


@pytest.mark.parametrize("holder", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("threads", [1, 2, None])
def test_every_way_of_encrypting_decrypts(key, mode, holder, threads):
    encryptor = Encryptor(key.public_key, mode, window=4, private_key=key if holder else None)
    largest = key.public_key.max_plaintext
    plaintexts = [0, 1, -1, 12345, largest, -largest, largest - 1]
    encrypted = encryptor.encrypt(plaintexts, threads=threads)
    assert key.decrypt(encrypted, threads=threads) == plaintexts
    assert all(type(m) is int for m in key.decrypt(encrypted))
    assert Ciphertexts.from_bytes(encrypted.to_bytes(), key=key.public_key, count=7).values == encrypted.values


@pytest.mark.parametrize("mode", MODES)
def test_no_two_ciphertexts_are_alike(key, mode):
    encryptor = Encryptor(key.public_key, mode, window=4)
    values = encryptor.encrypt([7] * 40).values + encryptor.encrypt([7] * 40).values
    assert len(set(values)) == 80


def test_djn_is_the_default_and_its_exponents_have_half_the_bits_of_n(key):
    assert Encryptor(key.public_key).randomness is Randomness.DJN
    source = Script(5)
    assert Masks(key.public_key, window=4, random=source).draw(1) == [power(key, 5)]
    assert source.bits == [256]


def power(key, e):
    n = int(key.public_key.n)
    return pow(int(generator(key.public_key)), n * e, n * n)


@pytest.mark.parametrize("bits", [1024])
def test_short_exponents_have_448_bits(bits):
    key = PrivateKey.generate(bits, insecure_size_for_tests=True)
    source = Script((1 << 448) - 1)
    for holder in (None, key):
        source = Script((1 << 448) - 1)
        masks = Masks(key.public_key, "short", window=3, random=source, private_key=holder)
        assert masks.draw(1) == [power(key, (1 << 448) - 1)]
        assert source.bits == [SHORT_BITS]


def test_each_mode_names_its_assumption():
    assert len({mode.assumption for mode in MODES}) == 3
    assert "short-exponent" in Randomness.SHORT.assumption
    assert "factoring" in Randomness.DJN.assumption


def test_everybody_derives_the_same_generator_of_jacobi_symbol_one(key):
    n = int(key.public_key.n)
    stream = hashlib.shake_256(b"securefl/h" + n.to_bytes(64, "big")).digest(64 + 32)
    x = int.from_bytes(stream, "big") % n
    h = int(generator(key.public_key))
    assert h == -x * x % n
    assert gmpy2.jacobi(h, n) == 1
    assert all(gmpy2.legendre(h, prime) == -1 for prime in key.primes)  # so it is no square


def test_a_modulus_whose_hash_finds_a_factor_is_refused(key, monkeypatch):
    p, _ = key.primes
    monkeypatch.setattr("securefl.paillier.masks.shake256", lambda size, *_: (5 * p).to_bytes(size, "big"))
    with pytest.raises(CryptoError, match="factor that its own hash finds"):
        Encryptor(key.public_key).encrypt([1])


def test_a_fixed_base_needs_a_key_made_for_it(key):
    imported = PublicKey(int(key.public_key.n), insecure_size_for_tests=True)
    for mode in ("djn", "short"):
        with pytest.raises(CryptoError, match="not known to be 3 modulo 4"):
            Encryptor(imported, mode)
    Encryptor(imported, "standard").encrypt([1])


def test_wrong_arguments_are_refused(key, other):
    with pytest.raises(ValueError, match="fast"):
        Encryptor(key.public_key, "fast")
    with pytest.raises(CryptoError, match="private key is not the one"):
        Encryptor(key.public_key, private_key=other)
    with pytest.raises(ValueError, match="window has 13 bits"):
        Encryptor(key.public_key, window=13).prepare()
    with pytest.raises(ValueError, match="pool of -1"):
        Encryptor(key.public_key, pool=-1)
    with pytest.raises(ValueError, match="number of threads is 0"):
        Encryptor(key.public_key, window=4).encrypt([1], threads=0)


@pytest.mark.parametrize("window", [1, 3, 8, 10])
def test_tables_give_powers(window):
    modulus = (1 << 200) + 235
    table = FixedBase(3, modulus, bits=77, window=window)
    for exponent in (0, 1, 2, (1 << 77) - 1, 0x1555_5555_5555_5555_5555):
        assert table.power(exponent) == pow(3, exponent, modulus)
    assert repr(table) == "<FixedBase: redacted>"


@pytest.mark.parametrize("pool", [0, 5])
def test_rerandomising_changes_every_ciphertext_and_no_plaintext(key, pool):
    with Encryptor(key.public_key, window=4, pool=pool) as encryptor:
        before = encryptor.encrypt([1, -2, 3])
        after = encryptor.rerandomise(before)
    assert not set(before.values) & set(after.values)
    assert key.decrypt(after) == [1, -2, 3]


def test_rerandomising_needs_the_key(key, other, encryptor):
    with pytest.raises(CryptoError, match="under key"):
        encryptor.rerandomise(Encryptor(other.public_key, window=4).encrypt([1]))


def test_progress_is_told_and_chunks_bound_the_memory(key, encryptor, monkeypatch):
    monkeypatch.setattr(encryptor_module, "CHUNK", 4)
    monkeypatch.setattr(threads_module, "CHUNK", 4)
    told = []
    encrypted = encryptor.encrypt(list(range(10)), progress=lambda *args: told.append(args))
    assert told == [(4, 10), (8, 10), (10, 10)]
    told.clear()
    assert key.decrypt(encrypted, progress=lambda *args: told.append(args)) == list(range(10))
    assert told == [(4, 10), (8, 10), (10, 10)]

    taken = []

    def endless():
        for m in range(10**9):
            taken.append(m)
            yield m

    chunks = encryptor.encrypt_chunks(endless())
    first, second = next(chunks), next(chunks)
    assert taken == list(range(8))
    assert key.decrypt(first) + key.decrypt(second) == list(range(8))


def test_nothing_is_encrypted_when_one_plaintext_is_beyond_the_bound(key):
    source = Script()
    encryptor = Encryptor(key.public_key, window=4, random=source)
    too_large = key.public_key.max_plaintext + 1
    for bad in (too_large, -too_large):
        with pytest.raises(EncodingError, match="plaintext 2 is beyond"):
            encryptor.encrypt([0, 1, bad])
    assert source.bits == []
    with pytest.raises(EncodingError, match="plaintext 0 is beyond"):
        list(encryptor.encrypt_chunks([too_large]))


def test_work_is_shared_out_in_order_and_errors_come_through():
    assert share_out(lambda run: [2 * i for i in run], range(11), 3) == [2 * i for i in range(11)]
    assert share_out(lambda run: [2 * i for i in run], range(0), 3) == []
    seen = set()
    share_out(lambda run: [seen.add(threading.get_ident()) for _ in run], range(2), 2)
    assert threading.get_ident() not in seen
    with pytest.raises(ZeroDivisionError):
        share_out(lambda run: [1 // i for i in run], range(4), 2)


class TestPool:
    def test_every_mask_leaves_it_once(self, key):
        masks = Masks(key.public_key, window=4)
        with MaskPool(masks, 50, threads=2) as pool:
            assert pool.wait_until(50, 60)
            assert len(pool) == 50
            taken = []
            takers = [
                threading.Thread(target=lambda: taken.extend(m for _ in range(10) for m in pool.take(7)))
                for _ in range(3)
            ]
            for taker in takers:
                taker.start()
            for taker in takers:
                taker.join()
            assert pool.wait_until(50, 60)  # it is filled again
            taken += pool.take(50)
        assert len(taken) == len(set(taken)) == 260

    def test_what_is_taken_is_no_longer_there(self, key):
        with MaskPool(Masks(key.public_key, window=4), 3) as pool:
            pool.wait_until(3, 60)
            stored = set(pool._stored)
            assert set(pool.take(3)) == stored
            assert not stored & set(pool._stored)

    def test_a_forked_process_does_not_use_its_parents_masks(self, key, monkeypatch):
        pool = MaskPool(Masks(key.public_key, window=4), 5)
        try:
            assert pool.wait_until(5, 60)
            stored = set(pool._stored)
            here = os.getpid()
            monkeypatch.setattr(os, "getpid", lambda: here + 1)
            assert len(pool) == 0
            assert not stored & set(pool.take(5))
            monkeypatch.undo()
        finally:
            pool.close()

    def test_a_closed_pool_is_empty_and_gives_nothing(self, key):
        pool = MaskPool(Masks(key.public_key, window=4), 5)
        pool.wait_until(5, 60)
        pool.close()
        pool.close()
        assert len(pool) == 0
        with pytest.raises(SecretMisuseError, match="closed"):
            pool.take(1)

    def test_an_error_in_the_background_is_heard_in_front(self, key):
        with MaskPool(Masks(key.public_key, window=13), 5) as pool:
            assert not pool.wait_until(5, 60)
            with pytest.raises(ValueError, match="window has 13 bits"):
                pool.take(1)

    def test_encryption_uses_it(self, key):
        with Encryptor(key.public_key, window=4, pool=8, pool_threads=2) as encryptor:
            assert encryptor.pool.wait_until(100, 60)
            assert key.decrypt(encryptor.encrypt(list(range(20)))) == list(range(20))


def test_nothing_with_masks_or_keys_in_it_can_be_pickled(key, encryptor):
    masks = Masks(key.public_key, window=4)
    with MaskPool(masks, 1) as pool:
        for secret in (encryptor, masks, pool, FixedBase(3, 7, bits=2, window=1)):
            assert "redacted" in repr(secret)
            with pytest.raises(SecretMisuseError):
                pickle.dumps(secret)


class TestCiphertexts:
    def test_what_is_none_is_refused_by_its_index(self, key):
        n = int(key.public_key.n)
        p, _ = key.primes
        for bad in (0, -1, n * n, n * n + 1, 1.5, np.int64(5), "7", True):
            with pytest.raises(CryptoError, match=r"ciphertext 1 is no integer in 1\.\.n\^2"):
                Ciphertexts(key.public_key, [5, bad])
        for bad in (n, p, 7 * p * p):
            with pytest.raises(CryptoError, match="ciphertext 2 has a factor in common"):
                Ciphertexts(key.public_key, [5, 6, bad, 8])
        Ciphertexts(key.public_key, [1, n * n - 1])

    def test_bytes_are_checked_before_they_are_read(self, key, other, encryptor):
        public, encrypted = key.public_key, encryptor.encrypt([1, 2])
        data = encrypted.to_bytes()
        assert len(data) == 32 + 2 * public.ciphertext_bytes
        assert Ciphertexts.from_bytes(memoryview(data), key=public, count=2).values == encrypted.values
        for count, bad in ((1, data), (3, data), (2, data + b"\0"), (2, data[:-1]), (0, data), (2, b"")):
            with pytest.raises(CryptoError, match="came"):
                Ciphertexts.from_bytes(bad, key=public, count=count)
        with pytest.raises(CryptoError, match="key of another id"):
            Ciphertexts.from_bytes(data, key=other.public_key, count=2)
        with pytest.raises(CryptoError, match="ciphertext 1 is no integer"):
            Ciphertexts.from_bytes(data[:-128] + b"\xff" * 128, key=public, count=2)

    def test_different_keys_and_lengths_are_not_added(self, other, encryptor):
        mine, theirs = encryptor.encrypt([1, 2]), Encryptor(other.public_key, window=4).encrypt([1, 2])
        for add in (lambda a, b: a + b, lambda a, b: Ciphertexts.total([a, b])):
            with pytest.raises(CryptoError, match="under key"):
                add(mine, theirs)
            with pytest.raises(CryptoError, match="1 ciphertexts added to 2"):
                add(mine, mine[:1])
        with pytest.raises(CryptoError, match="no ciphertexts to add"):
            Ciphertexts.total([])

    @pytest.mark.parametrize("threads", [1, 2])
    def test_sums_of_many(self, key, encryptor, threads):
        vectors = [encryptor.encrypt([i, -i, 100]) for i in range(9)]
        assert key.decrypt(Ciphertexts.total(vectors, threads=threads)) == [36, -36, 900]

    def test_factors_are_python_integers_within_the_bound(self, key, encryptor):
        one = encryptor.encrypt([3])
        largest = key.public_key.max_plaintext
        for bad in (2.0, np.int64(2), True, largest + 1, -largest - 1):
            with pytest.raises(CryptoError, match="factor"):
                one.scaled(bad)
        assert key.decrypt(one.scaled(-7)) == [-21]
        assert key.decrypt(one.scaled(0)) == [0]

    def test_it_shows_no_values(self, encryptor):
        encrypted = encryptor.encrypt([1, 2])
        assert len(encrypted) == 2
        assert str(encrypted.values[0]) not in repr(encrypted)
        assert "2 under <PublicKey" in repr(encrypted)


def test_ciphertexts_follow_papers_formula(key):
    n, r = int(key.public_key.n), 12_345
    encryptor = Encryptor(key.public_key, "standard", random=Script(r - 1, r - 1))
    plain, negative = encryptor.encrypt([7, -7], threads=1).values
    assert plain == pow(n + 1, 7, n * n) * pow(r, n, n * n) % (n * n)
    assert negative == pow(n + 1, n - 7, n * n) * pow(r, n, n * n) % (n * n)
    assert math.gcd(int(plain), n) == 1
