"""Training images from one update, by a model that a malicious server planted: in the clear, through a secure sum, and with the check.

    python benchmarks/threats/imprint.py [--quick] [--json FILE] [--plot FILE] [--repeats GROUPS]

The server sends a perceptron whose first layer is an imprint (Fowl et al. 2022, arXiv:2110.13057). Each party takes one step on 16 of
scikit-learn's digits and sends its update. The server has other digits to set its thresholds by. A figure is the share of a party's
images that stay hidden: those whose nearest image among what came back has a PSNR below 30 dB (peak 1). "In the clear" is one party's
update as it is; "sum of 10" is what ten parties' real secure aggregation opens, in 16 bits. **A secure sum does not stop this attack:
with enough bins images come back from it, only nobody can say from which party.** "Refused" is a party with the default policy: it sends
nothing, and so nothing comes back. The notes have what an honest model gives away by itself, and what jitter does to attack and check.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import securefl as sfl
from securefl.errors import PolicyRefusedError
from securefl.federated.datasets import Dataset, digits
from securefl.federated.models import Params, Perceptron
from securefl.threats.imprint import Imprint, matched, recovered

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, parser, publish, row
from progress import Progress, shown

PARTIES, IMAGES, SIDE = 10, 16, 8
BINS, QUICK_BINS = (256, 1024, 4096), (256,)
SHARP = 30.0
"""PSNR in dB from which an image has come back."""
LEAST = 1e-3
"""A ratio needs something to stand on."""
JITTERS = (0.0, 0.1, 0.3, 0.5, 0.7, 1.0, 2.0)
DRAWN = 8
RATE = 0.1

Images = npt.NDArray[np.float64]


def update_of(model: Perceptron, params: Params, data: Dataset) -> Params:
    """What a party sends after one step on all its examples."""
    _, gradient = model.loss_and_gradient(params, data.x, data.y)
    return {name: -RATE * leaf for name, leaf in gradient.items()}


def through_a_sum(updates: dict[str, Params]) -> Images:
    """What the planted layer gives back from the sum that a real secure aggregation opens."""
    plan = sfl.Plan.for_updates(updates, encoding=sfl.FixedPoint(value_bits=16, bound=1.0))
    return recovered(sfl.aggregate(updates, plan).sum, noise=2 * PARTIES * plan.encoding.error_bound)


def accepted(params: Params) -> str:
    """The floor that refuses a model by default; empty where none does."""
    try:
        sfl.ClientPolicy().check_model(params)
    except PolicyRefusedError as refusal:
        return refusal.floor
    return ""


def attack(model: Perceptron, params: Params, groups: Sequence[Sequence[Dataset]]) -> tuple[list[float], list[float]]:
    """PSNR of every image of each group's first party: from its own update, and from the sum of its group's."""
    alone, summed = [], []
    for group in groups:
        updates = {f"party-{i}": update_of(model, params, data) for i, data in enumerate(group)}
        alone += matched(recovered(updates["party-0"]), group[0].x).tolist()
        summed += matched(through_a_sum(updates), group[0].x).tolist()
    return alone, summed


def hidden(levels: Sequence[float]) -> float:
    """The share of images that did not come back."""
    return float(np.mean(np.array(levels) < SHARP))


def measure(count: int, bins: Sequence[int], progress: Progress) -> tuple[list[Row], list[str], dict[str, Any]]:
    """All cases; returns rows, notes, and what is drawn."""
    train, test = digits(seed=0)
    draw = np.random.default_rng(0)
    groups = [
        [train.subset(part) for part in np.split(draw.choice(len(train), PARTIES * IMAGES, replace=False), PARTIES)]
        for _ in range(count)
    ]
    rows: list[Row] = []
    notes = [
        f"{count} groups of {PARTIES} parties with {IMAGES} images each; of an image from a sum the owner is guessed with 1 in {PARTIES}"
    ]
    for width in bins:
        progress.case(f"{width} bins")
        model, attacker = Perceptron(SIDE * SIDE, 10, (width,)), Imprint.learnt(test.x, gain=float(width))
        planted = attacker.plant(model)
        alone, summed = attack(model, planted, groups)
        for case, own in ((f"sum of {PARTIES}", hidden(summed)), ("refused", float(bool(accepted(planted))))):
            rows.append(
                row(
                    f"{width} bins, {case}",
                    max(own, LEAST),
                    max(hidden(alone), LEAST),
                    unit="hidden",
                    peer_name="one update in the clear",
                    better="more",
                )
            )
        notes.append(
            f"{width} bins: {1 - hidden(alone):.0%} of the images come back in the clear (median {np.median(alone):.0f} dB), "
            f"{1 - hidden(summed):.0%} from the sum; the check refuses the model by {accepted(planted) or 'nothing'}"
        )
    model = Perceptron(SIDE * SIDE, 10, (bins[0],))
    progress.case("jitter")
    honest = model.initial(0)
    alone, _ = attack(model, honest, groups[:5])
    notes.append(
        f"an honest first model of {bins[0]} units: {1 - hidden(alone):.0%} of the images come back in the clear; the check lets it pass"
    )
    for jitter in JITTERS:
        planted = Imprint.learnt(test.x, gain=float(bins[0]), jitter=jitter).plant(model)
        alone, _ = attack(model, planted, groups[:5])
        notes.append(
            f"jitter {jitter:g}: {1 - hidden(alone):.0%} come back in the clear; refused by {accepted(planted) or 'nothing'}"
        )
    widest = Perceptron(SIDE * SIDE, 10, (bins[-1],))
    planted = Imprint.learnt(test.x, gain=float(bins[-1])).plant(widest)
    updates = {f"party-{i}": update_of(widest, planted, data) for i, data in enumerate(groups[0])}
    drawn = {
        "truth": groups[0][0].x[:DRAWN],
        "alone": recovered(updates["party-0"]),
        "sum": through_a_sum(updates),
        "bins": bins[-1],
        "floor": accepted(planted),
    }
    return rows, notes, drawn


def nearest(found: Images, image: npt.NDArray[Any]) -> Images | None:
    """What came back that is most like an image; None where nothing did."""
    if not len(found):
        return None
    best: Images = found[np.square(found - image.reshape(-1)).mean(axis=1).argmin()]
    return best


def picture(drawn: dict[str, Any], path: Path) -> None:
    """Images of one party: as they are, from its update in the clear, from the sum of all, and from a party that checks."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from plots import STYLE

    lines = (
        ("the image", list(drawn["truth"])),
        ("from its update\nin the clear", [nearest(drawn["alone"], image) for image in drawn["truth"]]),
        (
            f"from the sum of\n{PARTIES} parties: nobody\nknows whose",
            [nearest(drawn["sum"], image) for image in drawn["truth"]],
        ),
        (f"from a party\nthat checks\n({drawn['floor']})", [None] * len(drawn["truth"])),
    )
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(1.25 * len(drawn["truth"]) + 1.8, 6.8), layout="constrained")
        figure.suptitle(f"Digits from one step on a planted model of {drawn['bins']} bins", fontsize=12)
        panels = figure.subplots(len(lines), len(drawn["truth"]), squeeze=False)
        for across, (name, images) in zip(panels, lines, strict=True):
            for axes, image, truth in zip(across, images, drawn["truth"], strict=True):
                axes.set(xticks=[], yticks=[])
                axes.spines[["top", "right"]].set_visible(True)
                if image is None:
                    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", facecolor="#eeeeee")
                    axes.text(0.5, 0.5, "nothing\nis sent", ha="center", va="center", color="#555555", fontsize=8)
                    continue
                axes.imshow(image.reshape(SIDE, SIDE), cmap="gray", vmin=0, vmax=1)
                if name != lines[0][0]:
                    axes.set_xlabel(f"{matched(image.reshape(1, -1), truth[None])[0]:.0f} dB", fontsize=9)
            across[0].set_ylabel(name, rotation=0, ha="right", va="center")
        figure.savefig(path, dpi=150)


def main() -> None:
    """Attack, print, draw."""
    made = parser(__doc__ or "", repeats=20, quick=True, plot=True, repeated="groups of parties that are attacked")
    options = made.parse_args()
    count, bins = (min(options.repeats, 3), QUICK_BINS) if options.quick else (options.repeats, BINS)
    with shown() as progress:
        rows, notes, drawn = measure(count, bins, progress)
    publish(rows, options.json, notes=notes, groups=count)
    if options.plot:
        picture(drawn, options.plot)


if __name__ == "__main__":
    main()
