"""The mechanisms: who adds which noise, and how much of it, for a plan."""

from securefl.dp.mechanisms.choose import choose
from securefl.dp.mechanisms.mechanism import (
    CentralDiscreteGaussian,
    DistributedDiscreteGaussian,
    DistributedSkellam,
    Floor,
    LocalDiscreteGaussian,
    Mechanism,
)
from securefl.dp.mechanisms.quantile import QuantileClip
from securefl.dp.mechanisms.release import Release

__all__ = [
    "CentralDiscreteGaussian",
    "DistributedDiscreteGaussian",
    "DistributedSkellam",
    "Floor",
    "LocalDiscreteGaussian",
    "Mechanism",
    "QuantileClip",
    "Release",
    "choose",
]
