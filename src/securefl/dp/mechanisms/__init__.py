"""The mechanisms: who adds which noise, and how much of it, for a plan."""

from securefl.dp.mechanisms.choose import choose
from securefl.dp.mechanisms.discrete_gaussian import (
    CentralDiscreteGaussian,
    DistributedDiscreteGaussian,
    LocalDiscreteGaussian,
)
from securefl.dp.mechanisms.kinds import MECHANISMS
from securefl.dp.mechanisms.mechanism import Floor, Mechanism
from securefl.dp.mechanisms.quantile import QuantileClip
from securefl.dp.mechanisms.release import Release
from securefl.dp.mechanisms.skellam import DistributedSkellam

__all__ = [
    "MECHANISMS",
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
