"""What a user gets wrong: one clear line or the usage, exit code 1 or 2, and never a traceback."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from securefl.crypto.signing import SigningKey
from securefl.dp.accounting import GaussianRelease, Relation, Unit
from securefl.dp.ledger import Budget, Charge, PrivacyLedger
from securefl.records.receipt import Outcome
from securefl.records.receipt_book import ReceiptBook

ENTRY = "from securefl.cli.main import entry; entry()"
PRIVATE = '[privacy]\nmechanism = "distributed-discrete-gaussian"\n'


def refused_with(code: int, out: str, said: str) -> str:
    """What stderr says of a command that must be refused before it prints anything."""
    assert code in {1, 2}, (code, out, said)
    assert not out
    assert "Traceback" not in said
    assert "defect of securefl" not in said
    if code == 1:
        assert said.startswith("securefl: ")
        assert said.count("\n") == 1
    else:
        assert said.lstrip().startswith("Usage: securefl")
    return said


@pytest.fixture
def refusal(securefl, tmp_path, monkeypatch):
    """Runs a command where the files are."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> str:
        outcome = securefl(*arguments)
        return refused_with(outcome.code, outcome.out, outcome.err)

    return run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("demo --epsilon nan", "--epsilon"),
        ("demo --epsilon -1 --delta 2", "out of range"),
        ("run wrong.toml", "privacy.epsilon is nan (line 3"),
        ("ledger verify torn.jsonl", "line 1 is torn"),
        ("receipts show none.receipts", "none.receipts cannot be read: No such file"),
        ("epsilon --noise-multiplier nan --rounds 3 --delta 1e-5", "noise multiplier is out of range: got nan"),
    ],
)
def test_a_process_of_its_own_says_one_line_too(tmp_path, arguments, said):
    (tmp_path / "wrong.toml").write_text(PRIVATE + "epsilon = nan\n")
    (tmp_path / "torn.jsonl").write_text("{")
    command = [sys.executable, "-c", ENTRY, *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120)  # noqa: S603
    assert said in refused_with(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def ledger(tmp_path) -> Path:
    path = tmp_path / "whole.jsonl"
    kept = PrivacyLedger(path, Budget(epsilon=8.0, delta=1e-6))
    charge = Charge(
        owner="a",
        party="a",
        session=bytes(16),
        ctx=bytes(32),
        attempt=b"\x01",
        plan=bytes(32),
        event=GaussianRelease(5.0),
        relation=Relation.ZERO_OUT,
        unit=Unit.PARTY,
    )
    for number in range(3):
        kept.charge(dataclasses.replace(charge, ctx=bytes([number]) * 32))
    return path


@pytest.fixture
def receipts(tmp_path) -> Path:
    path = tmp_path / "whole.receipts"
    book = ReceiptBook(path, SigningKey.from_bytes(bytes(32)))
    for number in (1, 2):
        book.enter(round_number=number, outcome=Outcome.REFUSED, party="a", session=bytes(16))
    return path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("demo --epsilon nan", "--epsilon"),
        ("demo --epsilon -1", "epsilon is out of range: got -1.0"),
        ("demo --delta 2", "delta is out of range: got 2.0, needs 0 < delta < 1"),
        ("demo --parties 2", "got 2, needs 3..65536"),
        ("demo --dropout nan", "--dropout"),
        ("demo --dropout 0.9 --parties 5", "too few to open a sum"),
        ("epsilon --noise-multiplier nan --rounds 3 --delta 1e-5", "noise multiplier is out of range: got nan"),
        ("epsilon --noise-multiplier 1 --rounds 3 --delta nan", "delta is out of range: got nan"),
        ("epsilon --noise-multiplier 1 --rounds 3 --delta 1e-5 --sample-rate nan", "sampling rate is out of range"),
        ("epsilon --noise-multiplier 1 --rounds 3 --delta 1e-5 --relation twins", "unknown neighbouring relation"),
        ("calibrate --epsilon nan --rounds 3 --delta 1e-5", "target epsilon is out of range: got nan"),
        ("calibrate --epsilon 1 --rounds 0 --delta 1e-5", "number of rounds is out of range: got 0"),
        ("calibrate --epsilon 1 --rounds 3 --delta 1e-5 --accountant prv", "--accountant"),
        ("secagg-params --clients 10 --corrupted nan", "--corrupted"),
        ("secagg-params --clients 10 --corrupted 0.99", "two honest parties must remain"),
        ("bench nothing-of-the-kind", "nothing-of-the-kind"),
        ("run none.toml", "none.toml cannot be read: No such file"),
        ("policy check none.toml none.toml", "none.toml cannot be read: No such file"),
        ("ledger verify none.jsonl", "none.jsonl cannot be read: No such file"),
        ("receipts show none.receipts", "none.receipts cannot be read: No such file"),
        ("ledger show .", "cannot be read: Is a directory"),
    ],
)
def test_a_wrong_number_or_path_is_named(refusal, arguments, said):
    assert said in refusal(*arguments.split())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PRIVATE + "epsilon = nan\n", "privacy.epsilon is nan (line 3"),
        (PRIVATE + "delta = 2\n", "privacy.delta is 2 (line 3"),
        (PRIVATE + 'clip = "1"\n', "privacy.clip is '1' (line 3"),
        (PRIVATE + "max_dropouts = 2\n", "is for distributed-skellam"),
        (PRIVATE + "max_colluders = 18\n", "[privacy] no threshold leaves honest noise"),
        (PRIVATE + "epsilon = 1e-9\n", "does not fit into a ring"),
        ('[privacy]\nmechanism = "laplace"\n', "privacy.mechanism is 'laplace' (line 2"),
        ("privacy = 3\n", "[privacy] is 3 (line 1"),
        ("[privacy\n", "is not TOML"),
        ("[plan]\nthreshold = 99\n", "[plan] threshold is out of bounds: got 99, needs 2..19"),
        ("[plan]\nthreshold = nan\n", "plan.threshold is nan (line 2"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_by_its_line(refusal, tmp_path, text, said):
    (tmp_path / "wrong.toml").write_text(text)
    assert said in refusal("run", "wrong.toml")
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.toml"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_epsilon = nan\ndelta = 1e-5\n", "max_epsilon is nan in `line 1"),
        ("delta = nan\n", "delta is nan in `line 1"),
        ("min_parties = 2\n", "min_parties is 2 in `line 1"),
        ('server = "kind"\n', "server is 'kind' in `line 1"),
        ('graphs = ["star"]\n', "in `line 1: graphs = "),
        ("min_parties =", "is not TOML"),
        ("", "sets no floor"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_by_its_line(refusal, tmp_path, text, said):
    (tmp_path / "policy.toml").write_text(text)
    (tmp_path / "securefl.toml").write_text("")
    assert said in refusal("policy", "check", "policy.toml", "securefl.toml")


@pytest.mark.parametrize("verb", ["show", "verify"])
def test_a_ledger_that_was_cut_or_is_none_is_refused_by_its_line(refusal, ledger, verb):
    whole = ledger.read_bytes()
    for data, line in ((whole[:-1], 3), (whole[:50], 1), (b"\xff\xfe", 1), (b"[" * 10000 + b"\n", 1)):
        ledger.write_bytes(data)
        assert f"line {line}" in refusal("ledger", verb, ledger)
    first, second, third = whole.splitlines(keepends=True)
    ledger.write_bytes(first + third)
    assert "line 2" in refusal("ledger", verb, ledger)
    ledger.write_bytes(first + second.replace(b'"a"', b'"b"') + third)
    assert "line 2: this entry was altered" in refusal("ledger", verb, ledger)


@pytest.mark.parametrize("delta", ["nan", "0", "1", "-1"])
def test_a_delta_of_no_use_is_refused_before_a_ledger_is_printed(refusal, ledger, delta):
    assert "delta is out of range" in refusal("ledger", "show", ledger, "--delta", delta)


def test_a_ledger_is_held_against_a_head_that_could_be_one(refusal, securefl, ledger):
    assert "is no head of a ledger" in refusal("ledger", "verify", ledger, "--head", "3")
    assert "cut off" in refusal("ledger", "verify", ledger, "--head", f"9:{'a' * 64}")
    outcome = securefl("ledger", "verify", ledger)
    assert outcome.code == 0
    assert "Whole: 3 entries about 1 owners" in outcome.out


@pytest.mark.parametrize("verb", ["show", "verify"])
def test_receipts_that_were_cut_or_are_none_are_refused_by_number(refusal, receipts, verb):
    whole = receipts.read_bytes()
    for data, number in ((whole[:-1], 2), (whole[:50], 1), (b"\xff\xfe", 1), (b"[" * 10000 + b"\n", 1)):
        receipts.write_bytes(data)
        assert f"receipt {number}" in refusal("receipts", verb, receipts)
