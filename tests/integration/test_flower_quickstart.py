"""The ten lines of docs/flower.md: Flower's own template apps, before and after them, in process and under Ray."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import numpy as np
import pytest

import securefl as sfl

pytest.importorskip("flwr")
from integration.flower_template import apply, changed, diffs, filled, run_app, write_app

STEP = 4.0 / (2**19 - 1)
"""Of the encoding in the NumPy diff: 20 bits on [-4, 4]. Rounding moves no value of a party by more, and so no mean."""
TORCH_STEP = 1.0 / (2**15 - 1)
"""Of a plan that names no encoding: 16 bits on [-1, 1]."""
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
seed_numpy = functools.partial(np.random.seed, 0)


def nodes_of(directory, roster, keys=None):
    """Nodes with files of their own, as docs/flower.md names them."""
    configs = {}
    for number, name in enumerate(roster.names):
        home = directory / name
        home.mkdir()
        (home / "roster.toml").write_text(roster.to_toml(), encoding="utf-8")
        (home / "policy.toml").write_text(f'server = "semi-honest"\nmin_parties = {len(roster)}\n', encoding="utf-8")
        configs[number + 1] = {
            "partition-id": number,
            "num-partitions": len(roster),
            "securefl-party": name,
            "securefl-roster": str(home / "roster.toml"),
            "securefl-policy": str(home / "policy.toml"),
            "securefl-state": str(home / "state"),
        }
        if keys is not None:
            (home / "identity.pem").write_bytes(keys[name].to_pem(None))
            configs[number + 1]["securefl-identity"] = str(home / "identity.pem")
    return configs


@pytest.fixture
def hospitals(tmp_path):
    """Four nodes on a roster with identity keys."""
    return nodes_of(tmp_path, *sfl.Roster.generate([f"hospital-{number}" for number in range(4)]))


def saved(directory):
    with np.load(directory / "final_model.npz") as file:
        return dict(file)


@pytest.mark.parametrize("diff", [0, 2], ids=["numpy", "pytorch"])
def test_at_most_ten_lines_change_and_none_of_the_model_or_the_training(diff):
    gone, come = changed(diffs()[diff])
    assert 0 < len(come) <= 10
    assert len(gone) <= len(come)
    allowed = ("app = ClientApp()", "strategy = FedAvg(", "fraction-train = ")
    assert all(any(line[1:].strip().startswith(start) for start in allowed) for line in gone)
    assert "task.py" not in diffs()[diff]


def test_the_template_with_the_lines_gives_what_it_gave_without(tmp_path, hospitals, monkeypatch):
    plain, secured = write_app(tmp_path / "plain"), write_app(tmp_path / "secured")
    run_app(plain, hospitals, {"num-server-rounds": 1}, monkeypatch, seed=seed_numpy)
    for diff in diffs()[:2]:
        apply(diff, secured)
    settings = {"num-server-rounds": 1, "roster": hospitals[1]["securefl-roster"]}
    grid = run_app(secured, hospitals, settings, monkeypatch, seed=seed_numpy)
    mean = saved(secured)["arr_0"]
    np.testing.assert_allclose(mean, saved(plain)["arr_0"], rtol=0, atol=STEP)
    assert 1 < mean.item() < 2, "ones, and the mean of noise between 0 and 1"
    assert grid.exchanges == 4
    assert not [key for _, reply in grid.seen for key in reply.content.array_records], "no array left a node in clear"
    assert not [key for _, reply in grid.seen for key in reply.content.metric_records]


def test_the_app_without_the_lines_on_the_server_gets_nothing_of_a_secured_node(tmp_path, hospitals, monkeypatch):
    app = write_app(tmp_path / "app")
    apply(diffs()[0], app)
    (app / "quickstart" / "server_app.py").write_text(filled("server.numpy.py.tpl"), encoding="utf-8")
    grid = run_app(app, hospitals, {"num-server-rounds": 1}, monkeypatch, seed=seed_numpy)
    assert not saved(app), "there is no model but the one that training began with"
    assert grid.seen
    assert all("unprotected" in reply.error.reason for _, reply in grid.seen)


def test_the_pytorch_template_with_the_lines_gives_what_it_gave_without(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")

    def random_images(client_app):
        def load_data(partition_id, num_partitions):
            generator = torch.Generator().manual_seed(partition_id)
            images = torch.randn(40 + partition_id, 3, 32, 32, generator=generator)
            data = [{"img": image, "label": number % 10} for number, image in enumerate(images)]
            # Shuffled by the node's own generator: Flower asks the nodes in any order.
            return torch.utils.data.DataLoader(data, batch_size=32, shuffle=True, generator=generator), None

        monkeypatch.setattr(client_app, "load_data", load_data)

    settings = {"num-server-rounds": 1, "fraction-train": 1.0, "parties": 3, "local-epochs": 1, "lr": 0.01}
    seed = functools.partial(torch.manual_seed, 0)
    nodes = nodes_of(tmp_path, sfl.Roster.unsigned(f"party-{number}" for number in range(3)))
    models = []
    for name in ("plain", "secured"):
        app = write_app(tmp_path / name, "pytorch")
        if name == "secured":
            apply(diffs()[2], app)
        grid = run_app(app, nodes, settings, monkeypatch, seed=seed, before=random_images)
        models.append(torch.load(app / "final_model.pt", weights_only=True))
    plain, secured = models
    assert list(plain) == list(secured) != []
    for key, tensor in plain.items():
        assert secured[key].dtype is tensor.dtype
        # Beside the step of the grid, single precision: change and model are added on both ends.
        torch.testing.assert_close(secured[key], tensor, rtol=0, atol=TORCH_STEP + 1e-6)
    assert not [key for _, reply in grid.seen for key in reply.content.array_records], "no array left a node in clear"


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
    assert 1 < saved(app)["arr_0"].item() < 3, "ones, and two means of noise between 0 and 1"
    assert "ended without a sum" not in done.stdout + done.stderr
