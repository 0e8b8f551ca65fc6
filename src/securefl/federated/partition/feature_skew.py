"""Feature skew: every party sees the same kind of example through another instrument."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.datasets import Dataset
from securefl.federated.partition.requests import between, checked_seed, whole
from securefl.federated.partition.rotation import rotated_images, rotated_vectors
from securefl.federated.seeds import Use, generator

Features = npt.NDArray[np.floating[Any]]


class Shift(enum.StrEnum):
    """What is done to a party's features, s being the strength and k = 1..n the party's number.

    scale: times exp(s z), z ~ N(0, 1): one z a feature for vectors, one for an image (contrast).
    offset: plus s z, likewise (brightness).
    rotation: by an angle uniform in [-s, s] radians: in random planes for vectors, about the centre for images.
    noise: plus N(0, (s k/n)^2), fresh for each value: party n has the worst sensor.
    """

    SCALE = "scale"
    OFFSET = "offset"
    ROTATION = "rotation"
    NOISE = "noise"


_STRONGEST: Final = {Shift.SCALE: 10.0, Shift.OFFSET: 1e6, Shift.ROTATION: math.pi, Shift.NOISE: 1e6}


@dataclasses.dataclass(frozen=True, slots=True)
class FeatureShift:
    """One transformation of features for each party, to be applied to its training set and its test set alike.

    Args:
        kind: "scale", "offset", "rotation" or "noise".
        strength: s; 0 changes nothing. At most 10 for scale, pi for rotation, 1e6 for the others.
        parties: n.
        seed: of all that is random.

    Raises:
        ConfigError: an argument is out of range.

    Source: noise by party as in Li et al. 2022 (arXiv:2102.02079, section 4, "noise-based feature imbalance"; there s k/n
        is the variance); rotated images by party as in Ghosh et al. 2020 (arXiv:2006.04088, section 6).
    """

    kind: Shift | str
    strength: float
    parties: int
    seed: int

    def __post_init__(self) -> None:
        if self.kind not in set(Shift):
            raise ConfigError(f"kind: got {self.kind!r}, needs one of {', '.join(Shift)}", remedy="use kind='scale'")
        between("strength", self.strength, 0, _STRONGEST[Shift(self.kind)], "use strength=0.3")
        whole("parties", self.parties, 1, "ask for one party or more")
        checked_seed(self.seed)

    def __call__(self, dataset: Dataset, party: int, part: int = 0) -> Dataset:
        """Return the data set as this party sees it: same labels, same dtype and shape; nothing is clipped to a range.

        Args:
            dataset: examples whose x is (n, d), vectors, or (n, height, width) or (n, height, width, channels), images.
            party: 0..parties-1.
            part: which of the party's data sets; noise is fresh for each, everything else is the same for all.

        Raises:
            ConfigError: the party is not one of these, the features have no such shape, or results are not finite.
        """
        if whole("party", party, 0, "number the parties from 0") >= self.parties:
            raise ConfigError(
                f"party: got {party}, needs a number in 0..{self.parties - 1}", remedy="number the parties from 0"
            )
        whole("part", part, 0, "use 0 for the training set and 1 for the test set")
        if dataset.x.ndim not in {2, 3, 4}:
            raise ConfigError(
                f"features x: got shape {dataset.x.shape}, needs (n, d), (n, h, w) or (n, h, w, channels)",
                remedy="reshape the features",
            )
        with np.errstate(over="ignore", invalid="ignore"):
            shifted = self._shifted(dataset.x, party, part).astype(dataset.x.dtype)
        if not np.isfinite(shifted).all():
            raise ConfigError(
                f"strength: got {self.strength} on features that are then not finite in {dataset.x.dtype}",
                remedy="lower the strength, or look for NaN and infinities in the features",
            )
        return Dataset(shifted, dataset.y)

    def _shifted(self, x: Features, party: int, part: int) -> Features:
        rng = generator(self.seed, Use.FEATURE_SHIFT, party)
        if self.kind == Shift.NOISE:
            rng = generator(self.seed, Use.FEATURE_SHIFT, party, part)
            return x + self.strength * (party + 1) / self.parties * rng.standard_normal(x.shape)
        if self.kind == Shift.ROTATION:
            angle = rng.uniform(-self.strength, self.strength)
            return rotated_vectors(x, angle, rng) if x.ndim == 2 else rotated_images(x, angle)
        z = rng.standard_normal(x.shape[1] if x.ndim == 2 else None)
        return x * np.exp(self.strength * z) if self.kind == Shift.SCALE else x + self.strength * z


def feature_shift(
    clients: Mapping[str, Dataset], kind: Shift | str, strength: float, seed: int, part: int = 0
) -> dict[str, Dataset]:
    """Return each party's examples as that party sees them; see `FeatureShift`.

    To give the parties the same examples, pass the same data set for each; to shift their test sets too, call it again
    with part=1.

    Args:
        clients: examples by party.
        kind: "scale", "offset", "rotation" or "noise".
        strength: s; 0 changes nothing.
        seed: of all that is random.
        part: 0 for the training sets, another number for other sets of the same parties.

    Raises:
        ConfigError: there are no clients, or an argument is out of range; the message names the party.
    """
    shift = FeatureShift(kind, strength, len(clients), seed)
    shifted = {}
    for number, (name, dataset) in enumerate(clients.items()):
        try:
            shifted[name] = shift(dataset, number, part)
        except ConfigError as error:
            raise ConfigError(f"party {name!r}: {error.message}", remedy=error.remedy) from error
    return shifted
