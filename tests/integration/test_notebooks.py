"""Every notebook runs from top to bottom in a fresh kernel, and is committed without outputs."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def read(path: Path):
    import nbformat

    return nbformat.read(path, as_version=4)


def test_there_are_notebooks():
    names = {
        "01-a-secure-sum.ipynb",
        "02-an-honest-epsilon.ipynb",
        "03-encrypted-instead-of-masked.ipynb",
        "04-parties-are-not-alike.ipynb",
        "05-your-flower-project-secured.ipynb",
        "06-a-policy-for-places-unseen.ipynb",
        "07-whose-model-is-this.ipynb",
    }
    assert names <= {path.name for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_without_outputs(path):
    dirty = [cell["id"] for cell in read(path).cells if cell.get("outputs") or cell.get("execution_count")]
    assert not dirty


SHORT = ("01-", "05-")
"""Of these a defect of the way they are run is seen; the others take a minute of two cores together."""


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[] if path.stem.startswith(SHORT) else pytest.mark.heavy) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_notebook_runs(path, tmp_path, monkeypatch):
    with warnings.catch_warnings():
        # Jupyter's own code, not ours: it warns while it is imported and while it talks to its kernel.
        warnings.filterwarnings("ignore", module=r"(jupyter|nbclient|nbformat|ipykernel|zmq|traitlets|tornado)")
        from nbclient import NotebookClient

        # Nothing of this machine's own notebook settings.
        monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
        monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        notebook = read(path)
        NotebookClient(
            notebook, timeout=200, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
        ).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    stderr = [out.text for cell in code for out in cell.outputs if out.output_type == "stream" and out.name == "stderr"]
    assert not stderr, "a cell warned, which is an error here"
    plots = [out for cell in code for out in cell.outputs if "image/png" in out.get("data", {})]
    assert plots
