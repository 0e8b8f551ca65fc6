"""The imprint attack: a malicious server plants a first layer that sorts a party's examples into bins, and reads them from its update.

Every unit of the layer measures the same thing, the brightness of the input, and has another threshold. The gradient of a unit is
the sum over the examples that are brighter than its threshold; two neighbours differ by the examples between, and where that is one
example the difference **is** that example, times a number that the biases' gradients give.

Source: Fowl et al. 2022, Robbing the Fed (arXiv:2110.13057), section 4.
"""

from __future__ import annotations

import dataclasses
import statistics

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.models import Params, Perceptron
from securefl.federated.seeds import Use, generator

Images = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Imprint:
    """What the attacker knows before it attacks.

    Args:
        mean: of the brightness of images like the parties', as public ones show.
        spread: their standard deviation, above 0.
        gain: by how much later weights are larger, and planted ones smaller: the model says the same, and gradients grow out of what
            encodings round away.
        jitter: of the planted weights, relative to their length, so that rows are not equal; 0 for none.

    Raises:
        ConfigError: an argument is out of range.
    """

    mean: float
    spread: float
    gain: float = 1.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.mean) and np.isfinite(self.spread) and self.spread > 0):
            raise ConfigError(f"mean, spread: got {self.mean}, {self.spread}, needs finite numbers and spread > 0")
        if not (np.isfinite(self.gain) and self.gain > 0 and np.isfinite(self.jitter) and self.jitter >= 0):
            raise ConfigError(f"gain, jitter: got {self.gain}, {self.jitter}, needs gain > 0 and jitter >= 0")

    @classmethod
    def learnt(cls, public: npt.NDArray[np.floating], *, gain: float = 1.0, jitter: float = 0.0) -> Imprint:
        """From public images, (n, ...).

        Raises:
            ConfigError: fewer than 2, or all equally bright.
        """
        if len(public) < 2:
            raise ConfigError(f"public images: got {len(public)}, needs at least 2")
        brightness = public.reshape(len(public), -1).mean(axis=1, dtype=np.float64)
        return cls(float(brightness.mean()), float(brightness.std()), gain=gain, jitter=jitter)

    def thresholds(self, bins: int) -> npt.NDArray[np.float64]:
        """Quantiles of a normal brightness that give each of `bins` bins the same share, ascending; the first is far below all."""
        normal = statistics.NormalDist(self.mean, self.spread)
        return np.array([self.mean - 8 * self.spread, *(normal.inv_cdf(k / bins) for k in range(1, bins))])

    def plant(self, model: Perceptron, *, seed: int = 0) -> Params:
        """Parameters of `model` whose first layer is an imprint, and whose later ones pass on the same of every unit.

        Args:
            model: a perceptron of at least 2 units in its first layer: one bin a unit.
            seed: of the later layers, and of the jitter.

        Raises:
            ConfigError: fewer than 2 units.
        """
        units, rng = model.hidden[0], generator(seed, Use.ATTACK)
        if units < 2:
            raise ConfigError(
                f"the first layer has {units} units, needs at least 2: a bin is what two of them differ by"
            )
        params = model.initial(seed)
        brightness = np.full(model.features, 1 / (self.gain * model.features))
        rows = np.repeat(brightness[:, None], units, axis=1)
        rows += self.jitter * np.linalg.norm(brightness) * rng.standard_normal(rows.shape) / np.sqrt(model.features)
        params["layer0.weight"] = rows.astype(np.float32)
        params["layer0.bias"] = (-self.thresholds(units) / self.gain).astype(np.float32)
        # Of every unit the same goes on, so that each adds an example to its gradient with the same factor.
        following = "layer1.weight" if len(model.hidden) > 1 else "head.weight"
        width = params[following].shape[1]
        onward = rng.standard_normal((1, width)) * (self.gain / units)
        params[following] = np.repeat(onward, units, axis=0).astype(np.float32)
        return params


def recovered(update: Params, *, noise: float = 0.0) -> Images:
    """The images of all bins that something fell into, (m, features): a gradient's, or an update's, of one step at any rate.

    A bin with one example holds that example; one with several a weighted mean of them. **From a sum of several parties' updates
    it is the same, over the bins of all of them: nothing says whose an image is.**

    Args:
        update: with "layer0.weight" (d, h) and "layer0.bias" (h,) in the order that `Imprint.plant` gave.
        noise: a bin whose share of the bias's gradient is not above this is taken for empty; what an encoding rounds away.

    Raises:
        ConfigError: a tensor is missing or of another shape.
    """
    weight, bias = update.get("layer0.weight"), update.get("layer0.bias")
    if weight is None or bias is None or weight.ndim != 2 or bias.shape != weight.shape[1:]:
        raise ConfigError(
            "the update has no layer0.weight (d, h) and layer0.bias (h,)", remedy="plant into a Perceptron"
        )
    rows, scale = weight.T.astype(np.float64), bias.astype(np.float64)
    # The last unit has no brighter neighbour: what it sums up is its bin.
    rows = rows - np.concatenate([rows[1:], np.zeros((1, rows.shape[1]))])
    scale = scale - np.concatenate([scale[1:], [0.0]])
    filled = np.abs(scale) > max(noise, 1e-9 * float(np.abs(scale).max()), 1e-300)
    images: Images = rows[filled] / scale[filled, None]
    return images


def matched(found: Images, truth: npt.NDArray[np.floating], *, peak: float = 1.0) -> npt.NDArray[np.float64]:
    """For each true image the PSNR in dB of the nearest that was found, at most 200; 0 where nothing was found.

    Args:
        found: (m, d).
        truth: (n, ...), flattened to (n, d).
        peak: the largest value that a pixel may have.
    """
    flat = truth.reshape(len(truth), -1).astype(np.float64)
    if not len(found):
        return np.zeros(len(flat))
    errors = np.array([np.square(found - image).mean(axis=1).min() for image in flat])
    with np.errstate(divide="ignore"):
        nearest: npt.NDArray[np.float64] = np.minimum(10 * np.log10(peak**2 / errors), 200.0)
    return nearest
