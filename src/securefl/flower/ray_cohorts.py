"""Cohorts as Ray tasks: each makes its parties' updates and runs its secure aggregation on any core of a cluster; the sums add up.

    result = aggregate_cohorts_on_ray(updates_of, plan, parties)        # updates_of("party-17") trains, and returns a tree

A simulation, as `aggregate_cohorts` is: a task holds the updates and the keys of all parties of its cohort. Keys are made inside the
task and end with it; nothing of securefl's that is secret can be pickled, so none can travel to another process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import logging
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import ray

from securefl.crypto.random import OS, RandomSource
from securefl.engines.cohorts import CohortsResult, Total
from securefl.engines.division import Cohort, divide
from securefl.engines.faults import Fault
from securefl.engines.memory import MemorySession
from securefl.errors import ConfigError, RoundAbortedError, SecureFLError
from securefl.plan import Plan
from securefl.plan.paillier import Paillier
from securefl.session import RoundResult
from securefl.types import Step, Tree

Updates: TypeAlias = Callable[[str], Tree] | Mapping[str, Any]
_PER_UNIT: Final = 1 if sys.platform == "darwin" else 1024
"""Bytes in the unit that the system counts memory in."""


@dataclasses.dataclass(frozen=True, slots=True)
class TaskCost:
    """What the task of one cohort took.

    Args:
        making: seconds in which its parties' updates were made or fetched.
        aggregating: seconds of its secure aggregation, all parties and the server together.
        core_seconds: processor time of both, which does not depend on what else the machine does.
        peak_bytes: the most memory that its process held, Python, Ray and libraries included; 0 where unknown. Where the system does
            not say it for a task (it does on Linux), the most since the process began.
        process: the number of that process, on `host`.
        host: Ray's name of the machine.
    """

    making: float
    aggregating: float
    core_seconds: float
    peak_bytes: int
    process: int
    host: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class RayCohortsResult(CohortsResult):
    """The outcome of one round in cohorts on Ray.

    Args:
        costs: what the task of each cohort took; none of a task that was lost.
        seconds: from the first task's start to the last one's end.
    """

    costs: Mapping[str, TaskCost]
    seconds: float

    @property
    def peak_bytes(self) -> int:
        """The most memory that any task's process held."""
        return max(cost.peak_bytes for cost in self.costs.values())


def aggregate_cohorts_on_ray(
    updates_of: Updates,
    plan: Plan,
    parties: Sequence[str],
    weights: Mapping[str, int] | None = None,
    *,
    metrics: Mapping[str, Mapping[str, float]] | None = None,
    drop: Mapping[str, Step | str] | None = None,
    faults: Iterable[Fault] = (),
    min_cohorts: int = 1,
    keep_sums: bool = False,
    at_once: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    random: RandomSource = OS,
) -> RayCohortsResult:
    """Sum the updates of many parties, a Ray task a cohort. Split, plans, floors and failures are those of `aggregate_cohorts`.

    It runs on the cluster that `ray.init` has connected to, or else on a local one that it starts. A task is not tried again: who was in
    a sum once shall not be in another. A cohort whose task is lost, or in which making an update raises, has failed, by name; what does
    not fit the plan ends the call, although sums of other cohorts may be open by then.

    Args:
        updates_of: makes the update of the party that it is given, inside the task; must be picklable, and hold no secret. Or a mapping
            from each party to its update or to a reference of it (`ray.put`); those rest in Ray's object store in clear.
        plan: for one cohort, without privacy and not under a Paillier key.
        parties: their names, each once.
        weights: a whole number a party, up to the plan's `max_weight`; all 1 by default.
        metrics: the plan's metrics, by party.
        drop: the step that a party does not complete, by party.
        faults: whatever else goes wrong.
        min_cohorts: how many cohorts must end well.
        keep_sums: keep the vectors of every cohort in `results`. Otherwise each is added and dropped, so that memory here does not grow
            with the number of cohorts: `mean` and `sum` there are then empty, `integers` has no entries.
        at_once: tasks at a time; by default one a core of the cluster.
        progress: told how many cohorts have ended, of how many.
        random: the source of the split; everything secret is drawn from the operating system, in the tasks.

    Raises:
        UnsafePlanError: as `aggregate_cohorts`.
        ConfigError: as `aggregate_cohorts`; a plan that needs a ledger or a key, or a function that cannot be pickled.
        EncodingError: an update that does not fit the plan; names party and tensor.
        BelowThresholdError: fewer than `min_cohorts` cohorts ended well; names each and why.
    """
    _check(updates_of, plan, parties, at_once)
    cohorts = divide(
        parties, plan, weights, metrics=metrics, drop=drop, faults=faults, min_cohorts=min_cohorts, random=random
    )
    _connect()
    started, total, costs = time.perf_counter(), Total(plan, cohorts), {}
    outcomes = _outcomes(cohorts, updates_of, at_once or _cores(), keep_sums=keep_sums)
    for done, (name, outcome) in enumerate(outcomes, 1):
        if isinstance(outcome, RoundAbortedError):
            total.fail(name, outcome)
        else:
            costs[name] = outcome.cost
            if outcome.error is not None:
                error = _unpacked(outcome.error)
                if not isinstance(error, RoundAbortedError):
                    outcomes.close()
                    raise error
                total.fail(name, error)
            elif outcome.result is not None:
                result = dataclasses.replace(
                    outcome.result, refusals=tuple(_unpacked(packed) for packed in outcome.refusals)
                )
                slim = dataclasses.replace(result, integers=np.zeros(0, np.int64))
                total.add(name, result, kept=result if keep_sums else slim)
        if progress is not None:
            progress(done, len(cohorts))
    added, seconds = total.result(min_cohorts), time.perf_counter() - started
    fields = {field.name: getattr(added, field.name) for field in dataclasses.fields(added)}
    return RayCohortsResult(
        **fields, costs={name: costs[name] for name in added.members if name in costs}, seconds=seconds
    )


def _check(updates_of: Updates, plan: Plan, parties: Sequence[str], at_once: int | None) -> None:
    if plan.private:
        raise ConfigError(
            "a private plan on Ray: its ledger is one file, which tasks on other machines could not charge",
            remedy="use securefl.aggregate_cohorts, or Flower with a ledger on each node",
        )
    if isinstance(plan.protocol, Paillier):
        raise ConfigError(
            "a Paillier plan on Ray: the private key would have to travel to the tasks",
            remedy="use securefl.aggregate_cohorts, or a plan with SecAgg",
        )
    if len(set(parties)) < len(parties):
        twice = next(name for i, name in enumerate(parties) if name in set(parties[:i]))
        raise ConfigError(f"{twice!r} is among the parties twice", remedy="name each once")
    if isinstance(updates_of, Mapping) and (odd := sorted(set(updates_of) ^ set(parties))):
        raise ConfigError(
            f"updates are not those of the parties: {', '.join(odd[:8])}", remedy="give one entry for each party"
        )
    if at_once is not None and at_once < 1:
        raise ConfigError(f"at_once is {at_once}", remedy="run 1 task at a time, or more")


def _connect() -> None:
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would tell its makers of every cluster
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it warns of what will change there
        ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)


def _cores() -> int:
    cores = ray.cluster_resources().get("CPU", 1)  # type: ignore[no-untyped-call]
    return max(1, int(cores))


_Packed: TypeAlias = tuple[type[SecureFLError], tuple[Any, ...], dict[str, Any]]


@dataclasses.dataclass(frozen=True, slots=True)
class _Outcome:
    """What a task returns. Errors come in parts: many have required arguments, and would not survive a pickle."""

    cost: TaskCost
    result: RoundResult | None = None
    refusals: tuple[_Packed, ...] = ()
    error: _Packed | None = None


def _outcomes(
    cohorts: Sequence[Cohort], updates_of: Updates, at_once: int, *, keep_sums: bool
) -> Generator[tuple[str, _Outcome | RoundAbortedError]]:
    """Run the cohorts, so many at a time, and yield what came of each as it ends; what still runs is cancelled at the end."""
    task = ray.remote(max_retries=0, num_cpus=1)(_run)
    stored = _stored(updates_of) if callable(updates_of) else None
    waiting = iter(cohorts)
    running: dict[Any, str] = {}
    try:
        while True:
            while len(running) < at_once and (cohort := next(waiting, None)) is not None:
                own: Any = stored if callable(updates_of) else {party: updates_of[party] for party in cohort.parties}
                running[task.remote(cohort, own, keep_sums)] = cohort.name
            if not running:
                return
            (ended, *_), _ = ray.wait(list(running), num_returns=1)
            name = running.pop(ended)
            try:
                outcome = ray.get(ended)
            except ray.exceptions.RayError as lost:
                # Its text may quote what the task held.
                outcome = RoundAbortedError(
                    f"the task of {name} was lost: {type(lost).__name__}",
                    remedy="see Ray's logs; where memory ran out, plan smaller cohorts or set at_once",
                )
            del ended  # the last reference: Ray frees the vector
            yield name, outcome
            del outcome
    finally:
        for reference in running:
            ray.cancel(reference)


def _stored(updates_of: Callable[[str], Tree]) -> Any:
    try:
        return ray.put(updates_of)
    except SecureFLError:
        raise
    except Exception as error:
        raise ConfigError(
            f"updates_of cannot be pickled: {type(error).__name__}",
            remedy="give a function of a module; open files and connections inside it",
        ) from error


def _run(cohort: Cohort, updates_of: Updates, keep_sums: bool) -> _Outcome:
    """One cohort, in a process of Ray's."""
    started = made = time.perf_counter()
    before = time.process_time()
    gc.collect()  # whatever secrets the last cohort in this process left in cycles end here
    _forget_peak()
    result, error = None, None
    try:
        updates = _made(cohort.parties, updates_of)
        made = time.perf_counter()
        session = MemorySession(cohort.plan, cohort.parties)
        result = session.round(updates, weights=cohort.weights, metrics=cohort.metrics, faults=cohort.faults)
    except SecureFLError as ended:
        error = _packed(ended)
    cost = TaskCost(
        making=made - started,
        aggregating=time.perf_counter() - made,
        core_seconds=time.process_time() - before,
        peak_bytes=_peak(),
        process=os.getpid(),
        host=ray.get_runtime_context().get_node_id(),
    )
    if result is None:
        return _Outcome(cost, error=error)
    refusals = tuple(_packed(refusal) for refusal in result.refusals)
    if not keep_sums:
        result = dataclasses.replace(result, mean={}, sum={})
    return _Outcome(cost, dataclasses.replace(result, refusals=()), refusals)


def _made(parties: Sequence[str], updates_of: Updates) -> dict[str, Tree]:
    if not callable(updates_of):
        return {
            party: ray.get(update) if isinstance(update, ray.ObjectRef) else update
            for party, update in updates_of.items()
        }
    updates = {}
    for party in parties:
        try:
            updates[party] = updates_of(party)
        except SecureFLError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the caller's function does
            # Its text may quote data, and would end up in Ray's logs.
            raise RoundAbortedError(
                f"making the update of {party!r} raised {type(error).__name__}",
                suspects=(party,),
                remedy=f"call updates_of({party!r}) in this process to see why",
            ) from None
    return updates


def _packed(error: SecureFLError) -> _Packed:
    return type(error), error.args, vars(error)


def _unpacked(packed: _Packed) -> SecureFLError:
    kind, args, fields = packed
    error = kind.__new__(kind, *args)
    vars(error).update(fields)
    return error


def _forget_peak() -> None:
    with contextlib.suppress(OSError):  # not Linux
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak() -> int:
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return next(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return _PER_UNIT * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
