"""`securefl receipts`: shows what a party did, and finds what is not as it was written."""

import json

import pytest
import typer

from securefl.cli import main, receipts
from securefl.crypto.signing import SigningKey, fingerprint
from securefl.plan import Roster
from securefl.records.receipt import Answered, Outcome
from securefl.records.receipt_book import ReceiptBook


@pytest.fixture(autouse=True)
def verbs(monkeypatch):
    app = typer.Typer(pretty_exceptions_enable=False)
    receipts.register(app)
    monkeypatch.setattr(main, "_app", lambda: app)


@pytest.fixture
def key():
    return SigningKey.from_bytes(bytes(32))


@pytest.fixture
def signed_by(key):
    return ("--verify-key", key.verify_key.hex())


@pytest.fixture
def book(tmp_path, key):
    book = ReceiptBook(tmp_path / "a.receipts", key)
    said = {"party": "a", "session": b"\xab" * 16}
    sent = [Answered.of("advertise", b"x" * 100), Answered.of("unmask", b"y" * 23)]
    book.enter(round_number=1, outcome=Outcome.OPENED, survivors=("a", "b", "c"), answered=sent, **said)
    book.enter(
        round_number=2, outcome=Outcome.REFUSED, decision="refused: min_parties", reason="too few\x1b[2J [red]", **said
    )
    return book


@pytest.fixture
def file(tmp_path, book):
    return tmp_path / "a.receipts"


@pytest.fixture
def rostered(tmp_path, key):
    def write(name="a", verify_key=key.verify_key):
        path = tmp_path / "parties.toml"
        lines = f'[[party]]\nname = "{name}"\n' + (f'key = "{verify_key.hex()}"\n' if verify_key else "")
        path.write_text(lines)
        assert Roster.load(path).names == (name,)
        return ("--roster", path, "--party", name)

    return write


def test_show_prints_each_round_and_the_head(securefl, file, book, tmp_path):
    outcome = securefl("receipts", "show", file, "--json", tmp_path / "r.json")
    assert outcome.code == 0
    for text in ("abababab", "opened", "2: refused: min_parties; too few", "123 B", str(book.head)):
        assert text in outcome.out
    data = json.loads((tmp_path / "r.json").read_text())
    assert data["head"] == str(book.head)
    first, second = data["receipts"]
    assert first["survivors"] == ["a", "b", "c"]
    assert first["answered"][1]["size"] == 23
    assert second["digest"] == book.head.digest.hex()
    assert len(second["signature"]) == 128


def test_a_reason_cannot_steer_the_terminal(securefl, file):
    out = securefl("receipts", "show", file).out
    assert "\x1b" not in out
    assert r"too few\x1b[2J [red]" in out


def test_verify_accepts_a_whole_chain_signed_by_its_party(securefl, file, book, key, rostered, signed_by, tmp_path):
    for options in (signed_by, rostered()):
        outcome = securefl("receipts", "verify", file, *options, "--head", book.head, "--json", tmp_path / "r.json")
        assert outcome.code == 0, outcome
        assert "Whole: 2 receipts of a" in outcome.out
        assert fingerprint(key.verify_key) in outcome.out
        assert "cut off" not in outcome.out
        assert json.loads((tmp_path / "r.json").read_text()) == {
            "receipts": 2,
            "party": "a",
            "signed_by": fingerprint(key.verify_key),
            "head": str(book.head),
            "expected": True,
        }


def test_verify_says_what_it_could_not_check(securefl, file, book):
    outcome = securefl("receipts", "verify", file, "--json", "-")
    assert outcome.code == 0
    assert json.loads(outcome.out)["signed_by"] is None
    assert "the signatures not" in outcome.err
    assert "cut off at the end is not seen" in outcome.err
    assert str(book.head) in outcome.err


def test_show_and_verify_take_a_file_without_receipts(securefl, tmp_path):
    path = tmp_path / "none.receipts"
    ReceiptBook(path)
    assert securefl("receipts", "show", path).code == 0
    assert "Whole: 0 receipts\n" in securefl("receipts", "verify", path).out


def test_an_altered_receipt_is_named_with_its_file(refused, file, signed_by):
    file.write_text(file.read_text().replace('"survivors":["a","b","c"]', '"survivors":["a","b"]'))
    line = refused("receipts", "verify", file, *signed_by)
    assert "receipt 1 is not what the key" in line
    assert str(file) in line
    assert "receipt 1 was altered, or receipt 2" in refused("receipts", "show", file)


def test_receipts_cut_off_are_missed_when_a_head_is_given(securefl, refused, file, book, signed_by):
    file.write_text(file.read_text().splitlines(keepends=True)[0])
    assert securefl("receipts", "verify", file, *signed_by).code == 0
    assert "receipt 2 is missing" in refused("receipts", "verify", file, *signed_by, "--head", book.head)


def test_another_key_is_refused(refused, file, rostered):
    other = SigningKey.generate().verify_key
    assert "receipt 1 is not what" in refused("receipts", "verify", file, "--verify-key", other.hex())
    assert "receipt 1 is not what" in refused("receipts", "verify", file, *rostered(verify_key=other))


def test_the_receipts_of_another_party_are_refused(refused, file, rostered):
    assert "is of 'a', not of 'b'" in refused("receipts", "verify", file, *rostered(name="b"))


def test_a_roster_without_keys_checks_nothing_and_is_refused(refused, file, rostered):
    assert "has no keys" in refused("receipts", "verify", file, *rostered(verify_key=b""))


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--verify-key", "abcd"), "64 hex digits"), (("--head", "2"), "is no head"), (("--head", ""), "is no head")],
)
def test_malformed_options_are_refused(refused, file, options, said):
    assert said in refused("receipts", "verify", file, *options)


def test_contradicting_options_are_wrong_usage(securefl, file, rostered, signed_by):
    roster = rostered()
    for options in ((*roster, *signed_by), roster[:2], roster[2:]):
        assert securefl("receipts", "verify", file, *options).code == 2


def test_a_missing_file_is_one_line(refused, tmp_path):
    for verb in ("show", "verify"):
        assert "cannot be read" in refused("receipts", verb, tmp_path / "none")
