"""Each security check is removed in a copy of the library, and the attacks against it must then succeed: no check is there untested."""

from __future__ import annotations

import contextlib
import shutil
from importlib.util import cache_from_source
from pathlib import Path

import pytest

import securefl
from attacks.checks import CHECKS, Check
from attacks.nursery import Nursery

pytestmark = pytest.mark.heavy

SOURCE = Path(securefl.__file__).parent
PASSED, FAILED = 0, 1
"""Exit codes of pytest; any other means that nothing was tested (an import that fails, a wrong option)."""


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as made:
        yield made


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """One for all edits of this process, so that what is not edited is compiled once."""
    target = tmp_path_factory.mktemp("copy")
    shutil.copytree(SOURCE, target / "securefl", ignore=shutil.ignore_patterns("__pycache__"))
    return target


@contextlib.contextmanager
def edited(file: Path, item: Check):
    """The file with the check's edits in it, and afterwards as it was; never with bytecode of the other."""
    whole = source = file.read_text()
    for old, new in item.edits:
        assert source.count(old) == 1, f"{item.file} has {source.count(old)} times {old!r}: bring checks.py up to date"
        source = source.replace(old, new)
    compile(source, str(file), "exec")
    bytecode = Path(cache_from_source(str(file)))
    try:
        bytecode.unlink(missing_ok=True)
        file.write_text(source)
        yield
    finally:
        file.write_text(whole)
        bytecode.unlink(missing_ok=True)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", sorted({name for item in CHECKS for name in item.tests}))
def test_the_whole_library_withstands_the_attack(name, nursery, copy):
    """The control: in an unchanged copy no attack succeeds, so what fails below fails because of the edit."""
    code, output = nursery.attack(copy, [name], seconds=580)
    assert code == PASSED, output[-3000:]


@pytest.mark.parametrize("item", CHECKS, ids=lambda item: f"{item.file}: {item.name}")
def test_without_the_check_an_attack_succeeds(item: Check, nursery, copy):
    """Success of nobody: a check that can be removed and no attack test notices."""
    with edited(copy / "securefl" / item.file, item):
        code, output = nursery.attack(copy, item.tests, seconds=280)
    assert code == FAILED, f"nothing notices that this is gone: {item}\n{output[-5000:]}"
