"""A trigger set on disk: a line that says what it is, a line of JSON, arrays, and the commitment that shows whether it is whole."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from securefl.crypto.random import OS
from securefl.errors import ConfigError

COMMITMENT_BYTES: Final = 32
_NAME: Final = b"securefl-triggers "
_FIRST: Final = _NAME + b"1\n"
_MOST_BYTES: Final = 1 << 28


def pack(about: Mapping[str, Any], arrays: bytes, commitment: bytes) -> bytes:
    """The bytes of a file."""
    header = json.dumps(about, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    return b"".join((_FIRST, header, b"\n", arrays, commitment))


def unpack(data: bytes, source: str) -> tuple[dict[str, Any], bytes, bytes]:
    """Header, arrays and commitment.

    Raises:
        ConfigError: it is no such file, or cut off.
    """
    if data.startswith(_NAME) and not data.startswith(_FIRST):
        raise ConfigError(
            f"{source} is no trigger set of version 1, which this securefl reads",
            remedy="read it with the securefl that wrote it, or bring back the copy you kept",
        )
    if not data.startswith(_FIRST):
        raise ConfigError(f"{source} is no trigger set", remedy="give the file that `securefl watermark make` wrote")
    header, newline, rest = data[len(_FIRST) :].partition(b"\n")
    if not newline or len(rest) < COMMITMENT_BYTES:
        raise damaged(source, "it is cut off")
    try:
        about = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise damaged(source, "its header is not JSON") from error
    if not isinstance(about, dict):
        raise damaged(source, "its header is no object")
    return about, rest[:-COMMITMENT_BYTES], rest[-COMMITMENT_BYTES:]


def damaged(source: str, why: str) -> ConfigError:
    """The error for a file that was a trigger set."""
    return ConfigError(f"the trigger set {source} was cut off or altered: {why}", remedy="bring back the copy you kept")


def read(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file.

    Raises:
        ConfigError: it cannot be read, or is far too long.
    """
    path = _path(path)
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)  # a pipe or a device does not say beforehand how much will come
    except OSError as error:
        raise ConfigError(
            f"the trigger set {path} cannot be read: {error.strerror or error}",
            remedy="make one with `securefl watermark make`",
        ) from error
    if len(data) > _MOST_BYTES:
        raise ConfigError(
            f"{path} is no trigger set: it has more than {_MOST_BYTES} bytes",
            remedy="give the file that `securefl watermark make` wrote",
        )
    return data


def write(path: str | os.PathLike[str], data: bytes, *, overwrite: bool) -> None:
    """Write a file that only its owner reads, whole or not at all.

    Raises:
        ConfigError: it exists and may not be replaced, or cannot be written.
    """
    path = _path(path)
    if not path.name:
        raise ConfigError(f"the trigger set {path} cannot be written: that is a folder", remedy="give a file's name")
    beside = path.with_name(f".{path.name}.{OS.token(8).hex()}")  # no other thread's, and none that a killed run left
    try:
        with contextlib.ExitStack() as undo:
            if not overwrite:  # claims the name, so that of two writers one is refused
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                undo.callback(path.unlink, missing_ok=True)
            handle = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            undo.callback(beside.unlink, missing_ok=True)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            undo.pop_all()
    except FileExistsError as error:
        raise ConfigError(
            f"{path} exists already and was left as it is", remedy="choose another name, or replace it with --force"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"the trigger set {path} cannot be written: {error.strerror or error}", remedy="choose another place"
        ) from error


def _path(given: str | os.PathLike[str]) -> Path:
    """A path that the operating system would take; a ConfigError where it is none."""
    if not isinstance(given, str | os.PathLike) or "\0" in os.fspath(given):
        raise ConfigError(f"the trigger set's file: got {given!r}, needs a path", remedy='use "mine.triggers"')
    return Path(given)
