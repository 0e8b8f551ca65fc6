"""`securefl run` under a Paillier key: the sums are those of plain averaging, and the report says who could open what."""

import contextlib
import html
import io
import json
import re
from pathlib import Path

import pytest

from securefl.cli.main import entry
from unit.report.keys import ordinary, safe

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits-paillier.toml"
SMALL = """
[data]
parties = 5
partition = "iid"
[training]
rounds = {rounds}
epochs = 1
[faults]
dropout = 0.2
[plan]
server = "{server}"
max_colluders = 0
[paillier]
holder = "{holder}"
audited = {audited}
key = "{folder}/key.paillier"
key_password_file = "{folder}/pw"
[privacy]
mechanism = "{mechanism}"
[report]
output = "{folder}/report"
"""


def run(path: Path, json_file: Path) -> tuple[str, dict]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as left:
        entry(["run", str(path), "--json", str(json_file)])
    assert left.value.code == 0, out.getvalue()
    return " ".join(out.getvalue().split()), json.loads(json_file.read_text())


def page_of(folder: Path) -> str:
    page = (folder / "report" / "report.html").read_text(encoding="utf-8")
    return " ".join(
        html.unescape(re.sub(r"<style.*?</style>|<svg.*?</svg>|<[^>]+>", " ", page, flags=re.DOTALL)).split()
    )


def prepared(folder: Path, *, holder: str, audited: bool = False, mechanism: str = "none", rounds: int = 2) -> Path:
    key = safe() if holder == "threshold" else ordinary()
    (folder / "key.paillier").write_bytes(key.to_bytes("secret"))
    (folder / "pw").write_text("secret\n")
    path = folder / "run.toml"
    server = "active" if audited else "semi-honest"
    path.write_text(
        SMALL.format(
            folder=folder,
            holder=holder,
            audited=str(audited).lower(),
            server=server,
            mechanism=mechanism,
            rounds=rounds,
        )
    )
    return path


HOLDS = {
    "separate": "A key holder, who is neither the server nor a party, decrypts the sums",
    "clients": "Every party has the key",
    "threshold": "so can the dealer",
}


@pytest.mark.parametrize(
    ("holder", "audited"),
    [
        ("separate", False),
        pytest.param("separate", True, marks=pytest.mark.heavy),
        pytest.param("clients", False, marks=pytest.mark.heavy),  # audited, such a plan cannot be
        pytest.param("threshold", False, marks=pytest.mark.heavy),
        pytest.param("threshold", True, marks=pytest.mark.heavy),
    ],
)
def test_training_under_a_key_equals_plain_training_and_says_who_holds_it(tmp_path, holder, audited):
    said = HOLDS[holder]
    rounds = 1 if holder == "threshold" else 2  # a round with partials and their proofs takes ten times as long
    printed, data = run(prepared(tmp_path, holder=holder, audited=audited, rounds=rounds), tmp_path / "x.json")
    assert data["secure_accuracy"] == pytest.approx(data["plain_accuracy"], abs=0.005)
    assert data["key"]["holder"] == holder
    assert data["key"]["fresh"] is False
    assert data["refusals"] == []
    assert set(data["bytes_by_step"]) == {"masked_input", "unmask"}
    page = page_of(tmp_path)
    for text in (printed, page):
        assert said in text
        assert "was read from a file" in text
    assert data["key"]["fingerprint"] in page
    for word in ("pairwise", "masked input", "shares rebuild", "ring of"):
        assert word not in page
    assert ("deviates from the protocol can open single vectors" in page) is not audited
    for secret in ("secret", *map(str, (ordinary().primes[0], safe().primes[0]))):
        assert secret not in printed
        assert secret not in page
        assert secret not in json.dumps(data)


def test_the_bytes_of_a_party_leave_out_what_the_key_holder_sends(tmp_path):
    _, data = run(prepared(tmp_path, holder="separate"), tmp_path / "x.json")
    up = data["bytes_by_step"]["masked_input"][0] / (5 * 2)
    assert data["bytes_by_step"]["unmask"][0] > 0
    assert f"{up / 1000:.1f} kB up, per party and round" in page_of(tmp_path)


@pytest.mark.heavy
def test_the_private_training_is_under_the_same_key_and_within_its_budget(tmp_path):
    path = prepared(tmp_path, holder="separate", mechanism="distributed-discrete-gaussian")
    printed, data = run(path, tmp_path / "x.json")
    assert 7.9 < data["epsilon"]["server"] == data["epsilon"]["observer"] <= 8.0
    assert len(data["private"]["rounds"]) == 2
    assert data["private"]["refusals"] == []
    assert data["private"]["plan"]["key_fingerprint"] == data["key"]["fingerprint"]
    assert "epsilon against the server" in printed
    assert "slots of" in page_of(tmp_path)


def test_the_example_runs_in_a_smaller_form(tmp_path):
    text = EXAMPLE.read_text(encoding="utf-8")
    for line, less in (
        ("rounds = 10", "rounds = 2"),
        ("parties = 10", "parties = 5"),
        ("dropout = 0.1", "dropout = 0.2"),
        ('output = "securefl-report"', f'output = "{tmp_path / "report"}"'),
    ):
        assert text.count(line) == 1
        text = text.replace(line, less)
    (tmp_path / "small.toml").write_text(text)
    printed, data = run(tmp_path / "small.toml", tmp_path / "x.json")
    assert data["key"]["fresh"] is True
    assert data["secure_accuracy"] == pytest.approx(data["plain_accuracy"], abs=0.005)
    assert "was made for this run and is forgotten" in printed
    assert "was made for this run and is forgotten" in page_of(tmp_path)
