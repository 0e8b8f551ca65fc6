"""`securefl keygen --paillier`: the private key is sealed, the shares have a password each, mixtures are refused."""

import stat

import pytest

from securefl.paillier import SmallKeyWarning
from securefl.paillier import threshold as threshold_keys
from securefl.report.key_files import load_private, load_public, load_share
from unit.report.keys import ordinary, safe

PUBLISHED = safe  # its primes stand in tests/conformance/keys.json


@pytest.fixture
def password(tmp_path):
    path = tmp_path / "pw"
    path.write_text("correct horse\n")
    return path


@pytest.fixture
def quick(monkeypatch):
    """Safe primes that were found before, with one step of the search told."""

    def found(bits, progress):
        progress(0, 64)
        progress(1, 128)
        assert bits == 3072
        return PUBLISHED()

    monkeypatch.setattr(threshold_keys, "safe_private_key", found)


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_sealed_and_its_fingerprint_printed(securefl, tmp_path, password):
    outcome = securefl("keygen", "--paillier", "study", "--output", tmp_path / "k", "--password-file", password)
    assert outcome.code == 0, outcome.err
    private, public = tmp_path / "k" / "study.paillier", tmp_path / "k" / "study.paillier.pub"
    assert mode(private) == 0o600
    key = load_public(public)
    assert (key.bits, key.blum) == (3072, True)
    assert f'paillier_keys = ["{key.fingerprint}"]' in outcome.out
    opened = load_private(private, "correct horse")
    assert opened.public_key == key
    assert not any(
        str(prime) in outcome.out or prime.to_bytes(192, "big") in private.read_bytes() for prime in opened.primes
    )
    assert "horse" not in outcome.out


@pytest.mark.filterwarnings("default")
def test_a_small_key_is_made_with_a_warning_of_one_line(securefl, tmp_path, password):
    outcome = securefl("keygen", "k", "--paillier", "--bits", 2048, "--output", tmp_path, "--password-file", password)
    assert outcome.code == 0
    with pytest.warns(SmallKeyWarning):
        assert load_public(tmp_path / "k.paillier.pub").bits == 2048
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith("securefl: warning: a Paillier key of 2048 bits")


@pytest.mark.parametrize("bits", [1024, 3073, 100_000])
def test_a_size_that_is_refused_is_one_line(refused, tmp_path, password, bits):
    line = refused("keygen", "k", "--paillier", "--bits", bits, "--output", tmp_path / "k", "--password-file", password)
    assert f"a Paillier key of {bits} bits" in line
    assert not (tmp_path / "k").exists()


def test_a_paillier_key_needs_a_password(securefl, refused, tmp_path, password):
    line = refused("keygen", "k", "--paillier", "--output", tmp_path)
    assert "--password-file" in line
    assert "--no-password" not in line
    assert securefl("keygen", "k", "--paillier", "--no-password", "--output", tmp_path).code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["pw"]


@pytest.mark.parametrize("suffix", [".paillier", ".paillier.pub"])
def test_an_existing_key_is_left_as_it_is(refused, tmp_path, password, suffix):
    (tmp_path / f"k{suffix}").write_text("old")
    assert "exists already" in refused("keygen", "k", "--paillier", "--output", tmp_path, "--password-file", password)
    assert (tmp_path / f"k{suffix}").read_text() == "old"


def deal(tmp_path, *more, to="a,b,c", threshold=2):
    where = ("--output", tmp_path / "dealt", "--password-dir", tmp_path / "passwords")
    return ("keygen", "study", "--paillier", "--dealt-to", to, "--threshold", threshold, *where, *more)


def test_shares_are_sealed_under_a_password_each(securefl, tmp_path, quick):
    (tmp_path / "passwords").mkdir()
    (tmp_path / "passwords" / "b.password").write_text("chosen by b\n")
    outcome = securefl(*deal(tmp_path))
    assert outcome.code == 0, outcome.err
    keys = load_public(tmp_path / "dealt" / "study.paillier.dealing")
    assert (keys.threshold, keys.names) == (2, ("a", "b", "c"))
    passwords = {path.stem: path.read_text().strip() for path in (tmp_path / "passwords").iterdir()}
    assert set(passwords) == {"a", "b", "c"}
    assert len(set(passwords.values())) == 3
    assert passwords["b"] == "chosen by b"
    assert mode(tmp_path / "passwords" / "a.password") == 0o600
    for index, (party, password) in enumerate(sorted(passwords.items())):
        path = tmp_path / "dealt" / f"study.{party}.paillier.share"
        assert mode(path) == 0o600
        assert load_share(path, password, dealing=keys).party == index
        assert password not in outcome.out
    names = {path.name for path in (tmp_path / "dealt").iterdir()}
    assert names == {"study.paillier.dealing", *(f"study.{party}.paillier.share" for party in "abc")}
    assert outcome.out.count("Looking for two safe primes") == 1
    assert "This process knew the whole key" in " ".join(outcome.out.split())


def test_the_help_says_that_the_dealer_knows_the_key(securefl, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert "THIS PROCESS KNOWS THE WHOLE KEY" in " ".join(securefl("keygen", "--help").out.replace("│", " ").split())


@pytest.mark.parametrize(
    ("to", "threshold", "message"),
    [
        ("a,b,c", 4, "a threshold of 4 among 3 parties"),
        ("a,b,c", 1, "a threshold of 1 among 3 parties"),
        ("a,b,a", 2, "has a name twice: a"),
        ("a,b,server", 2, "'server' cannot be a party's name"),
        ("a,../b,c", 2, "'../b' cannot be the name of a share's file"),
        ("a,,c", 2, "'' cannot be the name of a share's file"),
        ("a, b", 2, "' b' cannot be the name of a share's file"),
    ],
)
def test_parties_that_no_roster_could_hold_are_refused_before_the_search(refused, tmp_path, to, threshold, message):
    assert message in refused(*deal(tmp_path, to=to, threshold=threshold))
    assert not (tmp_path / "dealt").exists()
    assert not (tmp_path / "passwords").exists()


def test_a_second_dealing_replaces_nothing(securefl, refused, tmp_path, quick):
    assert securefl(*deal(tmp_path)).code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "dealt").iterdir()}
    assert "exists already" in refused(*deal(tmp_path))
    assert {path: path.read_bytes() for path in (tmp_path / "dealt").iterdir()} == before


def test_without_a_terminal_or_a_directory_there_are_no_passwords(refused, tmp_path):
    line = refused("keygen", "k", "--paillier", "--dealt-to", "a,b", "--threshold", 2, "--output", tmp_path / "dealt")
    assert "--password-dir" in line
    assert not (tmp_path / "dealt").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--bits", "3072"),
        ("--dealt-to", "a,b"),
        ("--threshold", "2"),
        ("--password-dir", "x"),
        ("--paillier", "--threshold", "2"),
        ("--paillier", "--password-dir", "x"),
        ("--paillier", "--dealt-to", "a,b"),
        ("--paillier", "--dealt-to", "a,b", "--threshold", "2", "--password-file", "pw"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(securefl, tmp_path, options):
    assert securefl("keygen", "k", "--output", tmp_path / "k", *options).code == 2
    assert not (tmp_path / "k").exists()


def test_the_key_of_a_policy_is_checked(securefl, tmp_path):
    from securefl.report.key_files import public_text

    mine, other = ordinary().public_key, PUBLISHED().public_key
    policy, key = tmp_path / "policy.toml", tmp_path / "k.paillier.pub"
    policy.write_text(f'paillier_keys = ["{mine.fingerprint.upper()}"]\n')
    key.write_text(public_text(mine))
    outcome = securefl("doctor", "--policy", policy, "--paillier-key", key)
    assert outcome.code == 0, outcome.out
    assert "the policy has the Paillier key" in outcome.out
    assert "gmpy2" in outcome.out
    key.write_text(public_text(other))
    outcome = securefl("doctor", "--policy", policy, "--paillier-key", key)
    assert outcome.code == 1
    assert "compare fingerprints" in " ".join(outcome.out.split())
    key.write_text("nothing")
    assert "is no public" in " ".join(securefl("doctor", "--paillier-key", key).out.split())
