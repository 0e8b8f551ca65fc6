"""CartPole, many copies at once, in numpy: with gymnasium's interface, equations and constants, and gravity and pole of one's own."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.reinforcement.environment import Box, Discrete, finite_number

_FORCES: Final = np.array([-10.0, 10.0])
_TAU: Final = 0.02
_CART: Final = 1.0
_POLE: Final = 0.1
_TOTAL: Final = _POLE + _CART
_ANGLE: Final = 12 * 2 * math.pi / 360
_PLACE: Final = 2.4
_LIMITS: Final = np.array([[_PLACE], [_ANGLE]])
_START: Final = 0.05


class CartPole:
    """`num_envs` carts, each with a pole to balance: CartPole-v1 of gymnasium 1.x, and its trajectories to the bit.

        environment = CartPole(16, gravity=3.7, length=0.8)
        observations, _ = environment.reset(seed=0)
        observations, rewards, terminated, truncated, _ = environment.step(np.ones(16, dtype=np.int64))

    Observed are place, speed, angle and angular speed: float32, (n, 4). Action 0 pushes to the left, 1 to the right. Each step is
    worth 1; an episode ends ("terminated") beyond 2.4 units or 12 degrees, or ("truncated") after `max_episode_steps`. The step after
    that starts the copy anew and is worth 0 ("next-step" autoreset).

    Args:
        num_envs: n, copies.
        gravity: in m/s², one for all copies or one each; above 0.
        length: half of the pole's length in m, one for all copies or one each; above 0.
        max_episode_steps: after which an episode is truncated.

    Raises:
        ConfigError: an argument is out of range.

    Source: Barto, Sutton, Anderson 1983; gymnasium's `CartPoleVectorEnv`, explicit Euler steps of 0.02 s.
    """

    metadata: Final = {"render_modes": [], "autoreset_mode": "NextStep"}

    def __init__(
        self,
        num_envs: int = 1,
        *,
        gravity: float | npt.ArrayLike = 9.8,
        length: float | npt.ArrayLike = 0.5,
        max_episode_steps: int = 500,
    ) -> None:
        for name, count in (("num_envs", num_envs), ("max_episode_steps", max_episode_steps)):
            if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
                raise ConfigError(f"{name}: got {count!r}, needs at least 1", remedy=f"use {name}=16 or more")
        self.num_envs = int(num_envs)
        self.max_episode_steps = int(max_episode_steps)
        self.gravity = _physical("gravity", gravity, self.num_envs)
        self.length = _physical("length", length, self.num_envs)
        high = np.array([2 * _PLACE, np.inf, 2 * _ANGLE, np.inf], dtype=np.float32)
        self.single_observation_space = Box(-high, high)
        self.single_action_space = Discrete(2)
        self._random = np.random.default_rng(0)
        self._state: npt.NDArray[np.float64] | None = None
        self._steps = np.zeros(self.num_envs, dtype=np.int64)
        self._ended = np.zeros(self.num_envs, dtype=np.bool_)

    def __repr__(self) -> str:
        return f"<CartPole: {self.num_envs} copies, gravity {_span(self.gravity)}, half length {_span(self.length)}>"

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Start all copies anew, near the middle and upright.

        Args:
            seed: of where they start; None goes on with the one before, which is 0 at first.
            options: "low" and "high", the bounds of each value of the start; -0.05 and 0.05 unless given.

        Raises:
            ConfigError: a negative seed, an option of another name, or bounds that are none.
        """
        if seed is not None:
            if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
                raise ConfigError(f"seed: got {seed!r}, needs an integer >= 0", remedy="use seed=0")
            self._random = np.random.default_rng(seed)
        bounds = {"low": -_START, "high": _START, **(options or {})}
        if set(bounds) != {"low", "high"}:
            odd = min(set(bounds) - {"low", "high"})
            raise ConfigError(f"options: got {odd!r}, known are 'low' and 'high'", remedy="leave it out")
        low, high = bounds["low"], bounds["high"]
        if not finite_number(low) or not finite_number(high) or low > high:
            raise ConfigError(
                f"options: got low={low!r}, high={high!r}, needs low <= high", remedy="use -0.05 and 0.05"
            )
        self._low, self._high = float(low), float(high)
        self._state = self._random.uniform(self._low, self._high, (4, self.num_envs))
        self._steps[:] = 0
        self._ended[:] = False
        return self._observed(self._state), {}

    def step(
        self, actions: npt.ArrayLike
    ) -> tuple[
        npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]
    ]:
        """Push each cart once.

        Args:
            actions: integers 0 or 1, (n,).

        Raises:
            ConfigError: other actions, or there was no `reset`.
        """
        if self._state is None:
            raise ConfigError("CartPole: step before reset", remedy="call reset(seed=0) first")
        before, change = self._state, np.empty_like(self._state)
        force = _FORCES[self._checked(actions)]
        cosine, sine = np.cos(before[2]), np.sin(before[2])
        pole = _POLE * self.length
        # The order of operations is gymnasium's: sums of floats in another order are other floats.
        push = (force + pole * (before[3] * before[3]) * sine) / _TOTAL
        change[0], change[2] = before[1], before[3]
        change[3] = (self.gravity * sine - cosine * push) / (
            self.length * (4.0 / 3.0 - _POLE * (cosine * cosine) / _TOTAL)
        )
        change[1] = push - pole * change[3] * cosine / _TOTAL
        change *= _TAU
        change += before
        state = change
        beyond = np.abs(state[::2]) > _LIMITS
        terminated = beyond[0] | beyond[1]
        self._steps += 1
        truncated = self._steps >= self.max_episode_steps
        rewards = np.ones(self.num_envs, dtype=np.float32)
        if self._ended.any():
            state[:, self._ended] = self._random.uniform(self._low, self._high, (4, int(self._ended.sum())))
            self._steps[self._ended] = 0
            rewards[self._ended] = 0.0
            terminated &= ~self._ended
            truncated &= ~self._ended
        self._state, self._ended = state, terminated | truncated
        return self._observed(state), rewards, terminated, truncated, {}

    def close(self) -> None:
        """Nothing to close; gymnasium's has the method, too."""

    def _checked(self, actions: npt.ArrayLike) -> npt.NDArray[Any]:
        given = np.asarray(actions)
        if given.shape != (self.num_envs,) or given.dtype.kind not in "iu":
            raise ConfigError(
                f"actions: got shape {given.shape} of dtype {given.dtype}, needs {self.num_envs} integers, one a copy",
                remedy="pass an array of 0 and 1",
            )
        if (given >> 1).any():  # not 0 or 1
            copy = int(np.flatnonzero((given < 0) | (given > 1))[0])
            raise ConfigError(
                f"actions: got {int(given[copy])} for copy {copy} in its step {int(self._steps[copy]) + 1}, needs 0 or 1",
                remedy="0 pushes to the left, 1 to the right",
            )
        return given

    @staticmethod
    def _observed(state: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        return state.T.astype(np.float32)


def _physical(name: str, value: float | npt.ArrayLike, copies: int) -> npt.NDArray[np.float64]:
    """One number for each copy.

    Raises:
        ConfigError: not finite, not above 0, or another number of them.
    """
    try:
        given = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(
            f"{name}: got {value!r}, needs numbers > 0", remedy=f"leave {name} out for gymnasium's"
        ) from None
    if given.shape not in {(), (copies,)}:
        raise ConfigError(
            f"{name}: got {given.size} values of shape {given.shape}, needs 1 or {copies}, one a copy",
            remedy=f"pass one number, or num_envs={given.size}",
        )
    if not (np.isfinite(given) & (given > 0)).all():
        bad = float(given[~(np.isfinite(given) & (given > 0))].reshape(-1)[0])
        raise ConfigError(
            f"{name}: got {bad:g}, needs a finite number > 0", remedy=f"leave {name} out for that of gymnasium"
        )
    return np.broadcast_to(given, (copies,)).copy()


def _span(values: npt.NDArray[np.float64]) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
