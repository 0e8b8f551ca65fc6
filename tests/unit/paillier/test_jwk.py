from __future__ import annotations

import json

import pytest

from securefl.errors import CryptoError
from securefl.paillier import Encryptor, PublicKey
from securefl.paillier.jwk import private_from_jwk, private_to_jwk_in_clear, public_from_jwk, public_to_jwk

TEST = {"insecure_size_for_tests": True}


def test_keys_come_back_for_standard_randomness_only(key):
    public = public_from_jwk(public_to_jwk(key.public_key), **TEST)
    private = private_from_jwk(private_to_jwk_in_clear(key), **TEST)
    assert public.n == key.public_key.n
    assert private.primes == key.primes
    assert private.public_key == public
    assert not public.blum
    with pytest.raises(CryptoError, match="standard"):
        Encryptor(public)
    assert private.decrypt(Encryptor(public, "standard").encrypt([-3])) == [-3]


def test_the_form_is_phes(key):
    public = json.loads(public_to_jwk(key.public_key))
    private = json.loads(private_to_jwk_in_clear(key))
    assert {name: public[name] for name in ("kty", "alg", "key_ops")} == {
        "kty": "DAJ",
        "alg": "PAI-GN1",
        "key_ops": ["encrypt"],
    }
    assert set(public) == {"kty", "alg", "key_ops", "n", "kid"}
    assert set(private) == {"kty", "key_ops", "p", "q", "pub", "kid"}
    assert private["pub"] == public
    assert not {"p", "q"} & set(public)
    assert "=" not in public["n"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"kty": "RSA"}, "no Paillier key"),
        ({"key_ops": ["encrypt"]}, "no private key"),
        ({"key_ops": None}, "no private key"),
        ({"p": 7}, "field p"),
        ({"p": "A" * 5000}, "field p"),
        ({"p": "*?"}, "no base64url"),
        ({"p": "AQ"}, "not those of its modulus"),
        ({"pub": None}, "not those of its modulus"),
        ({"pub": {"alg": "other"}}, "alg"),
    ],
)
def test_altered_keys_are_refused(key, change, match):
    fields = json.loads(private_to_jwk_in_clear(key)) | change
    with pytest.raises(CryptoError, match=match):
        private_from_jwk(json.dumps(fields), **TEST)


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", b"\xff\xfe", "[" * 100_000, " " * 70_000, "[" * 60_000])
def test_what_is_no_jwk_is_refused(text):
    with pytest.raises(CryptoError, match=r"JSON|JWK"):
        public_from_jwk(text, **TEST)


def test_a_long_text_is_not_parsed(monkeypatch):
    monkeypatch.setattr(json, "loads", None)
    with pytest.raises(CryptoError, match="needs at most 65536"):
        public_from_jwk(" " * 65_537)


def test_a_refusal_quotes_no_key(key):
    text = private_to_jwk_in_clear(key)[:-5]
    with pytest.raises(CryptoError) as refused:
        private_from_jwk(text, **TEST)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    assert json.loads(private_to_jwk_in_clear(key))["p"] not in str(refused.value)


def test_small_keys_are_refused_here_too(key):
    with pytest.raises(CryptoError, match="512 bits, needs"):
        public_from_jwk(public_to_jwk(key.public_key))
    with pytest.raises(CryptoError, match="512 bits, needs"):
        private_from_jwk(private_to_jwk_in_clear(key))
    assert isinstance(public_from_jwk(public_to_jwk(key.public_key), **TEST), PublicKey)
