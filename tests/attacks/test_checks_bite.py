"""Each security check is removed in a copy of the library, and the attacks against it must then succeed: no check is there untested."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import securefl
from attacks.checks import CHECKS, Check

pytestmark = pytest.mark.heavy

SOURCE = Path(securefl.__file__).parent
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PASSED, FAILED = 0, 1
"""Exit codes of pytest; any other means that nothing was tested (an import that fails, a wrong option)."""


def attack(copy: Path, tests: tuple[str, ...], seconds: int = 280) -> subprocess.CompletedProcess[str]:
    """Run attack files against a copy of the library."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "SECUREFL_COPY": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    files = [str(HERE / f"test_{name}.py") for name in tests]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "--no-header",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        *files,
    ]
    return subprocess.run(  # noqa: S603
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )


def copied(target: Path) -> Path:
    shutil.copytree(SOURCE, target / "securefl", ignore=shutil.ignore_patterns("__pycache__"))
    return target


@pytest.mark.timeout(1500)
def test_the_whole_library_withstands_all_attacks(tmp_path):
    """The control: in an unchanged copy no attack succeeds, so what fails below fails because of the edit."""
    run = attack(copied(tmp_path), tuple(sorted({name for item in CHECKS for name in item.tests})), seconds=1400)
    assert run.returncode == PASSED, run.stdout[-3000:]


@pytest.mark.parametrize("item", CHECKS, ids=lambda item: f"{item.file}: {item.name}")
def test_without_the_check_an_attack_succeeds(item: Check, tmp_path):
    """Success of nobody: a check that can be removed and no attack test notices."""
    file = copied(tmp_path) / "securefl" / item.file
    source = file.read_text()
    for old, new in item.edits:
        assert source.count(old) == 1, f"{item.file} has {source.count(old)} times {old!r}: bring checks.py up to date"
        source = source.replace(old, new)
    compile(source, str(file), "exec")
    file.write_text(source)
    run = attack(tmp_path, item.tests)
    assert run.returncode == FAILED, (
        f"nothing notices that this is gone: {item}\n{run.stdout[-3000:]}\n{run.stderr[-2000:]}"
    )
