"""A small classification problem that needs numpy only."""

from __future__ import annotations

import numpy as np
import pytest

from securefl.federated import Dataset, SoftmaxRegression, iid


@pytest.fixture
def blobs() -> Dataset:
    """Three well separated clouds in the plane, 90 examples."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 30)
    centres = np.array([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])
    return Dataset((centres[y] + 0.3 * rng.standard_normal((90, 2))).astype(np.float32), y)


@pytest.fixture
def clients(blobs: Dataset) -> dict[str, Dataset]:
    return {f"party-{i}": blobs.subset(part) for i, part in enumerate(iid(blobs.y, 10, seed=1))}


@pytest.fixture
def model() -> SoftmaxRegression:
    return SoftmaxRegression(features=2, classes=3)
