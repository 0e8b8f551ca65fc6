"""What the server does with the mean update; one optimizer a file."""

from __future__ import annotations

from securefl.federated.optimizers.adagrad import FedAdagrad
from securefl.federated.optimizers.adam import FedAdam
from securefl.federated.optimizers.averaging import Averaging
from securefl.federated.optimizers.base import ServerOptimizer
from securefl.federated.optimizers.momentum import FedAvgM
from securefl.federated.optimizers.state import State, check_state
from securefl.federated.optimizers.yogi import FedYogi

__all__ = [
    "Averaging",
    "FedAdagrad",
    "FedAdam",
    "FedAvgM",
    "FedYogi",
    "ServerOptimizer",
    "State",
    "check_state",
]
