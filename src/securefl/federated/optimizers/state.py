"""What server optimizers remember: float64 arrays in a plain dict, and whether they fit a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError, NonFiniteError
from securefl.federated.models import Params

if TYPE_CHECKING:
    from securefl.federated.optimizers.base import ServerOptimizer

Floats: TypeAlias = npt.NDArray[np.float64]
State: TypeAlias = dict[str, Floats]
"""One array a slot and tensor, float64, of the tensor's shape, by "slot/tensor"."""

FIRST, SECOND = "m", "v"
"""The slots, by their names in Reddi et al. 2021: the accumulated update, and the accumulated squares."""

Rule: TypeAlias = Callable[[Mapping[str, Floats], Floats], tuple[Floats, dict[str, Floats]]]
"""From the slots of one tensor and its mean update to the change of the parameters and the new slots."""


def filled(params: Params, slots: Mapping[str, float]) -> State:
    """Return a state in which every value of a slot is the same number."""
    return {
        f"{slot}/{name}": np.full(leaf.shape, value) for slot, value in slots.items() for name, leaf in params.items()
    }


def check_state(optimizer: ServerOptimizer, params: Params, state: Any) -> None:
    """Raise unless `state` is one of this optimizer for this model: call it before training goes on from a stored state.

    Args:
        optimizer: what shall go on.
        params: the model's parameters.
        state: what it remembered, as returned by `step` or read from a file.

    Raises:
        ConfigError: names, shapes or dtypes are not those of `optimizer.initial(params)`; names the first entry that is wrong.
        NonFiniteError: an entry has a NaN or an infinity.
    """
    expected = optimizer.initial(params)
    who = type(optimizer).__name__
    if not isinstance(expected, dict):  # none, or something that an optimizer of somebody else's keeps
        if type(state) is not type(expected):
            needed = type(expected).__name__
            raise ConfigError(f"server state of {who}: got {type(state).__name__}, needs {needed}")
        return
    if not isinstance(state, Mapping):
        raise ConfigError(
            f"server state of {who}: got {type(state).__name__}, needs a dict of arrays",
            remedy=f"start from {who}.initial(params)",
        )
    for entry in sorted({*map(str, state), *expected}):
        if entry not in expected or entry not in state:
            which = "is missing" if entry in expected else "is unknown"
            raise ConfigError(
                f"server state of {who}: {entry!r} {which}; it belongs to another model or optimizer",
                remedy=f"load the state that was saved with this model, or start from {who}.initial(params)",
            )
        _check_entry(who, entry, state[entry], expected[entry])


def _check_entry(who: str, entry: str, array: Any, expected: Floats) -> None:
    if not isinstance(array, np.ndarray) or (array.shape, array.dtype) != (expected.shape, expected.dtype):
        got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ConfigError(
            f"server state of {who}: {entry!r} is {got}, needs {expected.dtype} {expected.shape}",
            remedy="load the state that was saved with this model",
        )
    if not np.isfinite(array).all() or (entry.startswith(f"{SECOND}/") and (array < 0).any()):
        raise NonFiniteError(
            f"server state of {who}: {entry!r} has a value that is not finite, or a negative square",
            tensor=entry,
            remedy="go back to a state from before training diverged",
        )


def stepped(optimizer: ServerOptimizer, rule: Rule, params: Params, mean: Params, state: Any) -> tuple[Params, State]:
    """Apply a rule to each tensor in float64; parameters come back in their own dtypes.

    Raises:
        ConfigError: state or mean are of another model.
        NonFiniteError: the mean has a NaN or an infinity, which would stay in the state for ever.
    """
    check_state(optimizer, params, state)
    _check_mean(params, mean)
    slots = sorted({entry.partition("/")[0] for entry in state})
    moved: Params = {}
    after: State = {}
    for name, leaf in params.items():
        change, new = rule({slot: state[f"{slot}/{name}"] for slot in slots}, np.asarray(mean[name], dtype=np.float64))
        # numpy makes numbers of arrays without axes, which would not fit what `initial` gave.
        moved[name] = np.asarray(leaf + change).astype(leaf.dtype, copy=False)
        after |= {f"{slot}/{name}": np.asarray(array) for slot, array in new.items()}
    return moved, after


def _check_mean(params: Params, mean: Params) -> None:
    if odd := sorted(set(params) ^ set(mean)):
        raise ConfigError(f"mean update: its tensors are not those of the model: {', '.join(map(str, odd[:8]))}")
    for name, leaf in params.items():
        if np.shape(mean[name]) != leaf.shape:
            raise ConfigError(f"mean update: {name!r} has shape {np.shape(mean[name])}, needs {leaf.shape}")
        if bad := int(leaf.size - np.isfinite(mean[name]).sum()):
            raise NonFiniteError(
                f"mean update: {bad} of {leaf.size} values of {name!r} are not finite",
                tensor=name,
                remedy="lower the learning rates",
            )
