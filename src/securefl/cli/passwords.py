"""Passwords of key files: from a file or from the terminal, never from the command line, where others could read them."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from securefl.crypto.signing import SigningKey
from securefl.errors import ConfigError, SecureFLError
from securefl.report.files import read_text


def new_password(file: Path | None) -> bytes:
    """The password for a new key: that in `file`, or asked for twice.

    Raises:
        ConfigError: it is empty, or nobody is there to be asked.
    """
    password = _from_file(file) if file else _asked("Password for the new key", confirm=True)
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
        password = _from_file(password_file).encode()
    elif b"ENCRYPTED" in data:
        password = _asked(f"Password of {path}", confirm=False).encode()
    try:
        return SigningKey.from_pem(data, password)
    except SecureFLError as error:
        error.add_note(str(path))
        raise


def _from_file(path: Path) -> str:
    password = read_text(path, what="password file", remedy="give a text file with the password").rstrip("\r\n")
    if not password:
        raise ConfigError(f"the password in {path} is empty", remedy="write one into it, or give --no-password")
    return password


def _asked(prompt: str, *, confirm: bool) -> str:
    if not sys.stdin.isatty():
        raise ConfigError(
            "a password is needed and there is no terminal to ask at",
            remedy="give --password-file FILE" + (", or --no-password for a key in clear" if confirm else ""),
        )
    password: str = typer.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
    return password
