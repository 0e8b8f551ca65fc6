"""Any `torch.nn.Module` as a model of `securefl.federated`: its loss, optimizer, data loader and device are the caller's."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from securefl.errors import ConfigError, EncodingError
from securefl.federated.adversarial.gradients import Attack
from securefl.federated.algorithms.base import LocalTask
from securefl.federated.algorithms.local_sgd import Correction, Trained, planned_steps
from securefl.federated.datasets import Dataset
from securefl.federated.models import Params
from securefl.torch.state_dict import load_update, template_of, to_update

Batches: TypeAlias = Iterable[tuple[torch.Tensor, torch.Tensor]]
_EVALUATED: int = 1024
"""Examples that are evaluated at once."""


def batches(dataset: Dataset, batch_size: int, generator: torch.Generator) -> Batches:
    """Shuffled batches of a data set, by torch's own `DataLoader`."""
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(np.array(dataset.x)), torch.from_numpy(np.array(dataset.y)))
    return torch.utils.data.DataLoader(pairs, batch_size=batch_size, shuffle=True, generator=generator)


class TorchModel:
    """A module made by `factory`, as functions of its parameters; one object serves all parties, one after the other.

        model = TorchModel(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)), classes=10)
        Federation(model, clients, plan=plan_for(model, clients), algorithm=FedProx(learning_rate=0.1, mu=0.1))

    What travels is every tensor of floats in the module's `state_dict`, running statistics included (`FedBN` keeps them local).

    Args:
        factory: makes the module; called under a fixed seed, so that all start from the same weights.
        loss: of outputs and labels, a mean over the batch.
        optimizer: of parameters and learning rate; plain SGD by default. It is made anew for each party and round.
        loader: batches of a party's data, of (dataset, batch size, generator).
        device: where it computes.
        classes: number of classes, to refuse labels beyond it; None for no check.

    Raises:
        EncodingError: a tensor that cannot travel, or no tensor of floats.
    """

    def __init__(
        self,
        factory: Callable[[], torch.nn.Module],
        *,
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
        optimizer: Callable[[Iterable[torch.nn.Parameter], float], torch.optim.Optimizer] | None = None,
        loader: Callable[[Dataset, int, torch.Generator], Batches] = batches,
        device: str | torch.device = "cpu",
        classes: int | None = None,
    ) -> None:
        self.classes = classes
        self._factory = factory
        self._loss = loss or torch.nn.CrossEntropyLoss()
        self._optimizer = optimizer or (lambda parameters, rate: torch.optim.SGD(parameters, lr=rate))
        self._loader = loader
        self._device = torch.device(device)
        self._attack: Attack | None = None
        with _seeded(0):
            made = factory()
        if not isinstance(made, torch.nn.Module):
            raise ConfigError(
                f"factory: made a {type(made).__name__}, needs a torch.nn.Module", remedy="return a module"
            )
        self._module = made.to(self._device)
        self._template = template_of(self._module)
        self._other = copy.deepcopy(self._module.state_dict())  # counters and the like start anew for everybody

    def initial(self, seed: int) -> Params:
        """Return the tensors of a module made under this seed."""
        with _seeded(seed):
            return to_update(self._factory(), self._template)

    def module(self, params: Params) -> torch.nn.Module:
        """Return a copy of the module with these parameters, in evaluation mode: for use outside training.

        Raises:
            LayoutMismatchError: they are another model's.
        """
        return copy.deepcopy(self._loaded(params)).eval()

    def attacked(self, attack: Attack) -> TorchModel:
        """The same model, training on each batch as `attack` leaves it; see `AdversarialTraining`."""
        twin = copy.copy(self)
        twin._attack = attack  # noqa: SLF001 - of this class
        return twin

    def train(
        self,
        task: LocalTask,
        start: Params,
        *,
        epochs: int,
        batch_size: int,
        learning_rate: float,
        correction: Correction,
        frozen: AbstractSet[str],
    ) -> Trained:
        """Train from `start` with this model's own optimizer; see `LocalSGD.trained`."""
        module = self._loaded(start).train()
        named = dict(module.named_parameters())
        for name, parameter in named.items():
            parameter.requires_grad_(name not in frozen)
        optimizer = self._optimizer([each for each in module.parameters() if each.requires_grad], learning_rate)
        anchor = {name: self._tensor(correction.anchor[name]) for name in named} if correction.mu else {}
        shift = {name: self._tensor(correction.shift[name]) for name in named if name in correction.shift}
        left = steps = planned_steps(len(task.dataset), epochs, batch_size, task.work)
        with _seeded(int(task.rng.integers(2**63))) as generator:
            while left:
                for x, y in self._loader(task.dataset, batch_size, generator):
                    if not left:
                        break
                    inputs = x if self._attack is None else self._moved(module, x, y)
                    optimizer.zero_grad()
                    self._loss(module(inputs.to(self._device)), y.to(self._device)).backward()
                    for name, parameter in named.items():
                        if parameter.grad is None:
                            continue
                        if anchor:
                            parameter.grad.add_(parameter.detach() - anchor[name], alpha=correction.mu)
                        if name in shift:
                            parameter.grad.add_(shift[name])
                    optimizer.step()
                    left -= 1
        trained = to_update(module, self._template)
        # Batch normalisation moves its statistics without a gradient: what is frozen stays.
        return Trained({name: start[name] if name in frozen else leaf for name, leaf in trained.items()}, steps)

    def loss_and_gradient(self, params: Params, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> tuple[float, Params]:
        """Return the mean loss over a batch and its gradient; zero for tensors that have none."""
        module = self._loaded(params).train()
        module.zero_grad()
        loss = self._loss(module(self._tensor(x)), self._tensor(y))
        loss.backward()
        named = dict(module.named_parameters())
        gradient = {}
        for name, leaf in params.items():
            found = named[name].grad if name in named else None
            gradient[name] = np.zeros_like(leaf) if found is None else found.detach().cpu().numpy().astype(leaf.dtype)
        return float(loss.detach()), gradient

    def input_gradient(
        self, params: Params, x: npt.NDArray[Any], y: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return each example's own loss, (n,), and its gradient by the example, in evaluation mode; both float64."""
        return self._input_gradient(self._loaded(params).eval(), self._tensor(x), self._tensor(y))

    def _input_gradient(
        self, module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        inputs = x.detach().clone().requires_grad_()
        outputs = module(inputs)
        # In evaluation mode examples do not touch each other: the gradient of the sum is each one's own.
        if (
            type(self._loss) is torch.nn.CrossEntropyLoss
            and self._loss.weight is None
            and not self._loss.label_smoothing
        ):
            return _cross_entropy_slope(inputs, outputs, y)
        losses = self._own_losses(outputs, y)
        (slope,) = torch.autograd.grad(losses.sum(), inputs)
        return losses.detach().cpu().numpy().astype(np.float64), slope.cpu().numpy().astype(np.float64)

    def _own_losses(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Each example's loss, (n,); any loss is a mean over the batch, so that a batch of one has the example's own."""
        if type(self._loss) is torch.nn.CrossEntropyLoss and self._loss.weight is None:
            return torch.nn.functional.cross_entropy(
                outputs, y, reduction="none", label_smoothing=self._loss.label_smoothing
            )
        return torch.stack([self._loss(outputs[i : i + 1], y[i : i + 1]) for i in range(len(y))])

    def _moved(self, module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """A batch as the attack leaves it; normalisation keeps its statistics, dropout is off meanwhile."""
        if self._attack is None:
            return x
        module.eval()

        def gradient(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
            return self._input_gradient(module, self._tensor(x), self._tensor(y))

        moved = self._attack(gradient, x.numpy(), y.numpy())
        module.train()
        return torch.from_numpy(moved)

    def predict(self, params: Params, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the most likely class of each row, int64, (n,)."""
        return self._outputs(params, x).argmax(dim=1).cpu().numpy()

    def evaluate(self, params: Params, dataset: Dataset) -> dict[str, float]:
        """Return the mean loss and the accuracy over a data set, in evaluation mode."""
        outputs, labels = self._outputs(params, dataset.x), self._tensor(dataset.y)
        return {
            "loss": float(self._loss(outputs, labels)),
            "accuracy": float((outputs.argmax(dim=1) == labels).double().mean()),
        }

    def _outputs(self, params: Params, x: npt.NDArray[Any]) -> torch.Tensor:
        module = self._loaded(params).eval()
        with torch.no_grad():
            return torch.cat([module(self._tensor(x[i : i + _EVALUATED])) for i in range(0, len(x), _EVALUATED)])

    def _loaded(self, params: Params) -> torch.nn.Module:
        self._module.load_state_dict(self._other)
        try:
            load_update(self._module, params)
        except EncodingError as error:
            raise type(error)(f"not this model's parameters: {error.message}", remedy=error.remedy) from error
        for parameter in self._module.parameters():
            parameter.requires_grad_()
        return self._module

    def _tensor(self, array: npt.NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.array(array)).to(self._device)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[torch.Generator]:
    """Torch's randomness (of dropout, initial weights, shuffling) under a seed, and as it was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


def _cross_entropy_slope(
    inputs: torch.Tensor, outputs: torch.Tensor, y: torch.Tensor
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Each example's cross-entropy and its gradient by the example, of a model that may be very sure.

    In single precision the gradient of such a model is rounded to zero, the attack stands still, and the model looks robust: the
    logits' residuals are taken in double precision, and go back through the network scaled to one an example.
    """
    log_probabilities = torch.log_softmax(outputs.detach().double(), dim=1)
    rows = torch.arange(len(y), device=y.device)
    residual = log_probabilities.exp()
    residual[rows, y] = 0.0
    residual[rows, y] = -residual.sum(dim=1)
    scale = residual.abs().amax(dim=1).clamp_min(torch.finfo(torch.float64).tiny)
    (slope,) = torch.autograd.grad(outputs, inputs, (residual / scale[:, None]).to(outputs.dtype))
    gradient = slope.double() * scale.reshape(-1, *[1] * (slope.ndim - 1))
    return -log_probabilities[rows, y].cpu().numpy(), gradient.cpu().numpy()
