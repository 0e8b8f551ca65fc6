"""The entry point: help, version, and errors as one line."""

import subprocess
import sys

import pytest

import securefl as package
from securefl.cli import main
from securefl.errors import SecureFLError
from securefl.report import Experiment

VERBS = [
    ("demo",), ("run",), ("init",), ("keygen",), ("doctor",), ("plan", "show"), ("policy", "check"),
    ("roster", "new"), ("roster", "add"), ("roster", "sign"), ("roster", "verify"), ("roster", "show"),
    ("receipts", "show"), ("receipts", "verify"), ("secagg-params",), ("epsilon",), ("calibrate",), ("bench",),
    ("ledger", "show"), ("ledger", "verify"),
]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_has_help_with_an_example(securefl, verb):
    outcome = securefl(*verb, "--help")
    assert outcome.code == 0
    assert f"Example: securefl {' '.join(verb)}" in outcome.out


def test_version(securefl):
    outcome = securefl("--version")
    assert (outcome.code, outcome.out) == (0, f"securefl {package.__version__}\n")


def test_no_verb_shows_the_help(securefl):
    outcome = securefl()
    assert "demo" in outcome.out + outcome.err


def test_a_defect_is_one_line_that_asks_for_a_report(refused, monkeypatch):
    monkeypatch.setattr(main, "_app", lambda: broken)
    line = refused("demo")
    assert "unexpected ZeroDivisionError" in line
    assert "--debug" in line


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setattr(main, "_app", lambda: broken)
    with pytest.raises(ZeroDivisionError):
        main.entry(["--debug", "demo"])


def test_an_interrupt_is_one_line(refused, monkeypatch):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "_app", lambda: interrupted)
    assert "interrupted" in refused("demo")


def test_an_interrupt_within_a_verb_is_one_line_too(refused, monkeypatch, small):
    def interrupted(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Experiment, "prepare", interrupted)
    assert "interrupted" in refused("run", small)


def test_a_message_of_several_lines_becomes_one_and_cannot_steer_the_terminal(refused, monkeypatch):
    def failing(**_):
        raise SecureFLError("first\nsecond \x1b[31mred", remedy="wait")

    monkeypatch.setattr(main, "_app", lambda: failing)
    line = refused("demo")
    assert "first second \\x1b[31mred. Remedy: wait" in line


def test_without_typer_the_command_to_install_is_named(refused, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("securefl.cli.") and name != "securefl.cli.main"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "typer", None)
    assert "pip install 'securefl[cli]'" in refused("demo")


def test_the_installed_command_starts():
    done = subprocess.run(
        [sys.executable, "-c", "from securefl.cli.main import entry; entry()", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("securefl ")


def test_the_command_line_loads_no_heavy_library_before_a_verb_needs_it():
    code = (
        "import sys, securefl.cli.app; "
        "print([name for name in ('matplotlib', 'jinja2', 'sklearn', 'scipy', 'torch', 'flwr') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"


def broken(**_):
    return 1 // 0
