"""The names that users meet, and what importing them costs."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import securefl

SOURCE = ast.parse(Path(securefl.__file__).read_text(encoding="utf-8"))
HEAVY = ("torch", "flwr", "matplotlib", "sklearn", "scipy", "rich", "typer", "jinja2", "gmpy2", "dp_accounting")


def python(code):
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", securefl.__all__)
def test_every_public_name_loads_and_has_words_to_it(name):
    value = getattr(securefl, name)
    if name != "__version__":
        assert inspect.getdoc(value)
        home = value.__name__ if inspect.ismodule(value) else value.__module__
        assert home.startswith("securefl.")


def test_the_names_for_type_checkers_are_the_names_at_run_time():
    (mirror,) = [
        node
        for node in SOURCE.body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    mirrored = {}
    for statement in mirror.body:
        assert isinstance(statement, ast.ImportFrom)
        for alias in statement.names:
            assert alias.asname == alias.name, "`as` makes it a re-export"
            mirrored[alias.name] = statement.module
    homes = {
        name: home.rpartition(".")[0] if name in {"dp", "faults", "paillier"} else home
        for name, home in securefl._HOME.items()
    }
    assert mirrored == homes


def test_all_is_sorted_whole_and_what_dir_shows():
    # `from securefl import *` is to work without gmpy2.
    assert securefl.__all__ == ["__version__", *sorted(securefl._HOME.keys() - securefl._NEEDS_GMPY2)]
    assert dir(securefl) == sorted({"__version__"} | securefl._HOME.keys())
    assert len(set(securefl.__all__)) == len(securefl.__all__)


def test_every_error_derives_from_one_and_is_public():
    errors = importlib.import_module("securefl.errors")
    own = [value for _, value in inspect.getmembers(errors, inspect.isclass) if value.__module__ == errors.__name__]
    assert len(own) >= 15
    for error in own:
        assert issubclass(error, securefl.SecureFLError)
        assert getattr(securefl, error.__name__) is error


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'SecAg'"):
        _ = securefl.SecAg
    assert not hasattr(securefl, "_nothing")


@pytest.mark.parametrize("what", ["import securefl", "from securefl import *", "import securefl.federated"])
def test_importing_loads_no_heavy_library(what):
    loaded = python(f"import sys\n{what}\nprint(*(m for m in {HEAVY} if m in sys.modules))").split()
    assert loaded == []


def test_a_secure_sum_needs_no_heavy_library():
    code = (
        "import sys, numpy as np, securefl as sfl\n"
        "updates = {str(i): {'w': np.ones(3)} for i in range(4)}\n"
        "sfl.aggregate(updates, sfl.Plan.for_updates(updates))\n"
        f"print(*(m for m in {HEAVY} if m in sys.modules))"
    )
    assert python(code).split() == []


def test_importing_takes_less_than_three_tenths_of_a_second():
    """Once of several times, since a busy machine only ever adds to it."""
    code = "import time\nstart = time.perf_counter()\nimport securefl\nprint(time.perf_counter() - start)"
    python(code)  # compiles what is not compiled yet
    assert any(float(python(code)) < 0.3 for _ in range(20))


def test_the_package_says_that_it_is_typed():
    assert Path(securefl.__file__).with_name("py.typed").exists()


def test_the_first_example_of_the_design_runs():
    import numpy as np

    import securefl as sfl

    rng = np.random.default_rng(0)
    updates = {f"hospital-{i}": {"w": rng.standard_normal(1000), "b": np.zeros(10)} for i in range(10)}
    plan = sfl.Plan.for_updates(
        updates, protocol=sfl.SecAgg(threshold=7), encoding=sfl.FixedPoint(value_bits=16, bound=4.0)
    )
    result = sfl.aggregate(updates, plan, weights=None, drop={"hospital-3": "masked_input"})
    survivors = [name for name in updates if name != "hospital-3"]
    assert list(result.survivors) == survivors
    clipped = [np.clip(updates[name]["w"], -4, 4) for name in survivors]
    assert abs(result.mean["w"] - np.mean(clipped, axis=0)).max() < plan.encoding.error_bound
    assert result.sum["b"].shape == (10,)
    assert result.bytes_up > 9 * plan.masked_bytes
    assert "hospital-3 (masked_input)" in result.report()

    explained = sfl.Plan(
        template={"w": ((1000,), "float32")},
        parties=10,
        protocol=sfl.SecAgg(server="active", max_colluders=2, dropout=0.1),
        encoding=sfl.FixedPoint(value_bits=16, bound=4.0),
    )
    assert explained.parameters.threshold == 7
    assert explained.parameters.explanation


def test_the_example_with_ones_own_transport_runs():
    import numpy as np

    import securefl as sfl

    names = [f"hospital-{i}" for i in range(4)]
    roster, keys = sfl.Roster.generate(names)
    plan = sfl.Plan(template={"w": ((3,), "float32")}, parties=roster, max_weight=200)
    clients = {
        name: sfl.SecAggClient(party=name, identity=keys[name], roster=roster, policy=sfl.ClientPolicy())
        for name in names
    }
    for client in clients.values():
        client.submit({"w": np.ones(3, np.float32)}, weight=120)
    server = sfl.SecAggServer(plan, roster=roster)
    mail = server.start_round()
    while not server.done:
        answers = [(party, data) for party, message in mail for data in clients[party].receive(message)]
        mail = [sent for party, data in answers for sent in server.receive(data, party=party)] or (
            [] if server.done else server.close_phase()
        )
    result = server.result()
    assert result.weight_sum == 480
    np.testing.assert_allclose(result.mean["w"], 1, atol=plan.encoding.error_bound)


def test_the_example_of_training_runs():
    import numpy as np

    import securefl as sfl

    rng = np.random.default_rng(0)
    clients = {
        f"party-{i}": sfl.Dataset(rng.standard_normal((12, 2)).astype(np.float32), rng.integers(0, 2, 12))
        for i in range(5)
    }
    model = sfl.SoftmaxRegression(2, 2)
    plan = sfl.plan_for(model, clients)
    history = sfl.Federation(model, clients, plan=plan, algorithm=sfl.FedAvg(), test=clients["party-0"]).fit(rounds=2)
    assert len(history) == 2
    assert 0 <= history.accuracy <= 1
