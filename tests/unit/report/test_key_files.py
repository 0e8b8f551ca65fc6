"""Files of Paillier keys: what was written is read back, and what was spoiled is refused in one typed error."""

import base64

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from securefl.errors import ConfigError
from securefl.report.key_files import (
    fingerprint_of,
    is_public,
    load_private,
    load_public,
    load_share,
    public_text,
)
from unit.report.keys import PARTIES, dealing, ordinary, safe

PASSWORD = "correct horse"
SPOILING = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def published():
    return {"key": ordinary().public_key, "dealing": dealing().keys}


@pytest.mark.parametrize("kind", ["key", "dealing"])
def test_what_was_published_is_read_back(tmp_path, kind):
    key = published()[kind]
    path = tmp_path / "public"
    path.write_text(public_text(key))
    again = load_public(path)
    assert again.to_bytes() == key.to_bytes()
    assert f"# fingerprint {fingerprint_of(again)}\n" in path.read_text()
    assert is_public(path)


@pytest.mark.parametrize("kind", ["key", "dealing"])
@SPOILING
@given(data=st.data())
def test_a_public_file_that_was_altered_or_cut_never_gives_another_key(tmp_path, kind, data):
    key = published()[kind]
    text = public_text(key)
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.characters(codec="ascii"))
    spoiled = text[:place] + data.draw(st.sampled_from(["", letter + text[place + 1 :], letter + text[place:]]))
    path = tmp_path / "spoiled"
    path.write_bytes(spoiled.encode())
    refusal = None
    try:
        again = load_public(path).to_bytes()
    except ConfigError as error:
        refusal = error
    if refusal is None:
        assert again == key.to_bytes()
    else:
        assert str(path) in refusal.message
        assert refusal.remedy


@SPOILING
@given(end=st.integers(0, 40))
def test_a_public_file_that_lost_its_end_is_refused(tmp_path, end):
    text = public_text(ordinary().public_key).rstrip()
    path = tmp_path / "cut"
    path.write_text(text[: len(text) - 1 - end])
    with pytest.raises(ConfigError, match="cut"):
        load_public(path)


def test_a_stated_fingerprint_of_another_key_is_refused(tmp_path):
    mine, other = (public_text(key).splitlines() for key in (ordinary().public_key, safe().public_key))
    path = tmp_path / "mixed"
    path.write_text("\n".join([*other[:2], *mine[2:]]))
    with pytest.raises(ConfigError, match="states the fingerprint") as caught:
        load_public(path)
    assert "compare fingerprints" in caught.value.remedy


def test_a_key_under_the_title_of_a_dealing_is_refused(tmp_path):
    path = tmp_path / "titled"
    path.write_text(public_text(ordinary().public_key).replace("public key", "dealing", 1))
    with pytest.raises(ConfigError, match="no verification keys"):
        load_public(path)


def test_what_is_no_key_at_all_is_refused(tmp_path):
    path = tmp_path / "other"
    for content in (b"", b"\xff\xfe", b"hello\n", b"# securefl Paillier public key\n", base64.b64encode(bytes(400))):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="other"):
            load_public(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_public(tmp_path / "none")


def test_a_private_key_is_read_back_under_its_password_only(tmp_path):
    path = tmp_path / "k.paillier"
    sealed = ordinary().to_bytes(PASSWORD)
    path.write_bytes(sealed)
    assert load_private(path, PASSWORD).primes == ordinary().primes
    assert not is_public(path)
    with pytest.raises(ConfigError, match="wrong password"):
        load_private(path, "another")
    for content in (sealed[:20], sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1]), b""):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"k\.paillier"):
            load_private(path, PASSWORD)


def test_a_public_key_in_place_of_a_private_one_is_said_to_be_one(tmp_path):
    path = tmp_path / "k.pub"
    path.write_text(public_text(ordinary().public_key))
    with pytest.raises(ConfigError, match="a private one is needed"):
        load_private(path, PASSWORD)


def test_a_share_opens_with_its_own_dealing_only(tmp_path):
    from securefl.crypto.signing import SigningKey
    from securefl.paillier.threshold import deal

    path = tmp_path / "s"
    path.write_bytes(dealing().shares[1].to_bytes(PASSWORD))
    assert load_share(path, PASSWORD, dealing=dealing().keys).party == 1
    other = deal(safe(), PARTIES, threshold=2, dealer=SigningKey.generate())
    with pytest.raises(ConfigError, match="another dealing"):
        load_share(path, PASSWORD, dealing=other.keys)
    path.write_bytes(ordinary().to_bytes(PASSWORD))
    with pytest.raises(ConfigError, match="another purpose"):
        load_share(path, PASSWORD, dealing=dealing().keys)
