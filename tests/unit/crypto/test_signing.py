from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from securefl.crypto.digest import digest
from securefl.crypto.signing import SigningKey, fingerprint, verify
from securefl.errors import CryptoError

# RFC 8032, section 7.1, tests 1 and 2: seed, public key, message, signature.
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
]
KEY = SigningKey.from_bytes(bytes(range(32)))


@pytest.mark.parametrize(("seed", "public", "message", "signature"), VECTORS)
def test_rfc_8032_7_1(seed, public, message, signature):
    key = SigningKey.from_bytes(bytes.fromhex(seed))
    assert key.verify_key.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    verify(key.verify_key, bytes.fromhex(signature), bytes.fromhex(message))


def test_another_message_or_key_is_refused():
    signature = KEY.sign(b"survivors")
    with pytest.raises(CryptoError, match="not the one of key"):
        verify(KEY.verify_key, signature, b"other survivors")
    with pytest.raises(CryptoError, match="not the one of key"):
        verify(SigningKey.generate().verify_key, signature, b"survivors")


def test_every_bit_flip_of_a_signature_is_refused():
    signature = KEY.sign(b"m")
    for position in range(512):
        altered = bytearray(signature)
        altered[position // 8] ^= 1 << position % 8
        with pytest.raises(CryptoError, match="not the one of key"):
            verify(KEY.verify_key, bytes(altered), b"m")


@pytest.mark.parametrize("size", [0, 63, 65])
def test_signatures_of_the_wrong_size_are_refused(size):
    with pytest.raises(CryptoError, match="needs 64"):
        verify(KEY.verify_key, bytes(size), b"m")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_keys_of_the_wrong_size_are_refused(size):
    with pytest.raises(CryptoError, match="needs 32"):
        verify(bytes(size), bytes(64), b"m")
    with pytest.raises(CryptoError, match="needs 32"):
        SigningKey.from_bytes(bytes(size))


def test_generate_takes_its_seed_from_the_source(scripted):
    source = scripted(tokens=[bytes(range(32))])
    assert SigningKey.generate(source).verify_key == KEY.verify_key
    assert source.sizes == [32]


@pytest.mark.parametrize("password", [None, b"correct horse"])
def test_pem_round_trip(password):
    pem = KEY.to_pem(password)
    assert (b"ENCRYPTED" in pem) == (password is not None)
    assert SigningKey.from_pem(pem, password).verify_key == KEY.verify_key


@pytest.mark.parametrize(
    ("pem", "password", "message"),
    [
        pytest.param(KEY.to_pem(b"right"), b"wrong", "wrong password", id="wrong password"),
        pytest.param(KEY.to_pem(b"right"), None, "no password was given", id="no password"),
        pytest.param(KEY.to_pem(b"right"), b"", "no password was given", id="empty password"),
        pytest.param(KEY.to_pem(None), b"needless", "not encrypted", id="needless password"),
        pytest.param(b"not a key", None, "no PEM private key", id="not a key"),
        pytest.param(b"not a key", b"password", "no PEM private key", id="not a key, password"),
        pytest.param(KEY.to_pem(None)[:40], None, "no PEM private key", id="truncated"),
        pytest.param(
            X25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            None,
            "no Ed25519 key but X25519",
            id="another kind",
        ),
    ],
)
def test_a_pem_that_is_no_usable_key_says_what_to_do(pem, password, message):
    with pytest.raises(CryptoError, match=message) as caught:
        SigningKey.from_pem(pem, password)
    assert caught.value.remedy


def test_an_empty_password_does_not_write_a_key_in_clear():
    with pytest.raises(ValueError, match="assword"):
        KEY.to_pem(b"")


def test_fingerprint_is_eight_groups_of_the_digest():
    text = fingerprint(KEY.verify_key)
    groups = text.split(" ")
    assert [len(group) for group in groups] == [4] * 8
    assert bytes.fromhex("".join(groups)) == digest("fingerprint", KEY.verify_key)[:16]
    assert text != fingerprint(SigningKey.generate().verify_key)
