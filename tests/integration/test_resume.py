"""A training that is killed at any round and resumed has the same history as one that was not."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest

import securefl as sfl
import securefl.federated as fl
from securefl.crypto.digest import digest
from securefl.crypto.seeded import SeededRandom
from securefl.errors import ConfigError
from securefl.federated.models import Perceptron
from securefl.federated.optimizers import FedAdam

MODEL = Perceptron(6, 3, (5,))
ROUNDS = 5


def clients(count=6):
    rng = np.random.default_rng(3)
    parties = {}
    for i in range(count):
        y = rng.integers(0, 3, 40)
        parties[f"party-{i}"] = fl.Dataset(
            (np.eye(6)[y] * 3 + rng.normal(size=(40, 6))).astype(np.float32), y.astype(np.int64)
        )
    return parties


def federation(algorithm, *, seeded=True, ledger=None, plan=None):
    parties = clients()
    return fl.Federation(
        MODEL,
        parties,
        plan=plan or fl.plan_for(MODEL, parties, algorithm=algorithm, protocol=sfl.SecAgg(dropout=0.2)),
        algorithm=algorithm,
        server=FedAdam(lr=0.1),
        test=next(iter(parties.values())),
        dropouts=fl.DropoutSchedule(0.2),
        seed=4,
        random_for=(lambda number: SeededRandom(digest("test", number))) if seeded else None,
        ledger=ledger,
    )


def facts(history):
    """What of a history does not depend on the clock, nor on keys' lengths on the wire."""
    return [(r.round, r.survivors, r.dropped, r.train_metrics, r.test_metrics, r.weight_sum) for r in history]


ALGORITHMS = [
    fl.FedAvg(epochs=1, learning_rate=0.1),
    fl.Scaffold(epochs=1, learning_rate=0.1),
    fl.FedPer(epochs=1, learning_rate=0.1, keep=("head*",)),
    fl.RandomSubspace(fl.FedAvg(epochs=1, learning_rate=0.1), size=32),
]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: type(algorithm).__name__)
@pytest.mark.parametrize("killed_in", range(1, ROUNDS + 1))
def test_resumed_after_a_kill_the_history_is_the_same_to_the_bit_under_seeded_randomness(
    algorithm, killed_in, tmp_path
):
    whole = federation(algorithm)
    whole.fit(ROUNDS)

    class Killed(BaseException):
        pass

    def kill(record):
        if record.round == killed_in:
            raise Killed

    file = tmp_path / "run.ckpt"
    with pytest.raises(Killed):
        federation(algorithm).fit(ROUNDS, checkpoint=file, callbacks=[kill])
    again = federation(algorithm).resume(file)
    assert len(again.history) == killed_in
    if killed_in < ROUNDS:
        again.fit(ROUNDS - killed_in, checkpoint=file)
    assert facts(again.history) == facts(whole.history)
    for name, leaf in whole.params.items():
        np.testing.assert_array_equal(again.params[name], leaf)
    for party in whole.parties:
        for name, leaf in whole.params_of(party).items():
            np.testing.assert_array_equal(again.params_of(party)[name], leaf)


def test_without_seeds_it_is_the_same_within_the_encodings_bound(tmp_path):
    algorithm = ALGORITHMS[0]
    file = tmp_path / "run.ckpt"
    whole, part = federation(algorithm, seeded=False), federation(algorithm, seeded=False)
    whole.fit(2)
    part.fit(1, checkpoint=file)
    again = federation(algorithm, seeded=False).resume(file)
    again.fit(1)
    for one, other in zip(facts(whole.history), facts(again.history), strict=True):
        assert one[:3] == other[:3]
        for name, value in one[4].items():
            assert other[4][name] == pytest.approx(value, abs=0.05)  # FedAdam divides by what may be small


def test_a_process_killed_by_the_system_leaves_a_whole_checkpoint(tmp_path):
    file = tmp_path / "run.ckpt"
    program = textwrap.dedent(
        f"""
        import sys
        sys.path.insert(0, {str(__file__).rsplit("/", 2)[0]!r})
        from integration.test_resume import *
        import os, signal
        def die(record):
            if record.round == 3:
                os.kill(os.getpid(), signal.SIGKILL)
        federation(ALGORITHMS[0]).fit(5, checkpoint={str(file)!r}, callbacks=[die])
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)  # noqa: S603
    assert done.returncode == -9, done.stderr.decode()
    again = federation(ALGORITHMS[0]).resume(file)
    again.fit(2)
    whole = federation(ALGORITHMS[0])
    whole.fit(5)
    assert facts(again.history) == facts(whole.history)


def test_a_private_run_goes_on_with_its_ledger_and_not_without(tmp_path):
    parties = clients()
    plan = fl.private_plan_for(
        MODEL,
        parties,
        privacy=sfl.DistributedDiscreteGaussian(clip=1.0),
        epsilon=50.0,
        delta=1e-3,
        rounds=4,
        protocol=sfl.SecAgg(dropout=0.2),
    )
    path, file = tmp_path / "ledger.jsonl", tmp_path / "run.ckpt"
    budget = sfl.Budget(epsilon=50.0, delta=1e-3)
    first = federation(ALGORITHMS[0], plan=plan, ledger=sfl.PrivacyLedger(path, budget=budget))
    first.fit(2, checkpoint=file)
    again = federation(ALGORITHMS[0], plan=plan, ledger=sfl.PrivacyLedger(path, budget=budget)).resume(file)
    again.fit(1)
    spent = [record.epsilon["server"] for record in again.history]
    assert spent == sorted(spent)
    assert spent[2] > spent[1] > 0
    other = sfl.PrivacyLedger(tmp_path / "another.jsonl", budget=budget)
    with pytest.raises(ConfigError, match="missing or shorter"):
        federation(ALGORITHMS[0], plan=plan, ledger=other).resume(file)


def test_what_is_no_checkpoint_of_this_run_is_refused_by_name(tmp_path):
    file = tmp_path / "run.ckpt"
    federation(ALGORITHMS[0]).fit(1, checkpoint=file)
    fresh = lambda: federation(ALGORITHMS[0])  # noqa: E731
    with pytest.raises(ConfigError, match="is missing"):
        fresh().resume(tmp_path / "nothing")
    data = file.read_bytes()
    for cut in (0, 10, len(data) // 2, len(data) - 3):
        (tmp_path / "cut").write_bytes(data[:cut])
        with pytest.raises(ConfigError, match="no checkpoint, or a damaged one"):
            fresh().resume(tmp_path / "cut")
    plain = fl.Federation(MODEL, clients(), plan=None, server=fl.Averaging())
    with pytest.raises(ConfigError, match="needs None"):
        plain.resume(file)
    with pytest.raises(ConfigError, match="broadcasts"):
        federation(ALGORITHMS[1]).resume(file)
    with pytest.raises(ConfigError, match="head"):
        fl.Federation(Perceptron(6, 3, (7,)), clients(), plan=None, server=FedAdam(lr=0.1)).resume(file)
    with pytest.raises(ConfigError, match="parties of that run"):
        fl.Federation(MODEL, clients(4), plan=None, server=FedAdam(lr=0.1)).resume(file)
    trained = fresh()
    trained.fit(1)
    with pytest.raises(ConfigError, match="has trained already"):
        trained.resume(file)
