from __future__ import annotations

import copy
import dataclasses
import io
import pickle

import pytest

from securefl.crypto.kex import KeyPair
from securefl.crypto.secret import Redacted, Secret
from securefl.crypto.signing import SigningKey
from securefl.errors import SecretMisuseError

VALUE = b"thirty-two bytes nobody may see."


class Holder(Redacted):
    def __init__(self, value: bytes) -> None:
        self.value = value


HOLDERS = [
    pytest.param(Secret(VALUE), id="Secret"),
    pytest.param(Holder(VALUE), id="subclass"),
    pytest.param(KeyPair.from_private(VALUE), id="KeyPair"),
    pytest.param(SigningKey.from_bytes(VALUE), id="SigningKey"),
]


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("show", [repr, str, ascii, "{}".format, "{!r}".format, lambda x: f"{[x]}", "%s".__mod__])
def test_no_way_of_printing_shows_the_value(holder, show):
    text = show(holder)
    assert "redacted" in text
    assert "nobody" not in text
    assert VALUE.hex() not in text.lower()


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_raises_under_every_protocol(holder, protocol):
    with pytest.raises(SecretMisuseError, match="pickled"):
        pickle.dumps(holder, protocol)
    with pytest.raises(SecretMisuseError, match="pickled"):
        pickle.Pickler(io.BytesIO(), protocol).dump({"nested": [holder]})


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda x: copy.deepcopy([x])])
def test_copying_raises(holder, duplicate):
    with pytest.raises(SecretMisuseError, match="copied"):
        duplicate(holder)


def test_a_dataclass_without_its_own_repr_stays_redacted():
    @dataclasses.dataclass(frozen=True, slots=True, repr=False)
    class State(Redacted):
        seed: bytes

    state = State(VALUE)
    assert "nobody" not in repr(state)
    with pytest.raises(SecretMisuseError):
        pickle.dumps(state)


def test_a_generated_repr_does_not_reach_str():
    @dataclasses.dataclass(frozen=True)
    class Careless(Redacted):
        seed: bytes

    assert "nobody" not in f"{Careless(VALUE)} {Careless(VALUE)!s}"


def test_reveal_returns_the_value_until_wiped():
    secret = Secret(VALUE)
    assert secret.reveal() == VALUE
    secret.wipe()
    with pytest.raises(SecretMisuseError, match="wiped"):
        secret.reveal()
    secret.wipe()


def test_wiping_overwrites_the_buffer():
    secret = Secret(VALUE)
    buffer = secret._buffer
    secret.wipe()
    assert buffer == bytes(len(VALUE))


def test_a_secret_does_not_share_the_callers_buffer():
    mine = bytearray(VALUE)
    secret = Secret(mine)
    mine[0] ^= 1
    assert secret.reveal() == VALUE


def test_equality_compares_values_in_constant_time(monkeypatch):
    compared = []
    monkeypatch.setattr("securefl.crypto.digest.hmac.compare_digest", lambda a, b: compared.append((a, b)) or a == b)
    assert Secret(b"a") == Secret(b"a")
    assert Secret(b"a") != Secret(b"b")
    assert compared == [(b"a", b"a"), (b"a", b"b")]
    assert Secret(b"a") != b"a"


def test_a_secret_is_unhashable():
    with pytest.raises(TypeError, match="unhashable"):
        hash(Secret(b"a"))


def test_length_is_public():
    assert len(Secret(VALUE)) == 32
