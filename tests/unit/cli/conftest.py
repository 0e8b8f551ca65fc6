"""Running `securefl` in this process, as a shell would see it."""

import contextlib
import dataclasses
import io
import json
from pathlib import Path

import pytest

from securefl.cli.main import entry


@dataclasses.dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


def call(*arguments: object) -> Outcome:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        entry([str(argument) for argument in arguments])
    return Outcome(int(left.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def securefl():
    return call


@pytest.fixture
def refused(securefl):
    """Runs a command that must fail: one line on stderr, nothing on stdout, exit 1."""

    def run(*arguments: object) -> str:
        outcome = securefl(*arguments)
        assert outcome.code == 1, outcome
        assert outcome.err.count("\n") == 1, outcome.err
        assert outcome.err.startswith("securefl: ")
        assert "Traceback" not in outcome.err + outcome.out
        return outcome.err

    return run


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """One small demo: what it printed, its directory, its JSON."""
    where = tmp_path_factory.mktemp("demo")
    arguments = ("demo", "--parties", 6, "--rounds", 3, "--dropout", 0.2, "--output", where / "report")
    outcome = call(*arguments, "--json", where / "out.json")
    return outcome, where / "report", json.loads((where / "out.json").read_text())


@pytest.fixture
def small(tmp_path) -> Path:
    """A configuration that runs in a moment."""
    path = tmp_path / "small.toml"
    path.write_text(f"""
[data]
parties = 5
partition = "iid"
[training]
rounds = 2
epochs = 1
[faults]
dropout = 0.2
steps = ["masked_input", "unmask"]
[plan]
max_colluders = 0
[report]
output = "{tmp_path / "report"}"
""")
    return path


@pytest.fixture
def keys(tmp_path, securefl) -> Path:
    """A directory with the identities a, b, c and owner, in clear."""
    for name in ("a", "b", "c", "owner"):
        assert securefl("keygen", name, "--output", tmp_path / "keys", "--no-password").code == 0
    return tmp_path / "keys"


@pytest.fixture
def roster(tmp_path, securefl, keys) -> Path:
    path = tmp_path / "roster.toml"
    assert securefl("roster", "new", path).code == 0
    for name in ("a", "b", "c"):
        assert securefl("roster", "add", path, name, keys / f"{name}.pub").code == 0
    return path
