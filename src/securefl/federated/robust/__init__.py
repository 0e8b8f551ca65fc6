"""Averages that some wrong updates cannot move far: rules, and who may apply them to what.

median · trimmed_mean · krum · geometric_median: the rules, functions and objects
RobustAverage: a rule over updates in the clear · GroupwiseRobust: a rule over the means of groups, under secure aggregation
NormBound: what an honest party does to its own update
"""

from __future__ import annotations

from securefl.federated.robust.clear import RobustAverage
from securefl.federated.robust.geometric_median import GeometricMedian, geometric_median
from securefl.federated.robust.groupwise import GroupwiseRobust
from securefl.federated.robust.hidden import refuse_over_hidden
from securefl.federated.robust.krum import Krum, MultiKrum, krum, krum_scores, multi_krum
from securefl.federated.robust.mean import Mean
from securefl.federated.robust.median import Median, coordinate_median
from securefl.federated.robust.norm_bound import NormBound, NormBounded
from securefl.federated.robust.outcome import GroupwiseOutcome
from securefl.federated.robust.rule import Rule
from securefl.federated.robust.trimmed_mean import TrimmedMean, trimmed_mean

__all__ = [
    "GeometricMedian",
    "GroupwiseOutcome",
    "GroupwiseRobust",
    "Krum",
    "Mean",
    "Median",
    "MultiKrum",
    "NormBound",
    "NormBounded",
    "RobustAverage",
    "Rule",
    "TrimmedMean",
    "coordinate_median",
    "geometric_median",
    "krum",
    "krum_scores",
    "multi_krum",
    "refuse_over_hidden",
    "trimmed_mean",
]
