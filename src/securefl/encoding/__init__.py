"""Trees of floats to vectors over Z_{2^b}, and back: layout, fixed-point grid, ring and packed words."""

from securefl.encoding.fixed_point import FixedPoint, Saturation
from securefl.encoding.layout import Layout, Leaf, tree_digest
from securefl.encoding.ranges import Range
from securefl.encoding.ring import Ring, required_bits
from securefl.encoding.rounding import stochastic_round
from securefl.encoding.words import pack, packed_size, unpack

__all__ = [
    "FixedPoint",
    "Layout",
    "Leaf",
    "Range",
    "Ring",
    "Saturation",
    "pack",
    "packed_size",
    "required_bits",
    "stochastic_round",
    "tree_digest",
    "unpack",
]
