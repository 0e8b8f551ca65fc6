"""Opacus' optimizer, with noise from the system's generator and no way through for a NaN. Imports Opacus."""

from __future__ import annotations

from typing import Any

import torch
from opacus.optimizers import DPOptimizer

from securefl.crypto.random import RandomSource
from securefl.torch.randomness import gaussian


class PrivateOptimizer(DPOptimizer):  # type: ignore[misc]
    """Clips each example's gradient, adds noise to their sum, divides by the expected batch size, and steps.

    Args:
        optimizer: what takes the steps.
        random: where the noise comes from.
        arguments: as of `DPOptimizer`.

    Source: Abadi et al. 2016, algorithm 1.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, *, random: RandomSource, **arguments: Any) -> None:
        super().__init__(optimizer, **arguments)
        self._random = random

    def take_empty_batch(self) -> None:
        """Set the gradients of no examples: an empty batch goes through no layer, and gets its noise all the same."""
        for parameter in self.params:
            parameter.grad_sample = parameter.new_zeros((0, *parameter.shape))

    def forget(self) -> None:
        """Leave no sum without noise at the parameters, for training may have ended in the middle of a step."""
        for parameter in self.params:
            del parameter.summed_grad

    def clip_and_accumulate(self) -> None:
        """Clip and add up, as Opacus does; a gradient with a NaN or an infinity, which no factor shortens, counts as zero."""
        samples = [self._get_flat_grad_sample(parameter) for parameter in self.params]
        finite = torch.stack([sample.isfinite().flatten(1).all(dim=1) for sample in samples]).all(dim=0)
        if not finite.all():
            for parameter, sample in zip(self.params, samples, strict=True):
                sample[~finite] = 0.0
                parameter.grad_sample = sample
        super().clip_and_accumulate()

    def add_noise(self) -> None:
        """Set each gradient to the clipped sum plus noise of standard deviation z C."""
        std = self.noise_multiplier * self.max_grad_norm
        for parameter in self.params:
            total = parameter.summed_grad
            noise = torch.from_numpy(std * gaussian(total.numel(), self._random))
            parameter.grad = (total + noise.to(device=total.device, dtype=total.dtype).view_as(total)).view_as(
                parameter
            )
