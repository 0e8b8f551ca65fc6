"""Any `torch.nn.Module` that gives logits as a policy of `securefl.federated.reinforcement`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from securefl.errors import ConfigError
from securefl.federated.models import Params
from securefl.federated.reinforcement.environment import VectorEnvironment
from securefl.federated.reinforcement.policy import Chances, check_returns
from securefl.federated.reinforcement.rollout import mean_return
from securefl.torch.model import TorchModel


class TorchPolicy:
    """A module from observations to one logit an action, as functions of its parameters; `PerceptronPolicy` in torch.

        policy = TorchPolicy(lambda: nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2)), observations=4, actions=2)
        Federation(policy, clients, plan=plan_for(policy, clients), algorithm=Reinforce())

    What travels is every tensor of floats in the module's `state_dict`. It computes in evaluation mode, so that dropout and batch
    statistics do not stand between what was done and its probability.

    Args:
        factory: makes the module; called under a fixed seed, so that all start from the same weights.
        observations: d.
        actions: k, logits of the module.
        returns: the least and the largest return of an episode; CartPole's unless given.
        device: where it computes.

    Raises:
        ConfigError: an argument is out of range, or the module gives something else for (n, d) than (n, k).
        EncodingError: a tensor that cannot travel, or no tensor of floats.
    """

    def __init__(
        self,
        factory: Callable[[], torch.nn.Module],
        *,
        observations: int,
        actions: int,
        returns: tuple[float, float] = (0.0, 500.0),
        device: str | torch.device = "cpu",
    ) -> None:
        for name, value, least in (("observations", observations, 1), ("actions", actions, 2)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(
                    f"{name}: got {value!r}, needs at least {least}", remedy=f"use {name}={least} or more"
                )
        check_returns(returns)
        self.observations, self.actions, self.returns = observations, actions, returns
        self._model = TorchModel(factory, device=device)
        self._device = torch.device(device)
        try:
            given = tuple(self.module(self.initial(0))(self._inputs(np.zeros((3, observations)))).shape)
        except RuntimeError as error:
            raise ConfigError(
                f"factory: the module does not take {observations} values: {str(error).splitlines()[0]}",
                remedy="give it as many inputs as there are observations",
            ) from error
        if given != (3, actions):
            raise ConfigError(
                f"factory: the module gives shape {given} for 3 observations, needs (3, {actions})",
                remedy="let it end in one logit an action",
            )

    def initial(self, seed: int) -> Params:
        """Return the tensors of a module made under this seed."""
        return self._model.initial(seed)

    def acting(self, params: Params) -> Chances:
        """Return the function from observations (n, d) to each action's probability, float64, (n, actions)."""
        module = self.module(params)

        def chances(observations: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
            with torch.no_grad():
                logits = module(self._inputs(observations))
                found: npt.NDArray[np.float64] = logits.double().softmax(dim=1).cpu().numpy()
            return found

        return chances

    def loss_and_gradient(
        self,
        params: Params,
        observations: npt.NDArray[Any],
        actions: npt.NDArray[Any],
        advantages: npt.NDArray[Any],
    ) -> tuple[float, Params]:
        """Return the mean of -advantage * log probability of what was done, and its gradient; zero for tensors that have none."""
        module = self.module(params)
        module.zero_grad()
        chosen = torch.from_numpy(np.array(actions, dtype=np.int64)).to(self._device)
        logits = module(self._inputs(observations))
        logs = logits.log_softmax(dim=1).gather(1, chosen[:, None])[:, 0]
        loss = -(torch.from_numpy(np.array(advantages)).to(logits) * logs).mean()
        loss.backward()
        named = dict(module.named_parameters())
        gradient = {}
        for name, leaf in params.items():
            found = named[name].grad if name in named else None
            gradient[name] = np.zeros_like(leaf) if found is None else found.detach().cpu().numpy().astype(leaf.dtype)
        return float(loss.detach()), gradient

    def evaluate(self, params: Params, environment: VectorEnvironment) -> dict[str, float]:
        """Return the mean "return" over one episode of each copy, always from the same starts, with the likeliest action in each step."""
        return {"return": mean_return(self, params, environment)}

    def module(self, params: Params) -> torch.nn.Module:
        """Return a copy of the module with these parameters, in evaluation mode: for use outside training."""
        return self._model.module(params)

    def _inputs(self, observations: npt.NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.array(observations, dtype=np.float32)).to(self._device)
