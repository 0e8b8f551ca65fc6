"""Where `securefl` starts: an error becomes one clear line and an exit code, never a traceback."""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from securefl.cli.text import printable
from securefl.errors import ConfigError, RoundAbortedError, SecureFLError

FAILED = 1
_TYPERS_INTERRUPT = 130
_INTERRUPTED = "interrupted; what was not reported as written was not written"
_LIBRARIES = frozenset({"typer", "click", "rich", "shellingham"})


def entry(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 refused or failed, 2 wrong usage.

    Args:
        arguments: what follows `securefl`; by default the process's own.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal's encoding lacks is shown escaped; it is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _warnings_as_lines():
            _app()(args=given, prog_name="securefl")
    except SecureFLError as error:
        if debug:
            raise
        _fail(explained(error))
    except KeyboardInterrupt:
        _fail(_INTERRUPTED)
    except SystemExit as left:
        if left.code == _TYPERS_INTERRUPT:
            _fail(_INTERRUPTED)
        raise
    except Exception as error:
        if debug:
            raise
        _fail(
            f"unexpected {type(error).__name__}: {error}. This is a defect of securefl: "
            "run again as `securefl --debug ...` and report what it prints"
        )
    sys.exit(0)


def explained(error: SecureFLError) -> str:
    """One line: the message with its remedy, where it happened, and what led to the end of a round."""
    text = str(error)
    for note in getattr(error, "__notes__", ()):
        text += f" ({note})"
    if isinstance(error, RoundAbortedError) and error.__cause__ is not None:
        text += f" (after: {error.__cause__})"
    return text


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Show securefl's own warnings as one line each, once, without the place in its source."""
    shown, usual = set(), warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if not category.__module__.startswith("securefl."):
            usual(message, category, *place, **more)
        elif str(message) not in shown:
            shown.add(str(message))
            print(f"securefl: warning: {printable(str(message))}", file=sys.stderr)  # noqa: T201 - one line, as _fail

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _app() -> Callable[..., object]:
    try:
        from securefl.cli.app import app
    except ImportError as error:
        if error.name not in _LIBRARIES:
            raise
        raise ConfigError(
            f"the command line needs {error.name}, which is not installed", remedy="pip install 'securefl[cli]'"
        ) from error
    return app


def _fail(message: str) -> NoReturn:
    line = printable(" ".join(message.split()))  # it quotes files and names
    print(f"securefl: {line}", file=sys.stderr)  # noqa: T201 - one line, which rich would wrap
    sys.exit(FAILED)
