"""Reading and writing files so that nothing is half written, overwritten by accident, or explained by a traceback."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from securefl.errors import ConfigError

MAX_TEXT: Final = 64 << 20
"""Most bytes of a text file: configurations, records, histories."""

MAX_BYTES: Final = 1 << 30
"""Most bytes of another file, a model's above all."""

_PIECE: Final = 1 << 20


def read_text(path: str | Path, *, what: str, remedy: str) -> str:
    """The text of a file.

    Args:
        path: the file.
        what: what it is to be, for the error.
        remedy: where one comes from, for the error.

    Raises:
        ConfigError: it cannot be read, is not UTF-8, or has no end within `MAX_TEXT`.
    """
    try:
        return read_bytes(path, what=what, remedy=remedy, most=MAX_TEXT).decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"the {what} {path} cannot be read: {_reason(error)}", remedy=remedy) from error


def read_password(path: str | Path) -> str:
    """The password in a file, without the newline at its end.

    Raises:
        ConfigError: it cannot be read, or is empty.
    """
    password = read_text(path, what="password file", remedy="give a text file with the password").rstrip("\r\n")
    if not password:
        raise ConfigError(f"the password in {path} is empty", remedy="write one into it, or name another file")
    return password


def read_bytes(path: str | Path, *, what: str, remedy: str, most: int = MAX_BYTES) -> bytes:
    """The bytes of a file.

    Args:
        path: as of `read_text`.
        what: as of `read_text`.
        remedy: as of `read_text`.
        most: how many bytes it may have; a device without an end is not read for ever.

    Raises:
        ConfigError: it cannot be read, or has more bytes.
    """
    data = bytearray()
    try:
        with Path(path).open("rb") as file:
            while piece := file.read(_PIECE):
                data += piece
                if len(data) > most:
                    raise ConfigError(f"the {what} {path} is longer than {most >> 20} MiB", remedy=remedy)
    except OSError as error:
        raise ConfigError(f"the {what} {path} cannot be read: {_reason(error)}", remedy=remedy) from error
    return bytes(data)


def write(path: str | Path, data: str | bytes, *, mode: int = 0o666, overwrite: bool = True) -> None:
    """Write a whole file or nothing: to a temporary neighbour first, which then takes the name.

    Args:
        path: the file.
        data: its content; text is written as UTF-8.
        mode: its permissions, less the process's umask; 0o600 for secrets.
        overwrite: whether a file of that name may be replaced.

    Raises:
        ConfigError: it exists and may not be replaced, or cannot be written.
    """
    path = Path(path)
    content = data.encode() if isinstance(data, str) else data
    try:
        with contextlib.ExitStack() as undo:
            if not overwrite:
                # Claims the name, so that of two writers one is refused.
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
                undo.callback(path.unlink, missing_ok=True)
            new = path.with_name(f".{path.name}.{os.getpid()}")
            handle = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
            undo.callback(new.unlink, missing_ok=True)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
            undo.pop_all()
    except FileExistsError as error:
        raise ConfigError(
            f"{path} exists already and was left as it is", remedy="choose another name, or give --force to replace it"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {_reason(error)}", remedy="choose another place, or mend its permissions"
        ) from error


def write_json(path: str | Path, data: Mapping[str, Any]) -> None:
    """Write a JSON file; numbers that JSON has not (NaN, infinity) are refused rather than written.

    Raises:
        ConfigError: it cannot be written.
    """
    write(path, json_text(data))


def json_text(data: Mapping[str, Any]) -> str:
    """The JSON text of a mapping, indented, with a final newline."""
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def make_directory(path: str | Path) -> Path:
    """The directory, made where it was missing.

    Raises:
        ConfigError: it cannot be made, or is a file.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the directory {path} cannot be made: {_reason(error)}", remedy="choose another with --output"
        ) from error
    return path


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
