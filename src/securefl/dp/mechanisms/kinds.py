"""Every mechanism by its name on the wire."""

from __future__ import annotations

from typing import Final

from securefl.dp.mechanisms.discrete_gaussian import (
    CentralDiscreteGaussian,
    DistributedDiscreteGaussian,
    LocalDiscreteGaussian,
)
from securefl.dp.mechanisms.skellam import DistributedSkellam

MECHANISMS: Final = {
    mechanism.kind: mechanism
    for mechanism in (
        DistributedDiscreteGaussian,
        DistributedSkellam,
        CentralDiscreteGaussian,
        LocalDiscreteGaussian,
    )
}
