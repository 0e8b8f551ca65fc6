"""A `state_dict` to an update and back.

    template = template_of(model)
    plan = sfl.Plan(template=template, parties=10)
    client.submit(to_update(model, template))
    load_update(model, result.mean)

An update is a flat dict of arrays. Tied weights travel once, under the first of their names. What does not travel stays
as it is: by default counters, masks and whatever else is no float.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from securefl.encoding.layout import Layout, Leaf
from securefl.encoding.leaves import as_array
from securefl.encoding.tree import build
from securefl.errors import EncodingError, LayoutMismatchError
from securefl.torch.selection import Select, floats, tensors_of, tied
from securefl.torch.tensors import to_array, to_tensor, travels_as
from securefl.types import Tree

Source = torch.nn.Module | Mapping[str, Any]
Template = dict[str, tuple[tuple[int, ...], str]]

_OTHER_MODEL = "use the model that the template was made for"


def template_of(source: Source, *, select: Select = floats, private: bool = False) -> Template:
    """Return a plan's template for a model: name to (shape, dtype) of each tensor that travels.

    Args:
        source: a model or its `state_dict`.
        select: which tensors travel; tied ones do if it selects any of their names.
        private: whether noise will be added, so that what noise would spoil is refused.

    Raises:
        EncodingError: a tensor that cannot travel, or under `private` an integer or bool tensor or a running variance,
            by name; or none travels.
    """
    tensors = tensors_of(source)
    template: Template = {}
    for name, group in tied(tensors).items():
        if name == group[0] and any(select(each, tensors[each]) for each in group):
            tensor = tensors[name]
            template[name] = (tuple(tensor.shape), travels_as(name, tensor))
            if private:
                _require_private(name, tensor)
    if not template:
        raise EncodingError("no tensor travels", remedy="select at least one; `floats` selects all that can be trained")
    return template


def to_update(
    source: Source, template: Tree | None = None, *, reference: Source | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Return what travels of a model, copied: name to array of the template's shape and dtype.

    Args:
        source: a model or its `state_dict`.
        template: from `template_of`, or the plan's layout; by default `template_of(source)`.
        reference: a model or `state_dict` to subtract, for an update that is a difference.

    Raises:
        LayoutMismatchError: a tensor is missing or has another shape or dtype; names it.
        EncodingError: a tensor cannot travel, or a difference of integers was asked for.
    """
    tensors = tensors_of(source)
    leaves = _leaves(template_of(source) if template is None else template)
    update = {name: _array(name, leaf, tensors) for name, leaf in leaves.items()}
    if reference is not None:
        origin = tensors_of(reference)
        for name, leaf in leaves.items():
            _require_float(name, update[name])
            difference = update[name].astype(np.float64) - _array(name, leaf, origin)
            update[name] = _rounded(difference, leaf.dtype)
    return update


def from_update(tree: Tree, like: Source, *, reference: Source | None = None) -> dict[str, Any]:
    """Return the `state_dict` with an update in it: a copy of the dict, with new tensors for what travelled.

    Args:
        tree: an update, or the mean of several (`result.mean`).
        like: the model or `state_dict` whose dtypes, devices and local values it takes. Which weights are tied shows in
            shared memory only: in a dict whose tensors were cloned, the second name keeps its old value.
        reference: what the update is a difference to; as it was given to `to_update`.

    Raises:
        LayoutMismatchError: a tensor that `like` does not have, or of another shape or dtype; names it.
        EncodingError: a leaf that is no array, or a difference of integers.
    """
    tensors = tensors_of(like)
    names = tied(tensors)
    origin = {} if reference is None else tensors_of(reference)
    state = dict(like.state_dict() if isinstance(like, torch.nn.Module) else like)
    taken: dict[str, str] = {}
    for name, array in _arrays(tree).items():
        if name not in tensors:
            raise _mismatch(name, "no such tensor", f"one of shape {array.shape}", _OTHER_MODEL)
        leaf = Leaf("", tuple(tensors[name].shape), travels_as(name, tensors[name]))
        _require_like(name, leaf, array)
        if reference is not None:
            _require_float(name, array)
            array = _rounded(_array(name, leaf, origin).astype(np.float64) + array, leaf.dtype)  # noqa: PLW2901
        new = to_tensor(array, tensors[name])
        for each in names[name]:
            if (other := taken.setdefault(each, name)) != name:
                raise _mismatch(
                    name, f"no tensor beside {other!r}, to which it is tied", "both", "make the template from the model"
                )
            state[each] = new
    return state


def load_update(model: torch.nn.Module, tree: Tree, *, reference: Source | None = None) -> None:
    """Load an update, or the mean of several, into a model; arguments and errors as in `from_update`.

    Nothing is loaded where an error is raised.
    """
    model.load_state_dict(from_update(tree, model, reference=reference))


def _require_private(name: str, tensor: torch.Tensor) -> None:
    if not tensor.is_floating_point():
        raise EncodingError(
            f"tensor {name!r} has dtype {tensor.dtype}, and noise would make it another kind of number",
            tensor=name,
            remedy="keep it local: select=floats, or parameters_of(model)",
        )
    if name.rpartition(".")[2] == "running_var":
        raise EncodingError(
            f"tensor {name!r} is a variance, which noise can turn negative",
            tensor=name,
            remedy="keep it local by select=parameters_of(model), or use GroupNorm, which has no running statistics",
        )


def _leaves(template: Tree) -> dict[str, Leaf]:
    """Return the leaves by their names in the `state_dict`; those of a layout are escaped paths."""
    layout = template if isinstance(template, Layout) else Layout.from_template(template)
    tree = build([leaf.name for leaf in layout.leaves], layout.leaves)
    if not isinstance(tree, dict) or not all(isinstance(leaf, Leaf) for leaf in tree.values()):
        raise LayoutMismatchError("this template is not of a state_dict", remedy="make it by template_of(model)")
    return tree


def _arrays(tree: Tree) -> dict[str, npt.NDArray[Any]]:
    if not isinstance(tree, Mapping) or any(isinstance(value, Mapping | list | tuple) for value in tree.values()):
        raise LayoutMismatchError("this tree is not of a state_dict", remedy="give a flat dict, such as result.mean")
    return {name: as_array(name, value) for name, value in tree.items()}


def _array(name: str, leaf: Leaf, tensors: Mapping[str, torch.Tensor]) -> npt.NDArray[Any]:
    if name not in tensors:
        raise _mismatch(name, f"{leaf.dtype} of shape {leaf.shape}", "no such tensor", _OTHER_MODEL)
    array = to_array(name, tensors[name])
    _require_like(name, leaf, array)
    return array


def _require_like(name: str, leaf: Leaf, array: npt.NDArray[Any]) -> None:
    if array.shape != leaf.shape:
        raise _mismatch(name, f"shape {leaf.shape}", f"{array.shape}", _OTHER_MODEL)
    if array.dtype.name != leaf.dtype:
        remedy = "all parties train in one dtype; of a result give `mean`, since `sum` is wider"
        raise _mismatch(name, f"dtype {leaf.dtype}", array.dtype.name, remedy)


def _require_float(name: str, array: npt.NDArray[Any]) -> None:
    if array.dtype.kind != "f":
        raise EncodingError(
            f"tensor {name!r} has dtype {array.dtype.name}, of which no difference travels",
            tensor=name,
            remedy="keep it local: select=floats",
        )


def _rounded(values: npt.NDArray[np.float64], dtype: str) -> npt.NDArray[Any]:
    """The values in the leaf's dtype; what overflows becomes infinite, which the pipeline refuses by name."""
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(dtype)


def _mismatch(name: str, expected: str, came: str, remedy: str) -> LayoutMismatchError:
    return LayoutMismatchError(f"tensor {name!r}: expected {expected}, came {came}", tensor=name, remedy=remedy)
