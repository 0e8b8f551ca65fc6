"""Tensors to arrays and back: in which dtype each travels."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from securefl.encoding.leaves import DTYPES
from securefl.errors import EncodingError

_NATIVE: Final = {getattr(torch, name): name for name in DTYPES}
_WIDENED: Final = "float32"
"""What floats that numpy does not know (bfloat16, float8) travel as: it holds each of their values."""


def travels_as(name: str, tensor: torch.Tensor) -> str:
    """Return the numpy name of the dtype in which a tensor travels: its own, float32 for bfloat16 and float8.

    Raises:
        EncodingError: complex, quantised or sparse values, or none at all (device "meta"); names the tensor.
    """
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        kind = "without values (meta)" if tensor.is_meta else "quantised" if tensor.is_quantized else str(tensor.layout)
        raise _unfit(name, kind)
    if tensor.dtype in _NATIVE:
        return _NATIVE[tensor.dtype]
    if tensor.is_floating_point():
        return _WIDENED
    raise _unfit(name, f"of dtype {tensor.dtype}")


def to_array(name: str, tensor: torch.Tensor) -> npt.NDArray[Any]:
    """Return a tensor's values in memory of their own, in C order, in the dtype of `travels_as`; errors as there."""
    dtype = getattr(torch, travels_as(name, tensor))
    # A copy: what was submitted must not change while the next training step does.
    return np.array(tensor.detach().to(device="cpu", dtype=dtype).numpy(), order="C", copy=True)


def to_tensor(array: npt.NDArray[Any], like: torch.Tensor) -> torch.Tensor:
    """Return an array's values in new memory, in dtype and on device of `like`; bfloat16 and float8 round to nearest."""
    # `np.array` and not `ascontiguousarray`, which would give a number an axis.
    return torch.from_numpy(np.array(array, order="C", copy=True)).to(device=like.device, dtype=like.dtype)


def _unfit(name: str, what: str) -> EncodingError:
    return EncodingError(
        f"tensor {name!r} is {what}",
        tensor=name,
        remedy="leave it out by `select`, or keep it as a dense tensor of real numbers",
    )
