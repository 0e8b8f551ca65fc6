"""PyTorch: any `state_dict` to and from a plan's template, and example-level DP-SGD by Opacus.

Importing this needs torch; Opacus is imported by the first training.
"""

from __future__ import annotations

from securefl.errors import ConfigError

try:
    import torch as torch
except ImportError as error:
    raise ConfigError(
        "securefl.torch needs torch, which is not installed", remedy="pip install 'securefl[torch]'"
    ) from error

from securefl.torch.dp_sgd import CAVEATS, DpSgd
from securefl.torch.model import TorchModel
from securefl.torch.policy import TorchPolicy
from securefl.torch.selection import Select, everything, floats, parameters_of
from securefl.torch.state_dict import from_update, load_update, template_of, to_update
from securefl.torch.steps import Steps, event_of, steps_of, steps_since

__all__ = [
    "CAVEATS",
    "DpSgd",
    "Select",
    "Steps",
    "TorchModel",
    "TorchPolicy",
    "event_of",
    "everything",
    "floats",
    "from_update",
    "load_update",
    "parameters_of",
    "steps_of",
    "steps_since",
    "template_of",
    "to_update",
]
