"""Episodes: a policy played in an environment, one episode a copy, each answer of the environment checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError, NonFiniteError
from securefl.federated.models import Params
from securefl.federated.reinforcement.environment import VectorEnvironment, named

if TYPE_CHECKING:
    from securefl.federated.reinforcement.policy import Policy

LONGEST: Final = 10_000
"""Steps after which an episode that does not end is given up."""
_EVALUATION: Final = 2**31 - 1
"""The seed of the starts on which policies are evaluated: the same for all, and of no training."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Episodes:
    """One episode of each copy, padded to the longest: T steps of n copies.

    Args:
        observations: float32, (T, n, d).
        actions: int64, (T, n).
        rewards: float64, (T, n); 0 after a copy's end.
        alive: bool, (T, n), whether the copy's episode still went on when it acted.
    """

    observations: npt.NDArray[np.float32]
    actions: npt.NDArray[np.int64]
    rewards: npt.NDArray[np.float64]
    alive: npt.NDArray[np.bool_]

    @property
    def returns(self) -> npt.NDArray[np.float64]:
        """The sum of each episode's rewards, (n,)."""
        total: npt.NDArray[np.float64] = self.rewards.sum(axis=0)
        return total

    def returns_to_go(self, discount: float = 1.0) -> npt.NDArray[np.float64]:
        """What each step and those after it brought, discounted from there, (T, n)."""
        found = self.rewards.copy()
        for step in range(len(found) - 2, -1, -1):
            found[step] += discount * found[step + 1]
        return found


def play(
    policy: Policy,
    params: Params,
    environment: VectorEnvironment,
    *,
    seed: int,
    rng: np.random.Generator | None = None,
    where: str = "",
) -> Episodes:
    """Play one episode in each copy.

    Args:
        policy: chooses.
        params: of the policy.
        environment: is reset first.
        seed: of the environment's reset.
        rng: draws the actions; None for the likeliest one.
        where: whose environment it is, for errors.

    Raises:
        NonFiniteError: an observation or a reward is NaN or infinite; names environment, step and copy.
        ConfigError: an answer of another shape, or an episode without end.
    """
    who = f"{where}: {named(environment)}" if where else named(environment)
    n = int(environment.num_envs)
    shape = (n, policy.observations)
    _refuse_frozen(environment, who)
    start, _ = _parts(environment.reset(seed=seed), 2, "observations and info", f"{who}, reset")
    observations = _observations(start, shape, f"{who}, reset")
    act = policy.acting(params)
    alive = np.ones(n, dtype=np.bool_)
    kept: tuple[list[Any], list[Any], list[Any], list[Any]] = ([], [], [], [])
    for step in range(1, LONGEST + 1):
        chances = act(observations)
        if rng is None:
            actions = chances.argmax(axis=1)
        else:
            # The first action whose cumulated probability exceeds the draw; the last one where rounding leaves a gap.
            reached = chances.cumsum(axis=1)[:, :-1] <= rng.random((n, 1))
            actions = reached.sum(axis=1)
        place = f"{who}, step {step}"
        following, rewards, terminated, truncated, _ = _parts(
            environment.step(actions.copy()), 5, "observations, rewards, terminated, truncated and info", place
        )
        gained = np.array(_vector(rewards, n, "fiub", "rewards", place), dtype=np.float64)
        _finite(gained, "reward", place)
        going = ~_vector(terminated, n, "iub", "terminated", place).astype(np.bool_)
        going &= ~_vector(truncated, n, "iub", "truncated", place).astype(np.bool_)
        for values, value in zip(kept, (observations, actions, gained, alive), strict=True):
            values.append(value)
        alive = alive & going
        if not alive.any():
            break
        observations = _observations(following, shape, place)
    else:
        raise ConfigError(
            f"{who}: {int(alive.sum())} of {n} episodes did not end within {LONGEST} steps",
            remedy="truncate them, as gymnasium's TimeLimit does",
        )
    was_alive = np.array(kept[3], dtype=np.bool_)
    return Episodes(
        observations=np.array(kept[0], dtype=np.float32),
        actions=np.array(kept[1], dtype=np.int64),
        rewards=np.where(was_alive, np.array(kept[2], dtype=np.float64), 0.0),
        alive=was_alive,
    )


def mean_return(policy: Policy, params: Params, environment: VectorEnvironment) -> float:
    """Return the mean over one episode of each copy, from starts that are the same each time, with the likeliest actions.

    Raises:
        NonFiniteError, ConfigError: as `play`.
    """
    return float(play(policy, params, environment, seed=_EVALUATION, where="evaluation").returns.mean())


def _observations(given: Any, shape: tuple[int, int], place: str) -> npt.NDArray[Any]:
    array = _array(given)
    if array.shape != shape or array.dtype.kind not in "fiub":
        raise ConfigError(
            f"{place}: got observations of shape {array.shape} and dtype {array.dtype}, needs {shape} floats, (copies, values)",
            remedy="use an environment that fits the policy, or make the policy with observations="
            f"{array.shape[-1] if array.ndim == 2 else shape[1]}",
        )
    return _finite(array, "observation", place)


def _array(given: Any) -> npt.NDArray[Any]:
    try:
        return np.asarray(given)
    except ValueError:  # rows of unlike length
        return np.empty((), dtype=np.object_)


def _parts(answer: Any, count: int, what: str, place: str) -> tuple[Any, ...]:
    if not isinstance(answer, tuple) or len(answer) != count:
        got = f"{len(answer)} values" if isinstance(answer, tuple) else f"a {type(answer).__name__}"
        raise ConfigError(
            f"{place}: got {got}, needs {count}: {what}",
            remedy="use gymnasium's interface, which gym before 0.26 has not",
        )
    return answer


def _refuse_frozen(environment: VectorEnvironment, who: str) -> None:
    """Copies that end at different times are stepped together, so they must bear it."""
    metadata = getattr(environment, "metadata", None)
    mode = metadata.get("autoreset_mode") if isinstance(metadata, Mapping) else None
    if str(getattr(mode, "value", mode)).lower() == "disabled":
        raise ConfigError(
            f"{who}: its autoreset mode is disabled, and copies are stepped until the last has ended",
            remedy="use gymnasium's NEXT_STEP or SAME_STEP",
        )


def _vector(given: Any, n: int, kinds: str, what: str, place: str) -> npt.NDArray[Any]:
    array = _array(given)
    if array.shape != (n,) or array.dtype.kind not in kinds:
        needs = "numbers" if "f" in kinds else "truth values"
        raise ConfigError(
            f"{place}: got {what} of shape {array.shape} and dtype {array.dtype}, needs {n} {needs}, one a copy",
            remedy="use a vector environment, such as gymnasium.make_vec makes",
        )
    return array


def _finite(array: npt.NDArray[Any], what: str, place: str) -> npt.NDArray[np.float32]:
    """A copy, since environments may write into what they returned; what float32 cannot hold is infinite."""
    if array.dtype == np.float32:
        copy = array.copy()
    else:
        with np.errstate(over="ignore"):
            copy = np.array(array, dtype=np.float32)
    finite = np.isfinite(copy)
    if finite.all():
        return copy
    bad = np.argwhere(~finite)
    raise NonFiniteError(
        f"{place}: the {what} of copy {int(bad[0][0])} is {array[tuple(bad[0])]}",
        tensor=what,
        remedy="mend the environment, or leave this party out",
    )
