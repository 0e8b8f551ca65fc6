"""Flower as the engine: a strategy wrapper for the server, one mod for the client, and everything between them as bytes.

    strategy = SecureAggregation(FedAvg(fraction_evaluate=0.0), plan=plan, roster=roster)      # ServerApp
    app = ClientApp(mods=[secure_mod])                                                         # ClientApp, first in the list

Needs the extra `flower`. The client's side imports numpy, cryptography, msgspec and flwr only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from securefl.errors import ConfigError

try:
    import flwr as flwr
except ImportError as error:
    raise ConfigError(
        "securefl.flower needs flwr, which is not installed", remedy="pip install 'securefl[flower]'"
    ) from error

if TYPE_CHECKING:
    from securefl.flower.arrays import template_of as template_of
    from securefl.flower.mod import secure_mod as secure_mod
    from securefl.flower.strategy import SecureAggregation as SecureAggregation

_HOME = {
    "SecureAggregation": "securefl.flower.strategy",
    "secure_mod": "securefl.flower.mod",
    "template_of": "securefl.flower.arrays",
}
__all__ = ["SecureAggregation", "secure_mod", "template_of"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'securefl.flower' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
