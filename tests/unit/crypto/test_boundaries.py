"""The rules that keep this package reviewable, read from its source."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import securefl.crypto.random

MODULES = {
    path.stem: ast.parse(path.read_text(encoding="utf-8"))
    for path in Path(securefl.crypto.random.__file__).parent.glob("*.py")
}
PRIMITIVES = {"AES256", "AESGCM", "CTR", "HKDF", "Scrypt", "Ed25519PrivateKey", "X25519PrivateKey", "hashlib", "hmac"}


def imported(tree: ast.Module) -> set[str]:
    """Return every imported module, and every name imported from one as module.name."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_each_primitive_is_called_from_one_module():
    users = defaultdict(set)
    for module, tree in MODULES.items():
        for name in imported(tree):
            users[name.rpartition(".")[2]].add(module)
    assert {primitive: len(users[primitive]) for primitive in PRIMITIVES} == dict.fromkeys(PRIMITIVES, 1)


def test_only_random_asks_for_entropy():
    for module, tree in MODULES.items():
        names = {name.partition(".")[0] for name in imported(tree)}
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        asks = bool(names & {"secrets", "random"} or attributes & {"urandom", "getrandom", "default_rng"})
        assert asks == (module == "random"), module


def test_crypto_imports_only_what_lies_below_it():
    for module, tree in MODULES.items():
        ours = {name for name in imported(tree) if name.startswith("securefl")}
        below = ("securefl.crypto.", "securefl.errors.", "securefl.types.", "securefl.crypto")
        assert all(name.startswith(below) for name in ours), module


def test_nothing_is_printed_logged_or_pickled():
    for module, tree in MODULES.items():
        assert not imported(tree) & {"logging", "pickle", "warnings"}, module
        calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "id")}
        assert "print" not in calls, module
