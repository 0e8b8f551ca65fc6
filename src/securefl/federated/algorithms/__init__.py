"""What a party does with the model in one round; one file an algorithm."""

from __future__ import annotations

from securefl.federated.algorithms.base import Algorithm, LocalTask, LocalUpdate
from securefl.federated.algorithms.compressed import RandomSubspace, TopK
from securefl.federated.algorithms.fedavg import FedAvg
from securefl.federated.algorithms.fedprox import FedProx
from securefl.federated.algorithms.personal import FedBN, FedPer
from securefl.federated.algorithms.scaffold import Scaffold
from securefl.federated.algorithms.transfer import Transfer

__all__ = [
    "Algorithm",
    "FedAvg",
    "FedBN",
    "FedPer",
    "FedProx",
    "LocalTask",
    "LocalUpdate",
    "RandomSubspace",
    "Scaffold",
    "TopK",
    "Transfer",
]
