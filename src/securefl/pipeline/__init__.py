"""From an update to a vector over the ring, and from the sum of vectors back to a mean."""

from securefl.pipeline.decode import DecodedSum, decode_sum, integer_sum
from securefl.pipeline.encode import EncodedParts, EncodedUpdate, check_update, encode_update

__all__ = ["DecodedSum", "EncodedParts", "EncodedUpdate", "check_update", "decode_sum", "encode_update", "integer_sum"]
