"""What each party of an experiment holds, and what nobody does."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from securefl.federated.datasets import Dataset


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Dealt:
    """What each party holds, and what nobody does.

    Args:
        clients: each party's own examples, by name.
        test: what was held out; under feature shift dealt to the parties and seen as they see it.
        public: what everybody may see, and no party holds; None where nothing is public.
        classes: how many labels there are.
        tests: for each party, the test examples as it sees them, by class, with the share that its own examples have of that class.
    """

    clients: Mapping[str, Dataset]
    test: Dataset
    public: Dataset | None
    classes: int
    tests: Mapping[str, tuple[tuple[float, Dataset], ...]]

    @property
    def acting(self) -> bool:
        """Whether parties have environments in place of examples."""
        return not isinstance(self.test, Dataset)

    def counts(self) -> npt.NDArray[np.int64]:
        """Examples by party and class, (parties, classes); no class for environments."""
        if self.acting:
            return np.zeros((len(self.clients), 0), dtype=np.int64)
        return np.stack([np.bincount(own.y, minlength=self.classes) for own in self.clients.values()]).astype(np.int64)
