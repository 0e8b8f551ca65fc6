"""Flower's template apps, the diffs of docs/flower.md applied to them, and a run in this process."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from string import Template

from flwr.app import Context, RecordDict

from unit.flower.local import LocalGrid

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "tests" / "data" / "flower_quickstart"
DIFF = re.compile(r"^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = {
    "pyproject.{}.toml.tpl": "pyproject.toml",
    "__init__.py.tpl": "quickstart/__init__.py",
    "client.{}.py.tpl": "quickstart/client_app.py",
    "server.{}.py.tpl": "quickstart/server_app.py",
    "task.{}.py.tpl": "quickstart/task.py",
}
STUBS = {
    "flwr_datasets/__init__.py": "FederatedDataset = None\n",
    "flwr_datasets/partitioner.py": "IidPartitioner = None\n",
    "torchvision/__init__.py": "",
    "torchvision/transforms.py": "Compose = Normalize = ToTensor = lambda *given: given\n",
}
"""In place of what the PyTorch template gets its images by: they would have to be downloaded."""
FOREIGN = ("quickstart", "flwr_datasets", "torchvision")


def diffs() -> list[str]:
    """Of the document: NumPy for a simulation, the same for real nodes, PyTorch for a simulation."""
    return DIFF.findall((ROOT / "docs" / "flower.md").read_text(encoding="utf-8"))


def filled(template: str) -> str:
    """A template with its names, as `flwr new` filled them in."""
    names = {
        "project_name": "quickstart",
        "framework_str": "PyTorch" if "pytorch" in template else "NumPy",
        "import_name": "quickstart",
        "package_name": "quickstart",
        "username": "consortium",
    }
    return Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(names)


def write_app(directory: Path, framework: str = "numpy") -> Path:
    """The app, as `flwr new` wrote it."""
    for template, name in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(filled(template.format(framework)), encoding="utf-8")
    return directory


def write_stubs(directory: Path) -> Path:
    """Packages that the PyTorch template imports for its data alone."""
    for name, text in STUBS.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
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


def run_app(directory: Path, configs, run_config, monkeypatch, *, seed, before=None) -> LocalGrid:
    """Run the app on nodes in this process; it saves its model in its directory.

    Args:
        directory: where the app is.
        configs: by node, its config.
        run_config: of the app.
        monkeypatch: pytest's.
        seed: called once all is imported: training draws from global generators.
        before: called with the client's module, before anything runs.
    """
    _forget()
    try:
        with monkeypatch.context() as patched:
            patched.syspath_prepend(write_stubs(directory / "stubs"))
            patched.syspath_prepend(directory)
            patched.chdir(directory)
            from quickstart import client_app, server_app

            if before is not None:
                before(client_app)
            grid = LocalGrid(client_app.app, configs)
            for node in grid.contexts.values():
                node.run_config = run_config
            seed()
            context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config=run_config)
            server_app.app(grid, context)
    finally:
        _forget()
    return grid


def _forget() -> None:
    """Of the next app the modules have the same names."""
    for name in [name for name in sys.modules if name.split(".")[0] in FOREIGN]:
        del sys.modules[name]
