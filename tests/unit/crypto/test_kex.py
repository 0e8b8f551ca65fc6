from __future__ import annotations

import pytest

from securefl.crypto.kex import KeyPair
from securefl.errors import CryptoError, SecretMisuseError

# RFC 7748, section 6.1.
ALICE = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
ALICE_PUBLIC = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
BOB = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
BOB_PUBLIC = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
SHARED = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")

P = 2**255 - 19
# The points of small order and their encodings that are not reduced (cr.yp.to/ecdh.html, "validate public keys").
SMALL_ORDER = [
    *(i.to_bytes(32, "little") for i in (0, 1, P - 1, P, P + 1)),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
]


def test_rfc_7748_6_1():
    alice, bob = KeyPair.from_private(ALICE), KeyPair.from_private(BOB)
    assert (alice.public, bob.public) == (ALICE_PUBLIC, BOB_PUBLIC)
    assert alice.exchange(bob.public) == bob.exchange(alice.public) == SHARED
    assert alice.private.reveal() == ALICE


@pytest.mark.parametrize("point", SMALL_ORDER, ids=bytes.hex)
def test_a_peer_key_of_small_order_is_refused(point):
    with pytest.raises(CryptoError, match="small order"):
        KeyPair.generate().exchange(point)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_keys_of_the_wrong_size_are_refused(size):
    with pytest.raises(CryptoError, match="needs 32"):
        KeyPair.generate().exchange(bytes(size))
    with pytest.raises(CryptoError, match="needs 32"):
        KeyPair.from_private(bytes(size))


def test_generate_takes_its_key_from_the_source(scripted):
    source = scripted(tokens=[ALICE])
    assert KeyPair.generate(source).public == ALICE_PUBLIC
    assert source.sizes == [32]


def test_generated_pairs_differ():
    assert KeyPair.generate().public != KeyPair.generate().public


def test_a_wiped_pair_exchanges_nothing_and_keeps_its_public_key():
    pair = KeyPair.from_private(ALICE)
    pair.wipe()
    with pytest.raises(SecretMisuseError, match="wiped"):
        pair.exchange(BOB_PUBLIC)
    with pytest.raises(SecretMisuseError, match="wiped"):
        pair.private.reveal()
    assert pair.public == ALICE_PUBLIC


def test_the_error_does_not_show_the_private_key():
    with pytest.raises(CryptoError) as caught:
        KeyPair.from_private(ALICE).exchange(bytes(32))
    assert ALICE.hex() not in str(caught.value)
