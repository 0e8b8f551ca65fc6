"""Cohorts as Ray tasks: the sums of other processes add up exactly, and what goes wrong in one is told by name."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import securefl as sfl
from securefl.crypto.random import OS
from securefl.engines.cohorts import split
from securefl.errors import EncodingError

pytest.importorskip("flwr")
ray = pytest.importorskip("ray")
from securefl.flower.ray_cohorts import aggregate_cohorts_on_ray  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
NAMES = tuple(f"clinic-{i:02}" for i in range(17))
MEMBERS = 5


class InOrder:
    """Randomness that leaves every list as it was, so that a test knows who is in which cohort; all else is the system's."""

    def token(self, size):
        return OS.token(size)

    def below(self, bound):
        return bound - 1


@contextlib.contextmanager
def leaving_ends_loose():
    """Ray closes no /dev/null that it opens, and waits for no process that it starts: what it leaves is collected here, unheard."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.fixture(scope="module", autouse=True)
def cluster():
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    with leaving_ends_loose():
        context = ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield Path(context.address_info["session_dir"])
    with leaving_ends_loose():
        del context
        ray.shutdown()


def plan_of(server="active", **fields):
    protocol = sfl.SecAgg(server=server, max_colluders=1)
    return sfl.Plan(template={"w": ((40,), "int32")}, parties=MEMBERS, protocol=protocol, **fields)


def maker(spoil=None):
    """A function that Ray can carry to a process which has no tests: nested, so that it travels whole."""

    def updates_of(party):
        number = int(party.removeprefix("clinic-"))
        if spoil is not None and party in spoil:
            return spoil[party](party)
        return {"w": np.arange(40, dtype=np.int32) * number - 77}

    return updates_of


def exact(survivors, weights=None):
    return sum((weights or {}).get(name, 1) * maker()(name)["w"].astype(np.int64) for name in survivors)


def test_sums_of_all_cohorts_add_up_exactly_with_weights_and_one_party_lost():
    weights = {name: 1 + i for i, name in enumerate(NAMES)}
    told = []
    result = aggregate_cohorts_on_ray(
        maker(),
        plan_of(max_weight=20),
        NAMES,
        weights,
        drop={NAMES[3]: "masked_input"},
        progress=lambda done, total: told.append((done, total)),
        random=InOrder(),  # a cohort of six can lose a party, one of five cannot
    )
    assert sorted(result.survivors) == sorted(set(NAMES) - {NAMES[3]})
    np.testing.assert_array_equal(result.sum["w"], exact(result.survivors, weights))
    assert result.weight_sum == sum(weights[name] for name in result.survivors)
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert sorted(len(members) for members in result.members.values()) == [5, 6, 6]
    assert all(cost.process != os.getpid() for cost in result.costs.values()), "tasks are other processes"
    assert result.costs.keys() == result.results.keys() == set(result.members)
    assert result.peak_bytes > 10e6
    assert all(cost.core_seconds > 0 and cost.aggregating > 0 for cost in result.costs.values())
    assert result.bytes_up > 0
    assert "each party hides among the vectors of its own" in result.report()
    # Vectors of single cohorts are not kept unless asked for.
    assert all(part.integers.size == 0 and part.sum == {} and part.mean == {} for part in result.results.values())


@pytest.mark.heavy
def test_it_agrees_with_the_same_cohorts_in_this_process():
    here = sfl.aggregate_cohorts({name: maker()(name) for name in NAMES}, plan_of("semi-honest"), random=InOrder())
    there = aggregate_cohorts_on_ray(maker(), plan_of("semi-honest"), NAMES, keep_sums=True, random=InOrder())
    assert here.members == there.members
    np.testing.assert_array_equal(here.sum["w"], there.sum["w"])
    np.testing.assert_array_equal(here.mean["w"], there.mean["w"])
    assert here.bytes_up == there.bytes_up
    for name, part in here.results.items():
        assert part.survivors == there.results[name].survivors
        np.testing.assert_array_equal(part.integers, there.results[name].integers)
        np.testing.assert_array_equal(part.sum["w"], there.results[name].sum["w"])


@pytest.mark.heavy
def test_updates_may_be_references():
    references = {name: ray.put(maker()(name)) for name in NAMES}
    result = aggregate_cohorts_on_ray(references, plan_of(), NAMES, at_once=1)
    np.testing.assert_array_equal(result.sum["w"], exact(NAMES))


def test_a_cohort_that_loses_too_many_fails_by_name_and_the_others_go_on():
    members = split(NAMES, MEMBERS, InOrder())
    drop = dict.fromkeys(members["cohort-1"][:4], "share_keys")
    result = aggregate_cohorts_on_ray(maker(), plan_of(), NAMES, drop=drop, random=InOrder())
    assert list(result.failed) == ["cohort-1"]
    assert isinstance(result.failed["cohort-1"], sfl.BelowThresholdError)
    assert all(name in str(result.failed["cohort-1"]) for name in drop)
    assert not set(members["cohort-1"]) & set(result.survivors)
    np.testing.assert_array_equal(result.sum["w"], exact(result.survivors))
    with pytest.raises(sfl.BelowThresholdError, match=r"2 of 3 cohorts ended well, 3 are needed; cohort-1: "):
        aggregate_cohorts_on_ray(maker(), plan_of(), NAMES, drop=drop, min_cohorts=3, random=InOrder())


@pytest.mark.heavy
def test_a_lie_of_one_cohorts_server_is_told_with_what_its_parties_refused():
    members = split(NAMES, MEMBERS, InOrder())
    lie = sfl.faults.Equivocate(members["cohort-0"][:3], members["cohort-0"][3:4])
    result = aggregate_cohorts_on_ray(maker(), plan_of(), NAMES, faults=[lie], random=InOrder())
    assert list(result.failed) == ["cohort-0"]
    np.testing.assert_array_equal(result.sum["w"], exact(result.survivors))
    spoiled = sfl.faults.Corrupt(members["cohort-1"][0], "masked_input")
    result = aggregate_cohorts_on_ray(maker(), plan_of(), NAMES, faults=[spoiled], random=InOrder())
    (refusal,) = result.results["cohort-1"].refusals
    assert isinstance(refusal, sfl.SecureFLError)
    assert members["cohort-1"][0] not in result.survivors


@pytest.mark.heavy
def test_a_function_that_raises_or_kills_its_process_fails_its_cohort_without_quoting_data(cluster, tmp_path):
    tried = str(tmp_path / "tried")

    def raises(party):
        raise ValueError(f"diagnosis-of-{party}-is-4711")

    def dies(party):
        import os

        with open(tried, "a") as file:  # noqa: PTH123 - it travels without its imports
            file.write(party)
        os._exit(3)

    members = split(NAMES, MEMBERS, InOrder())
    culprit, victim = members["cohort-0"][2], members["cohort-2"][1]
    broken = maker({culprit: raises, victim: dies})
    result = aggregate_cohorts_on_ray(broken, plan_of(), NAMES, random=InOrder())
    assert result.failed.keys() == {"cohort-0", "cohort-2"}
    assert result.failed["cohort-0"].suspects == (culprit,)
    assert "raised ValueError" in str(result.failed["cohort-0"])
    assert "the task of cohort-2 was lost" in str(result.failed["cohort-2"])
    assert Path(tried).read_text() == victim, "who may have been in a sum is not asked again"
    assert result.survivors == members["cohort-1"]
    np.testing.assert_array_equal(result.sum["w"], exact(result.survivors))
    told = b"".join(path.read_bytes() for path in (cluster / "logs").rglob("*") if path.is_file())
    assert b"worker" in told
    assert b"4711" not in told + str(list(result.failed.values())).encode()


def test_an_update_that_does_not_fit_ends_the_call_and_names_its_party():
    broken = maker({NAMES[7]: lambda party: {"w": np.zeros(41, np.int32)}})
    with pytest.raises(EncodingError, match=NAMES[7]) as caught:
        aggregate_cohorts_on_ray(broken, plan_of(), NAMES)
    assert caught.value.tensor == "w"
    result = aggregate_cohorts_on_ray(maker(), plan_of(), NAMES)  # nothing of it stays in the way
    np.testing.assert_array_equal(result.sum["w"], exact(NAMES))


def test_what_cannot_run_there_is_refused_before_anything_starts():
    private = sfl.DistributedDiscreteGaussian(clip=1.0, noise_multiplier=2.0)
    template, protocol = {"w": ((40,), "float32")}, sfl.SecAgg(threshold=3)
    noisy = sfl.Plan(template=template, parties=5, protocol=protocol, privacy=private)
    with pytest.raises(sfl.ConfigError, match="private plan on Ray"):
        aggregate_cohorts_on_ray(maker(), noisy, NAMES)
    with pytest.raises(sfl.ConfigError, match=r"'clinic-03' is among the parties twice"):
        aggregate_cohorts_on_ray(maker(), plan_of(), (*NAMES, "clinic-03"))
    with pytest.raises(sfl.ConfigError, match=r"updates are not those of the parties: clinic-00"):
        aggregate_cohorts_on_ray({name: maker()(name) for name in NAMES[1:]}, plan_of(), NAMES)
    with pytest.raises(sfl.ConfigError, match="at_once is 0"):
        aggregate_cohorts_on_ray(maker(), plan_of(), NAMES, at_once=0)
    with pytest.raises(sfl.UnsafePlanError, match="too few parties for one cohort"):
        aggregate_cohorts_on_ray(maker(), plan_of(), NAMES[:4])
    lock = threading.Lock()
    with pytest.raises(sfl.ConfigError, match="updates_of cannot be pickled"):
        aggregate_cohorts_on_ray(lambda party: {"w": lock}, plan_of(), NAMES)


def test_a_secret_in_the_function_never_reaches_another_process():
    from securefl.crypto.secret import Secret
    from securefl.errors import SecretMisuseError

    secret = Secret(b"k" * 32)
    with pytest.raises(SecretMisuseError):
        aggregate_cohorts_on_ray(lambda party: {"w": bytes(secret)}, plan_of(), NAMES)


@pytest.mark.heavy
def test_the_code_of_the_document_prints_what_stands_there():
    """Its fence says py: test_documents, which runs python blocks in its own process, leaves it to this test."""
    text = (ROOT / "docs" / "many-parties.md").read_text(encoding="utf-8")
    ((code, expected),) = re.findall(r"^```py\n(.*?)^```\n```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    done = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == expected


@pytest.mark.heavy
@pytest.mark.timeout(400)
def test_the_benchmark_in_small_measures_fits_and_draws(tmp_path):
    script = ROOT / "benchmarks" / "scale" / "ray_cohorts.py"
    json_file, plot = tmp_path / "ray.json", tmp_path / "ray.png"
    command = [sys.executable, str(script), "--quick", "--json", str(json_file), "--plot", str(plot)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own script
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(json_file.read_text())
    points = told["points"]
    assert len({point["parties"] for point in points}) >= 3
    assert all(point["core_seconds"] > 0 and point["task_bytes"] > 0 for point in points)
    time, worst = told["time"], 0.0
    for point in points:
        model = time["a"] + point["parties"] * (time["b"] + time["c"] * point["values"])
        worst = max(worst, abs(model / point["core_seconds"] - 1))
    assert worst == pytest.approx(time["worst"])
    assert "extrapolated, not measured: 1,000,000 parties x 100,000,000 values" in done.stdout
    assert plot.stat().st_size > 10_000
