"""Passwords of key files: from a file or from the terminal, never from the command line, where others could read them."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from securefl.crypto.signing import SigningKey
from securefl.errors import ConfigError, SecureFLError
from securefl.report.files import read_password, read_text

_FILE = "give --password-file FILE"


def new_password(file: Path | None, *, remedy: str = f"{_FILE}, or --no-password for a key in clear") -> bytes:
    """The password for a new key: that in `file`, or asked for twice.

    Args:
        file: the password file; None to ask.
        remedy: what to do where nobody is there to be asked.

    Raises:
        ConfigError: it is empty, or nobody is there to be asked.
    """
    password = read_password(file) if file else _asked("Password for the new key", confirm=True, remedy=remedy)
    return password.encode()


def load_key(path: Path, password_file: Path | None) -> SigningKey:
    """The private key in a PEM file; asks for its password where it has one.

    Raises:
        ConfigError: it cannot be read, or nobody is there to be asked.
        CryptoError: no Ed25519 key, or another password.
    """
    data = read_text(path, what="key file", remedy="give the .pem file that `securefl keygen` wrote").encode()
    password = None
    if password_file is not None:
        password = read_password(password_file).encode()
    elif b"ENCRYPTED" in data:
        password = _asked(f"Password of {path}", confirm=False).encode()
    try:
        return SigningKey.from_pem(data, password)
    except SecureFLError as error:
        error.add_note(str(path))
        raise


def new_password_for(whom: str) -> str:
    """The password of a new sealed file, asked for twice.

    Raises:
        ConfigError: nobody is there to be asked.
    """
    return _asked(f"Password for {whom}", confirm=True, remedy="give --password-dir DIR")


def _asked(prompt: str, *, confirm: bool, remedy: str = _FILE) -> str:
    if not sys.stdin.isatty():
        raise ConfigError("a password is needed and there is no terminal to ask at", remedy=remedy)
    password: str = typer.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
    return password
