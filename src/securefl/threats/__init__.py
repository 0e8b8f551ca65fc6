"""Attacks, as library code that benchmarks and notebooks call: what protects is measured by what still comes through.

`exponents` an input from the exponents that phe leaves in clear · `imprint` images from the update of a planted model · `scores` how near
to the truth an attack came.
"""

from securefl.threats.exponents import phe_exponents, recover_input
from securefl.threats.scores import correlation, psnr

__all__ = ["correlation", "phe_exponents", "psnr", "recover_input"]
