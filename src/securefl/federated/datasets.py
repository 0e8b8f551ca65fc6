"""Small real data sets, bundled with scikit-learn, for demonstrations that need no download."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated._optional import missing
from securefl.federated.seeds import Use, generator


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Labelled examples of one party, or of a test set.

    Args:
        x: features, float, (n, ...).
        y: labels, integer, (n,), from 0.

    Raises:
        ConfigError: `x` is not float, `y` is not a vector of integers >= 0, or their lengths differ.
    """

    x: npt.NDArray[np.floating[Any]]
    y: npt.NDArray[np.integer[Any]]

    def __post_init__(self) -> None:
        x_kind, y_kind = np.asarray(self.x).dtype, np.asarray(self.y).dtype
        if not np.issubdtype(x_kind, np.floating):
            raise ConfigError(f"features x: got dtype {x_kind}, needs a float", remedy="x.astype('float32')")
        if not np.issubdtype(y_kind, np.integer) or np.ndim(self.y) != 1:
            raise ConfigError(
                f"labels y: got dtype {y_kind} with {np.ndim(self.y)} axes, needs integers with 1 axis",
                remedy="number the classes from 0",
            )
        if len(self.y) and self.y.min() < 0:
            raise ConfigError(f"labels y: got {self.y.min()}, needs numbers >= 0", remedy="number the classes from 0")
        if len(self.x) != len(self.y):
            raise ConfigError(f"features and labels: got {len(self.x)} and {len(self.y)} rows, needs equal numbers")

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        return f"<Dataset: {len(self)} examples of shape {self.x.shape[1:]}>"

    def subset(self, indices: npt.ArrayLike) -> Dataset:
        """Return the examples at `indices` (integers, (m,)), in that order."""
        chosen = np.asarray(indices, dtype=np.intp)
        return Dataset(self.x[chosen], self.y[chosen])


class Loader(Protocol):
    """A function that loads and splits one data set."""

    def __call__(self, seed: int, test_fraction: float = 0.2) -> tuple[Dataset, Dataset]:
        """Return (train, test)."""


def digits(seed: int, test_fraction: float = 0.2) -> tuple[Dataset, Dataset]:
    """Load 1797 handwritten digits as (train, test): 64 float32 features in [0, 1], 10 classes.

    Args:
        seed: of the split.
        test_fraction: share of the examples held out; 0.2 gives 1437 and 360.

    Raises:
        ConfigError: scikit-learn is missing, or the fraction leaves a side empty.

    Source: UCI Optical Recognition of Handwritten Digits (test part), as bundled with scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise missing("scikit-learn", "the digits data set") from error
    x, y = load_digits(return_X_y=True)
    return _split(Dataset((x / 16.0).astype(np.float32), y.astype(np.int64)), seed, test_fraction)


def breast_cancer(seed: int, test_fraction: float = 0.2) -> tuple[Dataset, Dataset]:
    """Load 569 breast-cancer biopsies as (train, test): 30 standardised float32 features, 2 classes.

    The mean and deviation are those of the whole training part. In a real federation nobody holds that part: these
    statistics would themselves need a secure sum (of x, x² and the counts) before the first round.

    Args:
        seed: of the split.
        test_fraction: share of the examples held out.

    Raises:
        ConfigError: scikit-learn is missing, or the fraction leaves a side empty.

    Source: UCI Breast Cancer Wisconsin (Diagnostic), as bundled with scikit-learn.
    """
    try:
        from sklearn.datasets import load_breast_cancer
    except ImportError as error:
        raise missing("scikit-learn", "the breast-cancer data set") from error
    x, y = load_breast_cancer(return_X_y=True)
    train, test = _split(Dataset(x, y.astype(np.int64)), seed, test_fraction)
    mean, deviation = train.x.mean(axis=0), train.x.std(axis=0)

    def standardised(part: Dataset) -> Dataset:
        return Dataset(((part.x - mean) / deviation).astype(np.float32), part.y)

    return standardised(train), standardised(test)


def _split(whole: Dataset, seed: int, test_fraction: float) -> tuple[Dataset, Dataset]:
    held_out = math.ceil(len(whole) * test_fraction) if 0.0 < test_fraction < 1.0 else 0
    if not 0 < held_out < len(whole):
        raise ConfigError(
            f"test_fraction: got {test_fraction}, needs a number in (0, 1) that leaves both sides an example",
            remedy="use test_fraction=0.2",
        )
    order = generator(seed, Use.SPLIT).permutation(len(whole))
    return whole.subset(order[held_out:]), whole.subset(order[:held_out])


DATASETS: Mapping[str, Loader] = MappingProxyType({"digits": digits, "breast_cancer": breast_cancer})
"""The bundled data sets by the name that a configuration file gives them."""
