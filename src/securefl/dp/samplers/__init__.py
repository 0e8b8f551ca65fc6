"""Exact integer noise from the cryptographic generator: discrete Gaussian, discrete Laplace, Skellam.

Each takes a rational parameter, a count and a `RandomSource`, and returns int64. What they share: tables and comparisons of
integers only, undecided ones settled by further bits, so that a seed gives the same draws on every machine.
"""

from securefl.dp.samplers.discrete_gaussian import discrete_gaussian, gaussian_variance
from securefl.dp.samplers.discrete_laplace import discrete_laplace
from securefl.dp.samplers.parameters import TV_BOUND
from securefl.dp.samplers.skellam import skellam

__all__ = ["TV_BOUND", "discrete_gaussian", "discrete_laplace", "gaussian_variance", "skellam"]
