"""A training image from the exponents that phe leaves in clear, and from what our packed fixed point leaves: nothing.

    python benchmarks/threats/exponent_leak.py [--quick] [--json FILE] [--plot FILE] [--repeats IMAGES]

A party encrypts the gradient of a softmax classifier at one of scikit-learn's digits. The attacker has no key, looks at no
ciphertext and does not know the model: it takes the exponents that stand beside the ciphertexts. A figure is what stays
hidden, 1 - correlation of the image that comes back with the true one, median over images; 1 where none comes back. The
ratio is ours over phe's. The notes give correlations and PSNR (peak 1), beside those of the mean digit, which needs no attack.

The exponents of the first image are those of real ciphertexts of phe; those of the others come from phe's encoder, which
alone decides them. Our exponents are those of our ciphertexts as the adapter hands them to phe.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from securefl.encoding import FixedPoint
from securefl.errors import ConfigError
from securefl.federated.datasets import Dataset, digits
from securefl.federated.models import Params, SoftmaxRegression
from securefl.paillier import Encryptor, PrivateKey, SlotLayout
from securefl.threats import correlation, psnr, recover_input

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, parser, publish, row
from progress import Progress, shown

try:
    import phe

    from securefl.paillier.phe_adapter import to_phe
except (ImportError, ConfigError):
    raise SystemExit("this attacks phe, which is not installed: pip install 'securefl[phe]'") from None

PIXELS, CLASSES, SIDE = 64, 10, 8
PARTIES = 10
STEPS, QUICK_STEPS = (0, 5, 1000), (0, 200)
PRECISION = 2.0**-20
IMAGES, QUICK_IMAGES, DRAWN = 100, 10, 6
BITS, QUICK_BITS = 2048, 1024
"""Of phe's key; ours has 3072. Nothing here depends on either, and nothing is timed."""

Floats = npt.NDArray[np.float64]
Exponents = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Attack:
    """What came back of some images from one encoding."""

    truth: Sequence[npt.NDArray[Any]]
    found: Sequence[Floats | None]

    @property
    def correlations(self) -> list[float]:
        """Of each image; 0 where nothing came back."""
        return [0.0 if f is None else correlation(f, t) for f, t in zip(self.found, self.truth, strict=True)]

    @property
    def hidden(self) -> float:
        """1 - median correlation, at most 1."""
        return 1 - max(0.0, float(np.median(self.correlations)))

    def __str__(self) -> str:
        pairs = [(f, t) for f, t in zip(self.found, self.truth, strict=True) if f is not None]
        if not pairs:
            return "nothing comes back"
        seen = [correlation(f, t) for f, t in pairs]
        noise = float(np.median([psnr(f, t) for f, t in pairs]))
        return f"correlation {np.median(seen):.3f} (lowest {min(seen):.2f}), {noise:.1f} dB, of {len(pairs)} images"


def trained(model: SoftmaxRegression, data: Dataset, steps: int) -> Params:
    """Parameters after so many steps of SGD on batches of 32."""
    params, rng = model.initial(0), np.random.default_rng(1)
    for _ in range(steps):
        batch = data.subset(rng.choice(len(data), 32))
        _, gradient = model.loss_and_gradient(params, batch.x, batch.y)
        params = {name: params[name] - 0.5 * gradient[name] for name in params}
    return params


def gradient_of(model: SoftmaxRegression, params: Params, data: Dataset, index: int) -> Floats:
    """The gradient at one example, flat: the weights, then the bias."""
    one = data.subset([index])
    _, gradient = model.loss_and_gradient(params, one.x, one.y)
    return np.concatenate([gradient[name].ravel() for name in ("weight", "bias")]).astype(np.float64)


def attacked(exponents: Exponents) -> Floats | None:
    """The image, from an exponent for each value of a gradient."""
    return recover_input(exponents[:-CLASSES].reshape(PIXELS, CLASSES), exponents[-CLASSES:])


class Phe:
    """phe's numbers under a public key; nobody keeps the private one."""

    def __init__(self, bits: int) -> None:
        self.key, _ = phe.generate_paillier_keypair(n_length=bits)

    def sent(self, gradient: Floats) -> Exponents:
        """Encrypt, and return what stands beside the ciphertexts."""
        return np.array([self.key.encrypt(value).exponent for value in gradient.tolist()])

    def encoded(self, gradient: Floats, precision: float | None = None) -> Exponents:
        """The same without the work of encrypting."""
        encode = phe.EncodedNumber.encode
        return np.array([encode(self.key, value, precision).exponent for value in gradient.tolist()])


class Ours:
    """Fixed point, packed, under a public key."""

    def __init__(self) -> None:
        key = PrivateKey.generate().public_key
        self.grid = FixedPoint(value_bits=16, bound=1.0)
        self.layout = SlotLayout(key.bits, PARTIES, self.grid.max_value)
        self.encryptor = Encryptor(key)

    def sent(self, gradient: Floats) -> Exponents:
        """Encrypt, and return for each value what stands beside the ciphertext that it is in."""
        values = np.empty(gradient.size, dtype=np.int64)
        self.grid.encode_into(gradient, values)
        numbers = to_phe(self.encryptor.encrypt(self.layout.pack(values)))
        return np.repeat([number.exponent for number in numbers], self.layout.slots)[: gradient.size]


def measure(
    images: int, steps: Sequence[int], bits: int, progress: Progress
) -> tuple[list[Row], list[str], Attack, Attack]:
    """All cases; returns rows, notes, and what came back at the last model from phe and from ours."""
    progress.case("making keys")
    theirs, ours = Phe(bits), Ours()
    train, test = digits(seed=0)
    model = SoftmaxRegression(PIXELS, CLASSES)
    truth = [test.x[i] for i in range(images)]
    mean = train.x.mean(axis=0)
    rows, notes = [], []

    def add(case: str, mine: Attack, other: Attack, name: str) -> None:
        line = row(case, mine.hidden, other.hidden, unit="1 - corr.", peer_name=name, better="more")
        pairs = (("ours", mine), ("peer", other))
        rows.append(line | {f"{who}_correlation": float(np.median(attack.correlations)) for who, attack in pairs})
        notes.append(f"{case}: {name}: {other}; ours: {mine}")

    for step in steps:
        case = f"model after {step} steps" if step else "model of zeros"
        progress.case(case)
        params = trained(model, train, step)
        gradients = [gradient_of(model, params, test, i) for i in range(images)]
        exponents = [theirs.encoded(gradient) for gradient in gradients]
        if step == steps[-1]:
            progress.case(f"encrypting {gradients[0].size} values with phe")
            exponents[0] = theirs.sent(gradients[0])
        default = Attack(truth, [attacked(found) for found in exponents])
        mine = Attack(truth, [attacked(ours.sent(gradient)) for gradient in gradients])
        add(case, mine, default, "phe")
    fixed = Attack(truth, [attacked(theirs.encoded(gradient, PRECISION)) for gradient in gradients])
    add(case, mine, fixed, f"phe, precision 2^{np.log2(PRECISION):.0f}")
    notes.append(f"for comparison, the mean digit: {Attack(truth, [mean.astype(np.float64)] * images)}")
    return rows, notes, default, mine


def draw(theirs: Attack, ours: Attack, title: str, path: Path) -> None:
    """The first images: as they are, from phe's exponents, from ours."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from plots import STYLE

    count = min(DRAWN, len(theirs.truth))
    lines = (
        ("the image", theirs.truth),
        ("from phe's\nexponents", theirs.found),
        ("from ours", ours.found),
    )
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        drawn = Figure(figsize=(1.6 * count + 1, 6), layout="constrained")
        drawn.suptitle(title, fontsize=12)
        panels = drawn.subplots(len(lines), count, squeeze=False)
        for across, (name, images) in zip(panels, lines, strict=True):
            for axes, image, truth in zip(across, images, theirs.truth, strict=False):
                axes.set(xticks=[], yticks=[])
                axes.spines[["top", "right"]].set_visible(True)
                if image is None:
                    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", facecolor="#eeeeee")
                    axes.text(0.5, 0.5, "nothing", ha="center", va="center", color="#555555")
                    continue
                axes.imshow(image.reshape(SIDE, SIDE), cmap="gray", vmin=0, vmax=1)
                if image is not truth:
                    axes.set_xlabel(f"r = {correlation(image, truth):.3f}\n{psnr(image, truth):.1f} dB", fontsize=9)
            across[0].set_ylabel(name, rotation=0, ha="right", va="center")
        drawn.savefig(path, dpi=150)


def main() -> None:
    """Attack, print, draw."""
    made = parser(__doc__ or "", repeats=IMAGES, quick=True, plot=True, repeated="images of which the median is given")
    options = made.parse_args()
    images, steps, bits = options.repeats, STEPS, BITS
    if options.quick:
        images, steps, bits = min(images, QUICK_IMAGES), QUICK_STEPS, QUICK_BITS
    with shown() as progress:
        rows, notes, theirs, ours = measure(images, steps, bits, progress)
    publish(rows, options.json, notes=notes, images=images)
    if options.plot:
        title = f"A digit from the exponents of its encrypted gradient, model after {steps[-1]} steps, no key"
        draw(theirs, ours, title, options.plot)


if __name__ == "__main__":
    main()
