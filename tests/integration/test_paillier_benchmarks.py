"""`securefl bench paillier` and `securefl bench diabetes_regression`, in small: what they print, and that both learn the same. No times."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gmpy2")
pytest.importorskip("phe")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[2]
SPEED = ROOT / "benchmarks" / "speed"


@pytest.fixture(scope="module", autouse=True)
def importable():
    """The scripts and what they share, without leaving names such as `harness` to other tests."""
    before, paths = set(sys.modules), [str(SPEED), str(SPEED.parent)]
    sys.path[:0] = paths
    yield
    for path in paths:
        sys.path.remove(path)
    for name in set(sys.modules) - before:
        where = getattr(sys.modules[name], "__file__", None)
        if where and Path(where).is_relative_to(ROOT / "benchmarks"):
            del sys.modules[name]


@pytest.fixture(scope="module")
def peers(importable):
    import paillier_peers

    return paillier_peers


@pytest.fixture(scope="module")
def turns(importable):
    import paillier_turns

    return paillier_turns


@pytest.fixture(scope="module")
def regression(importable):
    import diabetes_regression

    return diabetes_regression


def run(name, folder, *options):
    """The benchmark as `securefl bench` runs it, in small; its JSON."""
    command = [sys.executable, str(SPEED / f"{name}.py"), "--quick", "--json", str(folder / "b.json"), *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)  # noqa: S603
    assert done.returncode == 0, done.stderr
    data = json.loads((folder / "b.json").read_text())
    for row in data["rows"]:
        assert row["case"] in done.stdout
        assert all(math.isfinite(row[value]) and row[value] > 0 for value in ("ours", "peer", "ratio"))
        better = row["peer"] / row["ours"] if row["better"] == "less" else row["ours"] / row["peer"]
        assert row["ratio"] == pytest.approx(better)
    return data


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paillier")
    data = run("paillier", folder, "--plot", str(folder / "b.png"))
    assert (folder / "b.png").read_bytes().startswith(b"\x89PNG")
    return data


@pytest.mark.heavy
def test_every_installed_peer_has_rows_for_each_operation_and_the_others_a_line_how_to_get_them(quick, peers):
    by_peer = {name: [row["case"] for row in quick["rows"] if row["peer_name"] == name] for name in peers.PEERS}
    assert peers.installed()[0] == "phe"
    for name, cases in by_peer.items():
        if name in peers.installed():
            for operation in ("encrypt, djn", "encrypt, short", "encrypt, full pool", "add", "decrypt"):
                assert f"2048 bits, 2000 values: {operation}" in cases
        else:
            assert not cases
            assert any(note.startswith(f"{name} is not installed") and "pip install" in note for note in quick["notes"])


@pytest.mark.heavy
def test_what_is_sent_follows_from_the_slots(quick):
    # Sums of 100 values up to 2^15 - 1, both signs: 23 bits; 2046 bits hold 88 of them; 2000 values are 23 ciphertexts of 4096 bits.
    assert quick["bits_a_value"]["2048 bits"]["ours"] == pytest.approx((23 * 4096 + 8 * 32) / 2000)
    assert quick["bits_a_value"]["2048 bits"]["phe"] == 4096
    assert any("88 slots of 23 bits for 100 parties, 23 ciphertexts" in note for note in quick["notes"])


@pytest.mark.heavy
def test_threshold_decryption_is_measured_with_its_proofs(quick):
    cases = [row["case"] for row in quick["rows"] if "threshold 6 of 10" in row["case"]]
    for what in ("one party's partials, 4 a proof", "one party's partials, one a proof", "check of one", "combining 6"):
        assert sum(what in case for case in cases) == 1


@pytest.mark.heavy
def test_what_several_cores_are_worth_is_measured_by_itself(tmp_path, turns):
    data = run("paillier", tmp_path, "--cores")
    named = {row["case"] for row in data["rows"]}
    several = [f"2048 bits: {what}, {data['cores']} cores" for what in ("encrypt, djn", "encrypt, short", "decrypt")]
    assert named == (set(several) if data["cores"] > 1 else set())
    assert set(data["per_second"]["2048 bits, 2000 values"]) == {"by cores"}
    with turns.Elsewhere() as nothing:
        time.sleep(0.5)
    if Path("/proc/stat").exists():
        assert any("other programs took" in note for note in data["notes"])
        assert 0 <= nothing.share < 1.3  # the kernel counts in ticks


def test_a_peer_that_is_missing_is_named_with_its_remedy(peers, monkeypatch):
    monkeypatch.setattr(peers, "_version", lambda distribution: "" if distribution == "sf-heu" else "1")
    assert peers.how_to_get() == ["HEU is not installed, its rows are missing: pip install sf-heu"]
    assert "HEU" not in peers.installed()
    assert "sf-heu" not in peers.versions()


def test_a_peer_that_decrypts_something_else_ends_the_run(peers):
    peers._check("any", [1.001, -2.0], [1, -2, 3])
    with pytest.raises(SystemExit, match="any decrypts something else"):
        peers._check("any", [1.0, 2.0], [1, -2, 3])


def test_cases_take_turns_and_medians_are_given(turns):
    said, calls = [], []
    seconds = {"a": iter([1.0, 9.0, 2.0]), "b": iter([4.0, 4.0, 5.0])}

    def case(name):
        def once():
            calls.append(name)
            return next(seconds[name])

        return turns.Work(8, once)

    rates = turns.in_turn({n: case(n) for n in "ab"}, repeats=3, tell=lambda *what: said.append(what))
    assert calls == ["a", "b"] * 3
    assert rates == {"a": 4.0, "b": 2.0}
    assert said[-1] == ("b", 6, 6)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin")
def test_a_pinned_thread_has_one_core_and_gets_all_back(turns):
    before = os.sched_getaffinity(0)
    with turns.pinned():
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


@pytest.mark.heavy
def test_phe_and_securefl_learn_the_same_weights_from_three_hospitals(tmp_path, regression):
    data = run("diabetes_regression", tmp_path)
    ours, phe = data["weights"]["ours"], data["weights"]["phe"]
    assert len(ours) == 11
    assert math.dist(ours, phe) == pytest.approx(data["difference"])
    assert data["difference"] <= data["allowed_difference"] < 1e-5 < max(map(abs, phe))
    plain = regression.diabetes()
    exact, _ = regression.descend(plain, {"sum": sum}, regression.QUICK_ROUNDS, regression.Progress())
    assert math.dist(phe, exact["sum"]) < 1e-9
    assert data["test_error"]["ours"] == pytest.approx(plain.error(exact["sum"]), rel=1e-6)


def test_fifty_rounds_are_descent_on_all_patients_together(regression):
    data = regression.diabetes()
    found, _ = regression.descend(data, {"sum": sum}, regression.ROUNDS, regression.Progress())
    x, y = (np.concatenate(parts) for parts in zip(*data.hospitals, strict=True))
    weights = np.zeros(11)
    for _ in range(regression.ROUNDS):
        weights -= regression.RATE / regression.HOSPITALS * ((x @ weights - y) @ x)
    assert np.allclose(found["sum"], weights, rtol=1e-9)
    assert len(y) == 442 - regression.TEST
    assert data.error(weights) < 0.8 * np.mean((data.test[1] - y.mean()) ** 2)
    assert data.stretch() <= 1.0


def test_the_quantised_sum_is_within_its_bound_of_the_exact_one(regression):
    data = regression.diabetes()
    gradients = data.gradients([0.0] * 11)
    found = regression.sum_with_securefl(2048)(gradients)
    assert abs(found - sum(gradients)).max() < 3 * regression.GRID.step
    assert abs(sum(gradients)).max() > 1000


def test_both_are_found_by_name(importable):
    from securefl.cli.bench import _benchmarks

    assert {"paillier", "diabetes_regression"} <= _benchmarks().keys()
