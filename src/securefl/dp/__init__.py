"""Differential privacy: exact integer noise, mechanisms, accounting, ledger.

The names below load when they are first used. `calibrate` and `privacy_of` are about plans, which are built on top of this package,
and are found here because their readers look for them here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from securefl.dp.clipping import FlatClip as FlatClip
    from securefl.dp.clipping import LayerClip as LayerClip
    from securefl.dp.ledger import Budget as Budget
    from securefl.dp.ledger import PrivacyBudgetError as PrivacyBudgetError
    from securefl.dp.ledger import PrivacyLedger as PrivacyLedger
    from securefl.dp.mechanisms import CentralDiscreteGaussian as CentralDiscreteGaussian
    from securefl.dp.mechanisms import DistributedDiscreteGaussian as DistributedDiscreteGaussian
    from securefl.dp.mechanisms import DistributedSkellam as DistributedSkellam
    from securefl.dp.mechanisms import LocalDiscreteGaussian as LocalDiscreteGaussian
    from securefl.dp.mechanisms import QuantileClip as QuantileClip
    from securefl.dp.modular_grid import ModularGrid as ModularGrid

_HOME: Final = {
    "FlatClip": "securefl.dp.clipping",
    "LayerClip": "securefl.dp.clipping",
    "Budget": "securefl.dp.ledger",
    "PrivacyBudgetError": "securefl.dp.ledger",
    "PrivacyLedger": "securefl.dp.ledger",
    "CentralDiscreteGaussian": "securefl.dp.mechanisms",
    "DistributedDiscreteGaussian": "securefl.dp.mechanisms",
    "DistributedSkellam": "securefl.dp.mechanisms",
    "LocalDiscreteGaussian": "securefl.dp.mechanisms",
    "QuantileClip": "securefl.dp.mechanisms",
    "ModularGrid": "securefl.dp.modular_grid",
    "calibrate": "securefl.pipeline.calibrate",
    "fewest_bits": "securefl.pipeline.calibrate",
    "privacy_of": "securefl.pipeline.calibrate",
}
"""Names and the modules that they live in."""

__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'securefl.dp' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_HOME)
