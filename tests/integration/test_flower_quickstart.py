"""The ten lines of docs/flower.md: Flower's own template app, before and after them, in process and under Ray."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from string import Template

import numpy as np
import pytest

import securefl as sfl

pytest.importorskip("flwr")
from flwr.app import Context, RecordDict

from unit.flower.local import LocalGrid

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "tests" / "data" / "flower_quickstart"
FILES = {
    "pyproject.numpy.toml.tpl": "pyproject.toml",
    "__init__.py.tpl": "quickstart/__init__.py",
    "client.numpy.py.tpl": "quickstart/client_app.py",
    "server.numpy.py.tpl": "quickstart/server_app.py",
    "task.numpy.py.tpl": "quickstart/task.py",
}
NAMES = {
    "project_name": "quickstart",
    "framework_str": "NumPy",
    "import_name": "quickstart",
    "package_name": "quickstart",
    "username": "consortium",
}
DIFF = re.compile(r"^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEP = 4.0 / (2**19 - 1)
"""Of the encoding in the document: 20 bits on [-4, 4]. Rounding moves no value of a party by more, and so no mean."""
UNDER_RAY = """\
from flwr.serverapp import ServerApp
from flwr.simulation import run_simulation
from quickstart import client_app, server_app

configured = ServerApp()

@configured.main()
def main(grid, context):
    context.run_config = {"num-server-rounds": 2, "parties": 4}
    server_app.app(grid, context)

run_simulation(
    configured, client_app.app, num_supernodes=4, backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
)
"""


def diffs() -> list[str]:
    """The diffs of the document: for a simulation, then for real nodes."""
    return DIFF.findall((ROOT / "docs" / "flower.md").read_text(encoding="utf-8"))


def write_app(directory: Path) -> Path:
    """Flower's template with its names filled in, as `flwr new` did."""
    for template, name in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(NAMES), encoding="utf-8"
        )
    return directory


def apply(diff: str, directory: Path) -> None:
    """Apply a unified diff; what it expects must stand there exactly once."""
    for part in re.split(r"^--- .*\n", diff, flags=re.MULTILINE)[1:]:
        header, _, body = part.partition("\n")
        path = directory / header.removeprefix("+++ b/")
        text = path.read_text(encoding="utf-8")
        for hunk in re.split(r"^@@.*\n", body, flags=re.MULTILINE)[1:]:
            # An editor may have taken the blank of an empty line.
            lines = [line if line.strip() else " \n" for line in hunk.splitlines(keepends=True)]
            before = "".join(line[1:] for line in lines if line[0] in " -")
            assert text.count(before) == 1, f"{path.name} does not have\n{before}"
            text = text.replace(before, "".join(line[1:] for line in lines if line[0] in " +"))
        path.write_text(text, encoding="utf-8")


def changed(diff: str) -> tuple[list[str], list[str]]:
    """The lines that go, and the lines that come."""
    lines = [line for line in diff.splitlines() if not line.startswith(("+++", "---"))]
    return [line for line in lines if line.startswith("-")], [line for line in lines if line.startswith("+")]


def run_app(directory: Path, configs, run_config, monkeypatch) -> tuple[dict[str, np.ndarray], LocalGrid]:
    """Run the app on nodes in this process; the model that it saves, and the grid."""
    for name in [name for name in sys.modules if name.split(".")[0] == "quickstart"]:
        del sys.modules[name]
    with monkeypatch.context() as patched:
        patched.syspath_prepend(directory)
        patched.chdir(directory)
        from quickstart import client_app, server_app

        grid = LocalGrid(client_app.app, configs)
        np.random.seed(0)  # noqa: NPY002 - the template's "training" draws from the global generator
        server_app.app(grid, Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config=run_config))
    for name in [name for name in sys.modules if name.split(".")[0] == "quickstart"]:
        del sys.modules[name]
    with np.load(directory / "final_model.npz") as saved:
        return dict(saved), grid


@pytest.fixture
def nodes(tmp_path):
    """Four nodes with files of their own, as docs/flower.md names them."""
    names = [f"hospital-{number}" for number in range(4)]
    roster, keys = sfl.Roster.generate(names)
    configs = {}
    for number, name in enumerate(names):
        home = tmp_path / name
        home.mkdir()
        (home / "roster.toml").write_text(roster.to_toml(), encoding="utf-8")
        (home / "policy.toml").write_text('server = "semi-honest"\nmin_parties = 4\n', encoding="utf-8")
        (home / "identity.pem").write_bytes(keys[name].to_pem(None))
        configs[number + 1] = {
            "partition-id": number,
            "num-partitions": 4,
            "securefl-party": name,
            "securefl-roster": str(home / "roster.toml"),
            "securefl-policy": str(home / "policy.toml"),
            "securefl-identity": str(home / "identity.pem"),
            "securefl-state": str(home / "state"),
        }
    return configs


def test_at_most_ten_lines_change_and_none_of_the_model_or_the_training():
    gone, come = changed(diffs()[0])
    assert 0 < len(come) <= 10
    assert len(gone) <= len(come)
    assert all("app = ClientApp()" in line or "strategy = FedAvg()" in line for line in gone)
    assert "quickstart/task.py" not in diffs()[0]


def test_the_template_with_the_lines_gives_what_it_gave_without(tmp_path, nodes, monkeypatch):
    plain, _ = run_app(write_app(tmp_path / "plain"), nodes, {"num-server-rounds": 1}, monkeypatch)
    secured = write_app(tmp_path / "secured")
    for diff in diffs():
        apply(diff, secured)
    settings = {"num-server-rounds": 1, "roster": nodes[1]["securefl-roster"]}
    mean, grid = run_app(secured, nodes, settings, monkeypatch)
    np.testing.assert_allclose(mean["arr_0"], plain["arr_0"], rtol=0, atol=STEP)
    assert 1 < mean["arr_0"].item() < 2, "ones, and the mean of noise between 0 and 1"
    assert grid.exchanges == 4
    assert not [key for _, reply in grid.seen for key in reply.content.array_records], "no array left a node in clear"
    assert not [key for _, reply in grid.seen for key in reply.content.metric_records]


def test_the_app_without_the_lines_on_the_server_gets_nothing_of_a_secured_node(tmp_path, nodes, monkeypatch):
    app = write_app(tmp_path / "app")
    apply(diffs()[0], app)
    server = Template((TEMPLATES / "server.numpy.py.tpl").read_text(encoding="utf-8")).substitute(NAMES)
    (app / "quickstart" / "server_app.py").write_text(server, encoding="utf-8")
    model, grid = run_app(app, nodes, {"num-server-rounds": 1}, monkeypatch)
    assert not model, "there is no model but the one that training began with"
    assert grid.seen
    assert all("unprotected" in reply.error.reason for _, reply in grid.seen)


@pytest.mark.timeout(180)
def test_the_template_with_ten_lines_runs_in_a_simulation(tmp_path):
    app = write_app(tmp_path / "app")
    apply(diffs()[0], app)
    environment = {
        **os.environ,
        "PYTHONPATH": str(app),
        "FLWR_HOME": str(tmp_path / "home"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "RAY_DISABLE_IMPORT_WARNING": "1",
    }
    done = subprocess.run(  # noqa: S603 - this interpreter, on the app written above
        [sys.executable, "-c", UNDER_RAY],
        cwd=app,
        env=environment,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with np.load(app / "final_model.npz") as saved:
        assert 1 < saved["arr_0"].item() < 3, "ones, and two means of noise between 0 and 1"
    assert "ended without a sum" not in done.stdout + done.stderr
