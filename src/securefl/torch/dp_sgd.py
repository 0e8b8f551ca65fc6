"""Example-level differential privacy: each party trains by DP-SGD, and accounts for its own examples.

    private = DpSgd(noise_multiplier=1.1, max_grad_norm=1.0, sample_rate=0.05, batch_size=64)
    event = private.train(model, optimizer, examples, loss, steps=20)
    ledger.charge(Charge(event=event, unit=Unit.EXAMPLE, relation=Relation.ADD_REMOVE, sampler="poisson", ...))

Opacus computes, clips and adds up the gradients of single examples and keeps the history, from which events are read.
Samples and noise are drawn here, from the system's generator.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any, Final

import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from securefl.crypto.random import OS, RandomSource
from securefl.dp.accounting.composition import PoissonSampled
from securefl.dp.accounting.epsilon import epsilons
from securefl.dp.accounting.events import Event, GaussianRelease, check_count
from securefl.dp.accounting.floats import positive, printed
from securefl.dp.accounting.relations import Relation
from securefl.errors import ConfigError
from securefl.torch.compatible import copied_buffers, require_compatible, require_unchanged
from securefl.torch.randomness import PoissonBatches
from securefl.torch.steps import Steps, event_of, steps_of, steps_since

CAVEATS: Final = (
    (
        "the noise is Gaussian in floating point: attacks on its roundings are outside epsilon. Opacus' secure mode, "
        "which is made against them, needs torchcsprng, last released in 2021; it is not used"
    ),
    (
        "epsilon is about one example more or less, at each party by itself; where no example lies with two parties, the "
        "epsilon of all together is the largest one's. Whoever has k examples has the guarantee of a group of k"
    ),
    (
        "sample rate, batch size, number of steps and clip are public, and must not follow from the examples, nor from "
        "their exact number; losses and accuracies on them are not covered"
    ),
)
"""What the epsilon of DP-SGD does not say."""

_NO_INPUT_GRADIENT: Final = "Full backward hook is firing"
"""torch's warning that a first layer's input has no gradient, which Opacus' hooks do not need."""

Loss = Callable[[torch.nn.Module, Any], torch.Tensor]


class DpSgd:
    """DP-SGD on one party's examples, round after round, with one history (Abadi et al. 2016).

    Args:
        noise_multiplier: z, standard deviation of the noise over `max_grad_norm`; positive.
        max_grad_norm: C, the L2 norm to which the gradient of each example is clipped.
        sample_rate: q, the probability with which each example is in a batch, in (0, 1].
        batch_size: the public number by which the noisy sum of gradients is divided: about q times the number of
            examples, but fixed beforehand, since neither that number nor the size of a drawn batch may show.
        random: where samples and noise come from.

    Raises:
        UnsafePlanError: a number is out of range.
    """

    def __init__(
        self,
        *,
        noise_multiplier: float,
        max_grad_norm: float,
        sample_rate: float,
        batch_size: float,
        random: RandomSource = OS,
    ) -> None:
        PoissonSampled(GaussianRelease(noise_multiplier), sample_rate)
        positive("the clip", max_grad_norm, "name the length of a typical gradient")
        positive("the batch size", batch_size, "name the expected one: sample rate times examples")
        self.noise_multiplier = float(noise_multiplier)
        self.max_grad_norm = float(max_grad_norm)
        self.sample_rate = float(sample_rate)
        self.batch_size = float(batch_size)
        self._random = random
        self._accountant: Any = None
        self._charged: tuple[Steps, ...] = ()

    @property
    def history(self) -> tuple[Steps, ...]:
        """All steps so far, those of trainings that failed included."""
        return () if self._accountant is None else steps_of(self._accountant)

    def planned(self, steps: int) -> Event:
        """Return the event that a training of `steps` steps will have, for `PrivacyLedger.check` before it.

        Raises:
            UnsafePlanError: `steps` is no whole number above 0.
        """
        return Steps(self.noise_multiplier, self.sample_rate, steps).event

    def train(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        examples: Dataset[Any],
        loss: Loss,
        *,
        steps: int,
        collate: Callable[[list[Any]], Any] = default_collate,
        workers: int = 0,
    ) -> Event:
        """Train the model in place; the event of the steps since the last call, to be charged before the model leaves.

        Args:
            model: in plain torch; its trainable parameters float32 or float64.
            optimizer: in plain torch, of parameters of this model.
            examples: with `len` and indices; one item is one unit of privacy.
            loss: of (model, batch), the mean over the batch of a loss of each example by itself; no example's output or
                loss may depend on another's. It is not called for empty batches.
            steps: number of batches, public.
            collate: a list of items to a batch.
            workers: processes that load items.

        Raises:
            ConfigError: BatchNorm or another layer that mixes or remembers examples, by name; or Opacus is missing.
            UnsafePlanError: `steps` is no whole number above 0.
        """
        check_count("the number of steps", steps)
        require_compatible(model, optimizer)
        buffers = copied_buffers(model)
        module, private = self._wrapped(model, optimizer)
        batches: DataLoader[Any] = DataLoader(
            examples,
            batch_sampler=PoissonBatches(len(examples), self.sample_rate, steps, self._random),  # type: ignore[arg-type]
            collate_fn=_CollateOrNone(collate),
            num_workers=workers,
        )
        try:
            for batch in batches:
                private.zero_grad()
                if batch is None:
                    private.take_empty_batch()
                else:
                    _backward(loss(model, batch))  # the hooks are in its layers: it needs no wrapping
                    _require_gradients(model, private)
                private.step()
        finally:
            module.to_standard_module()
            private.forget()
            # Nobody clipped these: gradients of parameters that the optimizer does not have, and all of a step that failed.
            model.zero_grad(set_to_none=True)
        require_unchanged(model, buffers)
        new = steps_since(self._accountant, self._charged)
        self._charged = self.history
        return event_of(new)

    def epsilons(self, delta: float) -> dict[str, float | None]:
        """Return `{"rdp": ..., "pld": ...}` of all steps so far under add-remove, upper bounds; pld None where it is none.

        Raises:
            UnsafePlanError: delta is not in (0, 1).
        """
        if not self.history:
            return {"rdp": 0.0, "pld": 0.0}
        return epsilons(event_of(self.history), delta, Relation.ADD_REMOVE)

    def report(self, delta: float) -> str:
        """What was done, what it cost, and what that does not say, as text; errors as in `epsilons`."""
        cost = ", ".join(
            f"{'none' if value is None else printed(value)} by {name}" for name, value in self.epsilons(delta).items()
        )
        steps = sum(steps.count for steps in self.history)
        lines = [
            "Example-level DP-SGD by Opacus",
            f"  clip {self.max_grad_norm:g}, noise {self.noise_multiplier:g} times the clip, in each step",
            f"  each example in a batch with probability {self.sample_rate:g}; sums divided by {self.batch_size:g}",
            f"  {steps} steps so far: epsilon {cost}, at delta {delta:g}, unit example, relation add-remove",
        ]
        return "\n".join([*lines, *(f"  - {caveat}" for caveat in CAVEATS)])

    def _wrapped(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Any, Any]:
        opacus = _opacus()
        model.train()
        if self._accountant is None:
            self._accountant = opacus.accountants.RDPAccountant()
        try:
            opacus.validators.ModuleValidator.validate(model, strict=True)
            module = opacus.GradSampleModule(model)
        except (opacus.validators.errors.UnsupportedError, NotImplementedError) as error:
            raise ConfigError(
                f"Opacus cannot train this model privately: {error}",
                remedy="opacus.validators.ModuleValidator.fix(model) replaces some layers; make the optimizer after it",
            ) from error
        module.forbid_grad_accumulation()
        private = importlib.import_module("securefl.torch.private_optimizer").PrivateOptimizer(
            optimizer,
            noise_multiplier=self.noise_multiplier,
            max_grad_norm=self.max_grad_norm,
            expected_batch_size=self.batch_size,
            random=self._random,
        )
        private.attach_step_hook(self._accountant.get_optimizer_hook_fn(sample_rate=self.sample_rate))
        return module, private


class _CollateOrNone:
    """Collates a batch; an empty one is None, since most collate functions need an item to see its form."""

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self._collate = collate

    def __call__(self, items: list[Any]) -> Any:
        return self._collate(items) if items else None


def _backward(loss: torch.Tensor) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_NO_INPUT_GRADIENT)
        loss.backward()  # type: ignore[no-untyped-call]


def _require_gradients(model: torch.nn.Module, private: Any) -> None:
    """Raise if the loss left a parameter out; Opacus would, without its name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for parameter in private.params:
        if parameter.grad_sample is None:
            raise ConfigError(
                f"parameter {names[id(parameter)]!r} has no gradient: the loss does not depend on it",
                remedy="freeze it by requires_grad_(False), or leave it out of the optimizer",
            )


def _opacus() -> Any:
    try:
        for module in ("opacus.accountants", "opacus.validators", "opacus.validators.errors"):
            importlib.import_module(module)
        return importlib.import_module("opacus")
    except ImportError as error:
        raise ConfigError(
            "DP-SGD needs Opacus, which is not installed", remedy="pip install 'securefl[torch]'"
        ) from error
