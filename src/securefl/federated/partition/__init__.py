"""Ways to deal data out to parties who are unlike: in labels, in numbers of examples, in features; one way a file.

All are for simulations. A partition is set by its seed and is no secret.
"""

from __future__ import annotations

from securefl.federated.partition.counting import summary
from securefl.federated.partition.even import iid
from securefl.federated.partition.feature_skew import FeatureShift, Shift, feature_shift
from securefl.federated.partition.label_skew import dirichlet
from securefl.federated.partition.requests import Indices, Labels
from securefl.federated.partition.shards import pathological
from securefl.federated.partition.size_skew import SizeLaw, quantity_skew

__all__ = [
    "FeatureShift",
    "Indices",
    "Labels",
    "Shift",
    "SizeLaw",
    "dirichlet",
    "feature_shift",
    "iid",
    "pathological",
    "quantity_skew",
    "summary",
]
