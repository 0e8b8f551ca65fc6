"""What a model must be like for the gradient of one example to be about that example alone."""

from __future__ import annotations

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from securefl.errors import ConfigError

_FIX = "opacus.validators.ModuleValidator.fix(model) does that; make the optimizer after it"


def require_compatible(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Raise unless DP-SGD can protect the examples that this model is trained on.

    Raises:
        ConfigError: BatchNorm or running statistics, by name; parameters that are not float32 or float64, or not the
            model's; a model or optimizer that Opacus has already wrapped.
    """
    if hasattr(model, "autograd_grad_sample_hooks") or hasattr(optimizer, "original_optimizer"):
        raise ConfigError(
            "Opacus has wrapped this model or optimizer already",
            remedy="give the plain ones; for an engine of your own, account by event_of(engine)",
        )
    # Opacus looks at modules that have something to train only; one without still mixes the examples of a batch.
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm):
            raise ConfigError(
                f"module {name!r} is a {type(module).__name__}, which mixes the examples of a batch",
                remedy=f"replace it by GroupNorm: {_FIX}",
            )
        if isinstance(module, _InstanceNorm) and module.track_running_stats:
            raise ConfigError(
                f"module {name!r} keeps running statistics of the examples",
                remedy=f"set track_running_stats=False: {_FIX}",
            )
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if id(parameter) not in names:
                raise ConfigError("the optimizer trains a parameter that is not the model's", remedy="make it anew")
            if parameter.requires_grad and parameter.dtype not in {torch.float32, torch.float64}:
                raise ConfigError(
                    f"parameter {names[id(parameter)]!r} has dtype {parameter.dtype}, in which norms are too coarse to clip by",
                    remedy="train in float32: model.float()",
                )
    if not any(parameter.requires_grad for group in optimizer.param_groups for parameter in group["params"]):
        raise ConfigError("the optimizer has nothing to train", remedy="give it the model's parameters")


def copied_buffers(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of the model's buffers, to be compared after training."""
    return {name: buffer.detach().clone() for name, buffer in model.named_buffers()}


def require_unchanged(model: torch.nn.Module, before: dict[str, torch.Tensor]) -> None:
    """Raise if training changed a buffer, after putting all back: nothing clips what goes into buffers, nor adds noise.

    Raises:
        ConfigError: names the buffer.
    """
    changed = [
        name
        for name, buffer in model.named_buffers()
        if name not in before or buffer.shape != before[name].shape or not buffer.equal(before[name])
    ]
    for name, buffer in model.named_buffers():
        if name in changed and name in before and buffer.shape == before[name].shape:
            buffer.copy_(before[name])
    if changed:
        raise ConfigError(
            f"buffer {changed[0]!r} changed in training: what it holds of the examples has no noise",
            remedy="use layers without running statistics; nothing of this training may leave",
        )
