"""The one sentence a reader sees when a library of an extra is not installed."""

from __future__ import annotations

from securefl.errors import ConfigError


def missing(library: str, purpose: str) -> ConfigError:
    """Return the error that says what needs `library` and how to install it."""
    return ConfigError(f"{purpose} needs {library}, which is not installed", remedy="pip install 'securefl[demo]'")
