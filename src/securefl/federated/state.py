"""All that training has learnt so far: what a round starts from, and what a checkpoint holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from securefl.federated.history import History
from securefl.federated.models import Params


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class TrainingState:
    """Where training stands after its last finished round; a round makes a new one, or changes nothing.

    Args:
        params: the shared model.
        server: the server optimizer's state.
        broadcast: what the server sends beside the parameters.
        memories: what each party kept to itself, by name; in a simulation they are all here.
        history: the finished rounds.
    """

    params: Params
    server: Any
    broadcast: Params
    memories: Mapping[str, Params] = dataclasses.field(default_factory=dict)
    history: History = dataclasses.field(default_factory=History)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything but the history, by names such as `params/weight`."""
        found: dict[str, np.ndarray] = {}
        for part, arrays in (("params", self.params), ("server", self.server or {}), ("broadcast", self.broadcast)):
            found |= {f"{part}/{name}": leaf for name, leaf in arrays.items()}
        for party, memory in self.memories.items():
            found |= {f"memory/{party}/{name}": leaf for name, leaf in memory.items()}
        return found
