"""From an update to a vector over the ring, and from the sum of vectors back to a mean."""

from securefl.pipeline.decode import DecodedSum, decode_sum, integer_sum
from securefl.pipeline.encode import EncodedParts, EncodedUpdate, check_update, encode_update
from securefl.pipeline.private import (
    PrivateVector,
    decode_private,
    encode_private,
    noisy_sum,
    private_integers,
    private_parts,
    without_excess,
)

__all__ = [
    "DecodedSum",
    "EncodedParts",
    "EncodedUpdate",
    "PrivateVector",
    "check_update",
    "decode_private",
    "decode_sum",
    "encode_private",
    "encode_update",
    "integer_sum",
    "noisy_sum",
    "private_integers",
    "private_parts",
    "without_excess",
]
