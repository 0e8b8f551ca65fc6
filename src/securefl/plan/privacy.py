"""Differential privacy in a plan: what may stand beside it, and how it travels."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any, Literal

import msgspec

from securefl.dp.clipping import LayerClip
from securefl.dp.mechanisms import Floor, Mechanism, QuantileClip, Release
from securefl.dp.mechanisms.kinds import MECHANISMS
from securefl.dp.modular_grid import ModularGrid, Wrap
from securefl.encoding.layout import MAX_LEAVES, Layout
from securefl.errors import UnsafePlanError
from securefl.plan.paillier import PaillierParameters
from securefl.secagg.parameters import Parameters
from securefl.types import Graph, KeyModel

_NAME = Annotated[str, msgspec.Meta(max_length=16)]


class QuantileMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The rule of an adaptive clip."""

    quantile: float
    learning_rate: float
    bit_noise: float | None


class PrivacyMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The mechanism of a plan, with the numbers that follow from it."""

    mechanism: Literal[
        "distributed-discrete-gaussian", "distributed-skellam", "central-discrete-gaussian", "local-discrete-gaussian"
    ]
    noise_multiplier: float
    clip: Annotated[list[float], msgspec.Meta(min_length=1, max_length=MAX_LEAVES)]
    adaptive: QuantileMessage | None
    relation: _NAME
    unit: _NAME
    slack: float
    min_sigma: float
    max_dropouts: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    denominator: float | None
    wrap: _NAME
    k: float | None
    radius: float
    variance: float


def floor_of(chosen: Parameters) -> Floor:
    """How many parties stand behind a sum of a plan.

    On the k-regular graph t is of the few who are neighbours, while c counts colluders anywhere: what bounds c there is the graph's own
    analysis, which the parameters have been through. Under a Paillier key that no party has a share of, t bounds nothing.
    """
    shared = not isinstance(chosen, PaillierParameters) or chosen.holder is KeyModel.THRESHOLD
    threshold = chosen.threshold if shared and chosen.graph is Graph.COMPLETE else None
    return Floor(chosen.parties, chosen.min_survivors, chosen.max_colluders, threshold)


def message_of(release: Release) -> PrivacyMessage:
    """What travels of a release."""
    asked, grid = release.mechanism, release.grid
    clip = asked.clip
    bounds = (
        list(clip.bounds) if isinstance(clip, LayerClip) else [clip.clip if isinstance(clip, QuantileClip) else clip]
    )
    rule = (
        QuantileMessage(clip.quantile, clip.learning_rate, clip.bit_noise) if isinstance(clip, QuantileClip) else None
    )
    return PrivacyMessage(
        mechanism=asked.kind,  # type: ignore[arg-type]
        noise_multiplier=float(asked.noise_multiplier or 0.0),
        clip=[float(bound) for bound in bounds],
        adaptive=rule,
        relation=str(asked.relation),
        unit=str(asked.unit),
        slack=float(asked.slack),
        min_sigma=float(asked.min_sigma),
        max_dropouts=asked.seeds,
        denominator=None if asked.denominator is None else float(asked.denominator),
        wrap=str(grid.wrap),
        k=grid.k,
        radius=release.radius,
        variance=release.variance,
    )


def release_of(message: PrivacyMessage, *, ring_bits: int, chosen: Parameters, layout: Layout) -> Release:
    """The release that travelled, checked as any other.

    Raises:
        UnsafePlanError: one that cannot be.
    """
    kind: Any = MECHANISMS[message.mechanism]
    fields: dict[str, Any] = {
        "noise_multiplier": message.noise_multiplier,
        "clip": _clip_of(message),
        "relation": message.relation,
        "unit": message.unit,
        "slack": message.slack,
        "denominator": message.denominator,
    }
    own = {field.name for field in dataclasses.fields(kind)}
    fields |= {name: getattr(message, name) for name in ("min_sigma", "max_dropouts") if name in own}
    return Release(
        mechanism=kind(**fields),
        floor=floor_of(chosen),
        size=layout.size,
        grid=ModularGrid(ring_bits, Wrap(message.wrap) if message.wrap in list(Wrap) else message.wrap, message.k),  # type: ignore[arg-type]
        radius=message.radius,
        variance=message.variance,
    )


def _clip_of(message: PrivacyMessage) -> float | LayerClip | QuantileClip:
    first = message.clip[0]
    if (rule := message.adaptive) is not None:
        return QuantileClip(first, rule.quantile, rule.learning_rate, rule.bit_noise)
    return first if len(message.clip) == 1 else LayerClip(tuple(message.clip))


def check_beside(mechanism: Mechanism, layout: Layout, *, metrics: object, prefetch: bool) -> None:
    """Check what a private plan has beside its mechanism.

    Raises:
        UnsafePlanError: metrics, leaves that are no floats, bounds for other leaves, or an adaptive clip with prefetched keys.
    """
    if metrics:
        raise UnsafePlanError(
            "metrics beside a private sum would be released without noise",
            value=", ".join(sorted(map(str, metrics)))[:80] if isinstance(metrics, dict) else "metrics",
            bound="none",
            remedy="put them into the update as a leaf, where they are clipped and noised with it, or evaluate on public data",
        )
    for leaf in layout.leaves:
        if not leaf.dtype.startswith(("float", "<f", ">f")):
            raise UnsafePlanError(
                f"leaf {leaf.name!r} cannot be clipped and noised with the others",
                value=leaf.dtype,
                bound="float16, float32 or float64",
                remedy="keep counters and flags at the parties, or convert them to floats if they are to be learnt from",
            )
    if isinstance(mechanism.clip, LayerClip) and len(mechanism.clip.bounds) != len(layout.leaves):
        raise UnsafePlanError(
            "bounds for another number of layers",
            value=len(mechanism.clip.bounds),
            bound=f"{len(layout.leaves)}, one a leaf",
            remedy=f"give one for each of {', '.join(leaf.name for leaf in layout.leaves[:8])}",
        )
    if mechanism.adaptive and prefetch:
        raise UnsafePlanError(
            "prefetched keys are bound to a plan, and an adaptive clip makes a new one each round",
            value="prefetch=True",
            bound="prefetch=False",
            remedy="choose a fixed clip, or leave prefetch out",
        )


def lines(release: Release) -> list[str]:
    """A release for people, with a warning where noise drowns the signal."""
    asked = release.mechanism
    adaptive = " (adaptive)" if asked.adaptive else ""
    over = f"multiplier {release.noise_multiplier:.6g} over clip {release.clip:g}{adaptive}"
    counted = f"{counted_from(release)}; per {asked.unit}, {asked.relation}"
    mean = f"mean over {release.denominator:g}, noise of {release.noise_std:.3g} in each of its values"
    text = [
        f"  {asked.kind} noise: {over}, {counted}",
        f"  grid of 1/{release.scale:.6g}, {release.dimension} coordinates; {mean}",
    ]
    if release.noise_multiplier > 1.01 * float(asked.noise_multiplier or 0.0):
        text.append(
            f"  more noise than the multiplier {asked.noise_multiplier:.6g} that was asked for: on so coarse a grid there is no less. "
            "Raise ring_bits"
        )
    if release.noise_to_signal > 1:
        text.append(
            f"  WARNING: the noise is {release.noise_to_signal:.2g} times as long as the longest sum: little can be learnt from it. "
            "More parties help; with few, use example-level DP-SGD"
        )
    return text


def counted_from(release: Release) -> str:
    """What of the noise is certain to be there, in words."""
    asked, floor = release.mechanism, release.floor
    if release.noise_by_server:
        return "all of it the server's"
    if release.seeds:
        return f"the same for up to {release.seeds} dropouts and {floor.colluders} colluders"
    if (shares := asked.shares(floor)) > 1:
        return f"counted from {shares} shares, {floor.survivors} survivors less {floor.colluders} colluders"
    return "each party's own counted alone"


def facts(release: Release) -> dict[str, Any]:
    """A release for JSON."""
    asked = release.mechanism
    return {
        "mechanism": asked.kind,
        "noise_multiplier": release.noise_multiplier,
        "clip": release.clip,
        "adaptive": asked.adaptive,
        "relation": str(asked.relation),
        "unit": str(asked.unit),
        "survivors": release.floor.survivors,
        "colluders": release.floor.colluders,
        "shares": asked.shares(release.floor),
        "variance": release.variance,
        "radius": release.radius,
        "scale": release.scale,
        "dimension": release.dimension,
        "denominator": release.denominator,
        "noise_std": release.noise_std,
        "noise_to_signal": release.noise_to_signal if math.isfinite(release.noise_to_signal) else None,
    }
