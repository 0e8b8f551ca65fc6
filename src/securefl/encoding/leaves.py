"""What may be a leaf: real numbers and native arrays of them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from securefl.errors import EncodingError

DTYPES: Final = (
    "bool",
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
)
"""The dtypes that a leaf may have, by their native names."""


def as_array(name: str, value: Any) -> npt.NDArray[Any]:
    """Return a leaf as a native-endian array; a view where it is one already.

    Args:
        name: the leaf's name, for errors.
        value: a numpy array or scalar, or a Python float (0-d float64), int (0-d int64) or bool.

    Raises:
        EncodingError: anything else, names the leaf.
    """
    match value:
        # Subclasses may hide something: a masked array's plain data, for one, shows what its mask was to hide.
        case np.ndarray() if type(value) in (np.ndarray, np.memmap):
            array = np.asarray(value)
        case np.generic() | float() | bool():
            array = np.asarray(value)
        case int() if -(2**63) <= value < 2**63:
            array = np.asarray(value, dtype=np.int64)
        case int():
            raise EncodingError(f"leaf {name!r}: {value.bit_length()}-bit integer", tensor=name, remedy="stay in int64")
        case _:
            raise EncodingError(
                f"leaf {name!r} is of type {type(value).__module__}.{type(value).__qualname__}",
                tensor=name,
                remedy="give a plain numpy array or a real number",
            )
    return array.astype(dtype_name(name, array.dtype), copy=False)


def dtype_name(name: str, dtype: Any) -> str:
    """Return a dtype's native name, whatever its byte order; takes numpy's dtypes, their names, and torch's.

    Raises:
        EncodingError: one that is not in `DTYPES`, names the leaf.
    """
    try:
        native = str(np.dtype(dtype).name)
    except (TypeError, ValueError):
        native = str(dtype).rpartition(".")[2]  # torch.float32 says so only in its text
    if dtype is None or native not in DTYPES:  # numpy takes None for float64
        raise EncodingError(
            f"leaf {name!r} has dtype {native!r}",
            tensor=name,
            remedy=f"use one of {', '.join(DTYPES)}",
        )
    return native
