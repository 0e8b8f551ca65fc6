"""What a party does with the model it receives; one algorithm a file."""

from __future__ import annotations

from securefl.federated.algorithms.base import Algorithm, LocalUpdate
from securefl.federated.algorithms.fedavg import FedAvg

__all__ = ["Algorithm", "FedAvg", "LocalUpdate"]
