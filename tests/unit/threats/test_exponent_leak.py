"""`benchmarks/threats/exponent_leak.py`, in small."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

for library in ("phe", "sklearn", "gmpy2", "matplotlib"):
    pytest.importorskip(library)

ROOT = Path(__file__).parents[3]


def test_the_benchmark_sees_images_in_phes_exponents_and_none_in_ours(tmp_path):
    script = ROOT / "benchmarks" / "threats" / "exponent_leak.py"
    files = ("--json", str(tmp_path / "b.json"), "--plot", str(tmp_path / "b.png"))
    command = [sys.executable, str(script), "--quick", "--repeats", "3", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)  # noqa: S603 - our own program
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "b.json").read_text())
    for row in data["rows"]:
        assert row["case"] in done.stdout
        assert row["ours"] == 1
        assert row["ratio"] == pytest.approx(row["ours"] / row["peer"])
        assert math.isfinite(row["ratio"])
    by_peer = {row["peer_name"]: row for row in data["rows"]}  # the last model stays
    assert by_peer["phe"]["peer_correlation"] > 0.9
    assert by_peer["phe"]["ratio"] > 10
    assert by_peer["phe, precision 2^-20"]["ratio"] == 1
    assert any("nothing comes back" in note for note in data["notes"])
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_line_finds_it():
    from securefl.cli.bench import _benchmarks

    assert "exponent_leak" in _benchmarks()
