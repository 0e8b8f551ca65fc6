"""The libraries of the `dp` extra, imported when an epsilon is asked for and not before."""

from __future__ import annotations

import contextlib
import importlib
import logging
from collections.abc import Iterator
from typing import Any

from securefl.errors import ConfigError


def load(module: str) -> Any:
    """Return a module of dp-accounting or scipy.

    Raises:
        ConfigError: the extra is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        library = "dp-accounting" if module.startswith("dp_accounting") else "scipy"
        raise ConfigError(
            f"privacy accounting needs {library}, which is not installed", remedy="pip install 'securefl[dp]'"
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep dp-accounting from logging the orders at which its series does not converge; it counts them as infinite."""
    logger = logging.getLogger("absl")
    logger.addFilter(_is_about_something_else)
    try:
        yield
    finally:
        logger.removeFilter(_is_about_something_else)


def _is_about_something_else(record: logging.LogRecord) -> bool:
    return "failed to converge" not in str(record.msg)
