"""Which tensors of a `state_dict` travel, and under which name; the others stay local."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch

Select: TypeAlias = Callable[[str, torch.Tensor], bool]
"""Whether the tensor of that name travels."""


def floats(name: str, tensor: torch.Tensor) -> bool:  # noqa: ARG001 - a Select
    """Select parameters and floating-point buffers, such as running means; counters and masks stay local. The default."""
    return tensor.is_floating_point()


def everything(name: str, tensor: torch.Tensor) -> bool:  # noqa: ARG001 - a Select
    """Select every tensor; integers are averaged and rounded, bools too, and both saturate beyond the encoding's range."""
    return True


def parameters_of(model: torch.nn.Module) -> Select:
    """Select what can be trained and no buffer: for differential privacy, which would add noise to running variances."""
    names = {name for name, tensor in model.named_parameters(remove_duplicate=False) if tensor.requires_grad}
    return lambda name, _: name in names


def tensors_of(source: torch.nn.Module | Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Return the tensors of a model or `state_dict` by name; what is no tensor (`_extra_state`) always stays local."""
    state = source.state_dict() if isinstance(source, torch.nn.Module) else source
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def tied(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[str, ...]]:
    """Return for each name all names of the same memory, sorted: tied weights travel under the first of them.

    Same memory means the same address, shape and strides; views that overlap otherwise count as tensors of their own.
    """
    groups: dict[object, list[str]] = {}
    for name in sorted(tensors):
        tensor = tensors[name]
        has_place = tensor.layout == torch.strided and tensor.numel() and not tensor.is_meta
        place = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype) if has_place else name
        groups.setdefault(place, []).append(name)
    return {name: tuple(group) for group in groups.values() for name in group}
