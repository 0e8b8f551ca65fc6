"""Both ways between phe and us: keys, ciphertexts, and sums that both have a part in."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("phe", reason="the phe extra is not installed")

import phe

from securefl.errors import CryptoError
from securefl.paillier import Ciphertexts, Encryptor, SlotLayout
from securefl.paillier.jwk import private_from_jwk, private_to_jwk_in_clear, public_from_jwk, public_to_jwk
from securefl.paillier.phe_adapter import (
    from_phe,
    private_from_phe,
    private_to_phe,
    public_from_phe,
    public_to_phe,
    to_phe,
)

TEST = {"insecure_size_for_tests": True}


@pytest.fixture(scope="module")
def theirs():
    return phe.generate_paillier_keypair(n_length=512)


def jwk_of(public, private):
    """As `pheutil genpkey` writes it."""
    encode = phe.util.int_to_base64
    pub = {"kty": "DAJ", "alg": "PAI-GN1", "key_ops": ["encrypt"], "n": encode(public.n), "kid": "made by pheutil"}
    return json.dumps({
        "kty": "DAJ", "key_ops": ["decrypt"], "p": encode(private.p), "q": encode(private.q), "pub": pub, "kid": "x",
    })  # fmt: skip


def test_keys_cross_both_ways(key, theirs):
    public, private = theirs
    assert public_from_phe(public, **TEST).n == public.n
    assert set(private_from_phe(private, **TEST).primes) == {private.p, private.q}
    assert public_to_phe(key.public_key).n == key.public_key.n
    assert private_to_phe(key).public_key.n == key.public_key.n
    imported = private_from_jwk(jwk_of(public, private), **TEST)
    assert set(imported.primes) == {private.p, private.q}
    assert public_from_jwk(json.dumps(json.loads(jwk_of(public, private))["pub"]), **TEST).n == public.n


def test_phe_reads_our_jwk(key):
    decode = phe.util.base64_to_int
    assert decode(json.loads(public_to_jwk(key.public_key))["n"]) == key.public_key.n
    fields = json.loads(private_to_jwk_in_clear(key))
    assert (decode(fields["p"]), decode(fields["q"])) == key.primes


def test_phe_decrypts_what_we_encrypt(key, encryptor):
    values = [0, 1, -1, 123_456_789, -(2**200)]
    private = private_to_phe(key)
    assert [private.decrypt(number) for number in to_phe(encryptor.encrypt(values))] == values
    assert private.decrypt(to_phe(encryptor.encrypt([-3]), exponent=-1)[0]) == -3 / 16


def test_we_decrypt_what_phe_encrypts(theirs):
    public, private = theirs
    ours = private_from_phe(private, **TEST)
    values = [0, 1, -1, 123_456_789, -(2**200)]
    encrypted, exponent = from_phe([public.encrypt(v) for v in values], ours.public_key)
    assert exponent == 0
    assert ours.decrypt(encrypted) == values
    fixed = [public.encrypt(v, precision=16.0**-8) for v in (0.5, -1.25)]
    encrypted, exponent = from_phe(fixed, ours.public_key)
    assert [m * 16.0**exponent for m in ours.decrypt(encrypted)] == [0.5, -1.25]


def test_sums_may_have_summands_of_both(theirs):
    public, private = theirs
    ours = private_from_phe(private, **TEST)
    mine = Encryptor(ours.public_key, "standard").encrypt([40])
    encrypted, _ = from_phe([public.encrypt(2)], ours.public_key)
    assert ours.decrypt(mine + encrypted) == [42]
    assert private.decrypt(to_phe(mine)[0] + public.encrypt(2)) == 42


def test_our_packed_sums_are_phes_sums_of_each_coordinate(key, encryptor):
    layout = SlotLayout(512, 3, 100)
    vectors = [np.array([1, -100, 7]), np.array([100, -100, 0]), np.array([-3, 5, 99])]
    packed = Ciphertexts.total([encryptor.encrypt(layout.pack(v)) for v in vectors])
    public, private = public_to_phe(key.public_key), private_to_phe(key)
    each = [
        sum((public.encrypt(int(v)) for v in column[1:]), public.encrypt(int(column[0])))
        for column in zip(*vectors, strict=True)
    ]
    assert layout.unpack(key.decrypt(packed), 3, vectors=3).tolist() == [private.decrypt(number) for number in each]


def test_exponents_that_depend_on_the_values_are_refused(theirs):
    public, private = theirs
    key = private_from_phe(private, **TEST).public_key
    with pytest.raises(CryptoError, match="2 different exponents"):
        from_phe([public.encrypt(1.0), public.encrypt(1e-9)], key)
    with pytest.raises(CryptoError, match="0 numbers of 0"):
        from_phe([], key)


def test_numbers_under_another_key_are_refused(key, theirs):
    public, _ = theirs
    with pytest.raises(CryptoError, match="under another key"):
        from_phe([public.encrypt(1)], key.public_key)


def test_sums_of_phe_are_rerandomised_on_their_way_in(theirs):
    public, private = theirs
    key = private_from_phe(private, **TEST).public_key
    number = public.encrypt(1) + 5
    bare = number.ciphertext(be_secure=False)
    encrypted, _ = from_phe([number], key)
    assert encrypted.values[0] != bare


def test_small_keys_of_phe_are_refused(theirs):
    public, private = theirs
    with pytest.raises(CryptoError, match="512 bits, needs"):
        public_from_phe(public)
    with pytest.raises(CryptoError, match="512 bits, needs"):
        private_from_phe(private)
