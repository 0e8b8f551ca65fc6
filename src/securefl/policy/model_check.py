"""ModelFloors: what a party insists on in the model that it is sent, before it trains on it.

Secure aggregation hides updates, and not from a model that is made to carry data through the sum: a first layer of identical units
with stepped biases sorts a party's examples into bins, and hands them back in the gradient (Fowl et al. 2022, Robbing the Fed,
arXiv:2110.13057). Such a model looks odd. **These checks find what is planted carelessly; they are no proof that a model is harmless.**
"""

from __future__ import annotations

import collections
import dataclasses
import fnmatch
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from securefl.encoding.layout import Layout, tree_digest
from securefl.encoding.leaves import as_array
from securefl.encoding.tree import walk
from securefl.errors import ConfigError, PolicyRefusedError
from securefl.plan.toml_file import line_of
from securefl.policy.alike import FEWEST_UNITS, alike, allowed_alike, common_share
from securefl.policy.layers import Layer, hidden, layers_of
from securefl.types import Tree

FEWEST_EXAMPLES: Final = 32
"""With fewer examples of its own a party does not count units that never act on them: half of the honest ones may not."""

_NEEDS: Final = {
    "refuse_identical_units": "true or false",
    "max_alignment": "a number above 0 and up to 1",
    "max_common_direction": "a share above 0 and up to 1",
    "max_dead_units": "a share from 0 to 1",
    "max_weight_rms": "a number above 0",
    "max_model_norm": "a number above 0, or leave it out",
    "exempt": "a list of names or patterns in quotes",
}

_PASSED: Final[collections.deque[tuple[ModelFloors, bytes]]] = collections.deque(maxlen=8)
"""What passed lately, floors and digest of the model: in one process all parties are sent the same."""

Refusal = Callable[[str, str], PolicyRefusedError]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelFloors:
    """A party's floors on the model; `[model]` in a policy. What is not finite is refused whatever they say.

    Args:
        refuse_identical_units: refuse a hidden layer with units that are equal up to a factor of either sign, and one with more than
            two that are so but for `max_alignment`. Layers with fewer than 4 inputs are left out: there, units are alike by chance.
        max_alignment: the cosine of two units' weights from which they count as of one direction, in layers with 32 inputs or more;
            with 8 to 31 inputs a fifth as far from 1, and as many more units as chance makes; below that only equality counts.
        max_common_direction: the largest share that one direction has of all units' directions, in layers with 16 inputs and 8 units
            or more: 1 where all are equal, 1 / (1 + s^2) where each is off by s times its length.
        max_dead_units: the largest share of a layer's units with no weights at all, or, where the check is given this party's
            examples, that never act on one of them; a layer that is zero throughout, as adapters begin, is left out.
        max_weight_rms: the largest root mean square of a tensor of weights; outsized weights magnify what single examples leave.
        max_model_norm: the largest L2 norm of all weights together; None for none, since it grows with the model.
        exempt: tensors, or patterns, that the floors on units leave out: tables of embeddings, or positions.

    Raises:
        ConfigError: a floor that is out of bounds.
    """

    refuse_identical_units: bool = True
    max_alignment: float = 0.95
    max_common_direction: float = 0.5
    max_dead_units: float = 0.5
    max_weight_rms: float = 10.0
    max_model_norm: float | None = None
    exempt: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.refuse_identical_units, bool):
            raise _bad("refuse_identical_units", self.refuse_identical_units)
        for name, low, high in (
            ("max_alignment", 0.0, 1.0),
            ("max_common_direction", 0.0, 1.0),
            ("max_dead_units", -1.0, 1.0),
            ("max_weight_rms", 0.0, math.inf),
            ("max_model_norm", 0.0, math.inf),
        ):
            value = getattr(self, name)
            if name == "max_model_norm" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not low < value <= high:
                raise _bad(name, value)
            try:
                # Equal floors are to have equal digests, whether a file says 10 or 10.0.
                object.__setattr__(self, name, float(value) + 0.0)
            except OverflowError:
                raise _bad(name, value) from None
        if self.max_dead_units < 0:
            raise _bad("max_dead_units", self.max_dead_units)
        if not isinstance(self.exempt, tuple | list) or not all(isinstance(name, str) for name in self.exempt):
            raise _bad("exempt", self.exempt)
        object.__setattr__(self, "exempt", tuple(self.exempt))

    @classmethod
    def from_table(cls, table: Mapping[str, Any], text: str, *, source: str) -> ModelFloors:
        """The floors of a policy's table `[model]`.

        Args:
            table: its keys and values.
            text: the policy, to quote a line of it.
            source: its name, for errors.

        Raises:
            ConfigError: an unknown key, or a value out of bounds; the message quotes the line.
        """
        for key in table:
            if key not in _NEEDS:
                raise ConfigError(
                    f"{source}: unknown key {key!r} of [model] in `{line_of(text, key) or line_of(text, 'model')}`",
                    remedy="known keys are " + ", ".join(_NEEDS),
                )
        try:
            return cls(**table)
        except ConfigError as error:
            key = next(key for key in _NEEDS if f"model.{key} " in error.message)
            raise ConfigError(
                f"{source}: {error.message} in `{line_of(text, key) or line_of(text, 'model')}`", remedy=error.remedy
            ) from None

    def check(self, model: Tree, examples: npt.NDArray[Any] | None = None, *, source: str = "") -> None:
        """Decide on a model.

        Args:
            model: its parameters, a tree of arrays.
            examples: this party's inputs, (n, ...): with 32 or more, units that never act on one of them count as dead, in layers
                that take such inputs as they are.
            source: the policy's text, so that a refusal can quote its line.

        Raises:
            PolicyRefusedError: the first floor that the model misses; names the tensor.
            EncodingError: not a tree of numpy arrays.
        """

        def refuse(floor: str, message: str) -> PolicyRefusedError:
            return PolicyRefusedError(
                f"the model: {message}", floor=floor, line=_line(source, floor) or f"model.{floor} (default)"
            )

        tensors = _floats(model)
        asked = (self, tree_digest(Layout.of(model), model))
        if examples is None and asked in tuple(_PASSED):
            return
        for name, tensor in tensors.items():
            if bad := int(tensor.size - np.isfinite(tensor).sum()):
                raise PolicyRefusedError(
                    f"the model: {bad} of {tensor.size} values of {name!r} are not finite", floor="finite"
                )
        layers = layers_of(tensors)
        self._check_norms(layers, refuse)
        checked = [layer for layer in layers if not self._exempts(layer.name)]
        inner = {layer.name for layer in hidden(layers)}
        for layer in checked:
            if layer.name in inner:
                self._check_dead(layer, examples, refuse)
                self._check_directions(layer, refuse)
        if examples is None:
            _PASSED.append(asked)

    def _exempts(self, name: str) -> bool:
        """As it is written, too: the name of a list's item, such as "[0]", is no pattern of itself."""
        return any(name == each or fnmatch.fnmatchcase(name, each) for each in self.exempt)

    def _check_norms(self, layers: list[Layer], refuse: Refusal) -> None:
        total = 0.0
        for layer in layers:
            norm = _norm(layer.weight)
            rms = norm / math.sqrt(layer.weight.size)
            if rms > self.max_weight_rms:
                raise refuse(
                    "max_weight_rms",
                    f"the weights of {layer.name!r} have a root mean square of {rms:.4g}, this party allows {self.max_weight_rms:g}",
                )
            total = math.hypot(total, norm)
        if self.max_model_norm is not None and total > self.max_model_norm:
            raise refuse(
                "max_model_norm", f"its weights have a norm of {total:.4g}, this party allows {self.max_model_norm:g}"
            )

    def _check_dead(self, layer: Layer, examples: npt.NDArray[Any] | None, refuse: Refusal) -> None:
        for axis in layer.axes:
            units, _ = layer.sizes(axis)
            if units < FEWEST_UNITS:
                continue
            dead = ~np.moveaxis(layer.weight, axis, 0).reshape(units, -1).any(axis=1)
            if dead.all():
                continue  # adapters, shifts and last layers of a branch begin so: it passes on nothing that an example changes
            what = "have no weights"
            if (inputs := _inputs_for(layer, axis, examples)) is not None:
                dead = (inputs @ layer.units(axis).T + layer.bias(axis)).max(axis=0) <= 0
                what = f"act on none of this party's {len(inputs)} examples"
            if dead.mean() > self.max_dead_units:
                raise refuse(
                    "max_dead_units",
                    f"{int(dead.sum())} of {units} units of {layer.name!r} {what}, this party allows a share of "
                    f"{self.max_dead_units:g}; {_exempting(layer)}",
                )

    def _check_directions(self, layer: Layer, refuse: Refusal) -> None:
        units = f"units of {layer.name!r}"
        binned = (
            f"such a layer can sort a party's examples into bins, and carry them through the sum; {_exempting(layer)}"
        )
        # On both ends where a tensor beside it says that one has the units: what stands beside it is the server's choice.
        for axis in layer.ends if self.refuse_identical_units else ():
            rows = layer.units(axis)
            equal, near = alike(rows, self.max_alignment)
            if equal:
                raise refuse(
                    "refuse_identical_units", f"{equal} of {len(rows)} {units} are equal up to a factor; {binned}"
                )
            allowed = allowed_alike(len(rows), rows.shape[1], self.max_alignment)
            if near > allowed and axis in layer.axes:
                raise refuse(
                    "max_alignment",
                    f"{near} of {len(rows)} {units} point where another does, up to a cosine of {self.max_alignment:g}; {binned}",
                )
        for axis in layer.axes:
            share = common_share(layer.units(axis))
            if share > self.max_common_direction:
                raise refuse(
                    "max_common_direction",
                    f"one direction is {share:.2f} of all {layer.sizes(axis)[0]} {units}, this party allows "
                    f"{self.max_common_direction:g}; {binned}",
                )


def _exempting(layer: Layer) -> str:
    return f"where it is meant so, put {layer.name!r} into `exempt` of [model]"


def _floats(model: Tree) -> dict[str, npt.NDArray[Any]]:
    """Tensors of floats by name; counters and flags are left out."""
    tensors = {name: as_array(name, value) for name, value in walk(model)}
    return {name: tensor for name, tensor in tensors.items() if tensor.dtype.kind == "f"}


def _inputs_for(layer: Layer, axis: int, examples: npt.NDArray[Any] | None) -> npt.NDArray[np.float64] | None:
    """The examples, flat, where there are enough and the layer takes so many values."""
    if examples is None or len(examples) < FEWEST_EXAMPLES or layer.weight.ndim != 2:
        return None
    flat = np.asarray(examples, dtype=np.float64).reshape(len(examples), -1)
    return flat if flat.shape[1] == layer.sizes(axis)[1] else None


def _norm(weight: npt.NDArray[Any]) -> float:
    """The L2 norm, which does not overflow where the weights themselves do not."""
    largest = float(np.abs(weight).max())
    return largest * math.sqrt(float(np.square(weight / largest).sum(dtype=np.float64))) if largest else 0.0


def _line(source: str, floor: str) -> str:
    return line_of(source, floor) or (line_of(source, "model") if floor in line_of(source, "model") else "")


def _bad(name: str, value: object) -> ConfigError:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        value = "a number beyond all floats"
    return ConfigError(f"policy: model.{name} is {value!r}", remedy=f"give {_NEEDS[name]}")
