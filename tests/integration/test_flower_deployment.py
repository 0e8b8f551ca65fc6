"""A real deployment of Flower: SuperLink and SuperNodes in processes of their own, TLS, node authentication, and a node that is lost."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import securefl as sfl

pytest.importorskip("flwr")
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "flower"
sys.path.insert(0, str(EXAMPLE))
from hospital import task  # noqa: E402

from securefl.flower import template_of  # noqa: E402
from securefl.flower.arrays import to_numpy  # noqa: E402

specification = importlib.util.spec_from_file_location("securefl_example_deploy", EXAMPLE / "deploy.py")
deploy = importlib.util.module_from_spec(specification)
specification.loader.exec_module(deploy)


def in_memory(names, outcomes, plan):
    """The same rounds by the embedded engine: same data, same seeds, the same parties missing."""
    model = to_numpy(task.initial())
    session = sfl.MemorySession(plan, names)
    for number, outcome in enumerate(outcomes, 1):
        updates, weights, metrics = {}, {}, {}
        for index, name in enumerate(names):
            moved, weights[name], loss = task.trained(as_record(model), index, len(names), number)
            updates[name] = {key: array - model[key] for key, array in to_numpy(moved).items()}
            metrics[name] = {"loss": loss}
        gone = {name: "masked_input" for name in names if name not in outcome["survivors"]}
        result = session.round(updates, weights=weights, metrics=metrics, model=model, drop=gone)
        assert list(result.survivors) == outcome["survivors"]
        model = {key: (array + result.mean[key]).astype(array.dtype) for key, array in model.items()}
    return model


def as_record(model):
    from flwr.app import Array, ArrayRecord

    return ArrayRecord({name: Array(leaf) for name, leaf in model.items()})


def plan_of(parties, server, colluders=1):
    return sfl.Plan(
        template=template_of(task.initial()),
        parties=parties,
        protocol=sfl.SecAgg(server=server, max_colluders=colluders, min_survivors=3),
        encoding=sfl.FixedPoint(value_bits=20, bound=4.0),
        max_weight=2000,
        metrics={"loss": (0, 10)},
    )


def when_it_has_dealt(deployment, name, number, act):
    """Act as soon as a node has dealt its shares in a round: its used-file says so before they leave."""

    def watch():
        used = deployment.directory / name / "state" / f"{name}.used"
        until = time.monotonic() + 400
        while time.monotonic() < until:
            if used.exists() and f" {number} share_keys " in used.read_text(errors="replace"):
                act()
                return
            time.sleep(0.05)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def check_against_memory(deployment, plan, rounds):
    history = json.loads((deployment.output / "history.json").read_text())
    outcomes = history["rounds"]
    assert [outcome["aborted"] for outcome in outcomes] == [""] * rounds, outcomes
    with np.load(deployment.output / "model.npz") as file:
        deployed = dict(file)
    expected = in_memory(deployment.names, outcomes, plan)
    # Each round is within the encoding's step of the exact mean on both sides, and training is Lipschitz: two epochs of softmax
    # regression at this rate move no two models apart by more than a factor of 2 (they come closer, the loss being convex).
    bound = sum(2.0**i for i in range(rounds)) * 2 * plan.fixed_point.error_bound + 1e-5
    for name, leaf in expected.items():
        np.testing.assert_allclose(deployed[name], leaf, rtol=0, atol=bound)
    assert history["accuracy"][str(rounds)] > 0.8
    return outcomes


@pytest.mark.timeout(420)
def test_four_nodes_with_tls_and_authentication_train_as_in_memory_with_one_killed_in_mid_round():
    with deploy.deployed(4, **{"train-timeout": 60.0, "phase-timeout": 60.0}) as deployment:
        lost = when_it_has_dealt(deployment, "hospital-2", 2, lambda: deployment.kill("hospital-2"))
        printed = deployment.run(2)
        lost.join(timeout=5)
        assert (deployment.output / "history.json").exists(), printed[-3000:] + deployment.logs()
        first, second = check_against_memory(deployment, plan_of(4, "semi-honest"), 2)
        assert first["survivors"] == deployment.names
        assert second["survivors"] == ["hospital-0", "hospital-1", "hospital-3"]
        # It was killed with its shares on disk; whether they also left depends on the moment.
        assert second["dropped"].keys() == {"hospital-2"}
        assert second["dropped"]["hospital-2"] in {"share_keys", "masked_input"}
        assert second["exchanges"] == 3, "keys rode ahead: shares, training, unmasking"
        report = (deployment.output / "report.txt").read_text()
        assert "Sum of 3 vectors" in report


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_five_nodes_under_an_active_server_with_one_killed_and_restarted():
    # Nobody colludes: with t = 3 of 5, four are enough to the end.
    settings = {"train-timeout": 90.0, "phase-timeout": 90.0, "max-colluders": 0}
    with deploy.deployed(5, server="active", **settings) as deployment:

        def lose_and_bring_back():
            deployment.kill("hospital-2")
            # The SuperLink takes the node for alive for up to a minute, and refuses its key meanwhile.
            deploy.wait_for(lambda: deployment.stays_up("hospital-2"), 120, "hospital-2 is back")

        lost = when_it_has_dealt(deployment, "hospital-2", 2, lose_and_bring_back)
        printed = deployment.run(4, timeout=800)
        lost.join(timeout=130)
        assert (deployment.output / "history.json").exists(), printed[-3000:] + deployment.logs()
        outcomes = check_against_memory(deployment, plan_of(5, "active", 0), 4)
        assert outcomes[1]["survivors"] == ["hospital-0", "hospital-1", "hospital-3", "hospital-4"]
        assert outcomes[-1]["survivors"] == deployment.names, "the node that came back is in the sum again"


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_a_policy_that_forbids_the_plan_is_named_on_the_server_and_nothing_is_sent(tmp_path):
    with deploy.deployed(4, **{"train-timeout": 60.0, "phase-timeout": 60.0}) as deployment:
        policy = deployment.directory / "hospital-1" / "policy.toml"
        policy.write_text('server = "active"\n')
        printed = deployment.run(1)
        history = json.loads((deployment.output / "history.json").read_text())
        (failure,) = history["rounds"][0]["failures"]
        assert "hospital-1" in failure, printed[-2000:]
        assert 'server = "active"' in failure
        assert history["rounds"][0]["survivors"] == ["hospital-0", "hospital-2", "hospital-3"]
        used = deployment.directory / "hospital-1" / "state" / "hospital-1.used"
        assert not used.exists() or "advertise" not in used.read_text()
