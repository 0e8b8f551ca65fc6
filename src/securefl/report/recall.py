"""Balanced accuracy: where one class is rare, accuracy says little."""

from __future__ import annotations

import numpy as np

from securefl.federated import Dataset, Model, Params


def balanced_accuracy(model: Model, params: Params, test: Dataset) -> float:
    """Return the share of each class that is found, averaged over the classes that occur, in [0, 1].

    Source: Brodersen et al. 2010, The balanced accuracy and its posterior distribution (ICPR), for two classes.
    """
    right = model.predict(params, test.x) == test.y
    return float(np.mean([right[test.y == label].mean() for label in np.unique(test.y)]))
