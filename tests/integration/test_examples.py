"""Every example of a configuration runs, in a smaller form, and its page says what it must."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from securefl.report import Experiment, ExperimentConfig, write_report

EXAMPLES = Path(__file__).parents[2] / "examples"
HERE = {
    "healthcare": "FedProx with mu = 0.1",
    "finance": "FedAdam at the server",
    "manufacturing": "SCAFFOLD",
    "digits-transfer": "transfer learning",
    "digits-fedbn": "FedBN",
    "stragglers": "10 of 30 parties a round",
    "robust": "the median of groups of 4",
    "adversarial": "under PGD within ±0.15",
    "watermark": "triggers answered as drawn",
    "cartpole": "REINFORCE; 2 batches of 6 episodes",
}
ELSEWHERE = {"digits", "digits-private", "digits-paillier"}


def test_there_is_no_example_without_a_test():
    assert {path.stem for path in EXAMPLES.glob("*.toml")} == {*HERE, *ELSEWHERE}


@pytest.mark.usefixtures("from_a_seed")  # of `robust` the groups are drawn by the library, and accuracy goes with them
@pytest.mark.parametrize(
    "name",
    [each if number % 3 == 0 else pytest.param(each, marks=pytest.mark.heavy) for number, each in enumerate(HERE)],
)
def test_it_runs_in_a_smaller_form(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a watermark's files go where the report goes
    if name == "digits-fedbn":
        pytest.importorskip("torch")
    text = (EXAMPLES / f"{name}.toml").read_text()
    for key, less in (("rounds", 2), ("pretrain_rounds", 2), ("epochs", 2)):
        text = re.sub(rf"(?m)^{key} = \d+", f"{key} = {less}", text)
    result = Experiment.prepare(ExperimentConfig.from_toml(text, source=f"{name}.toml")).run()
    assert len(result.secure) == 2
    # Of a return it is of at most 500: rounding changes single actions, and with them an episode.
    assert abs(result.difference) < {"robust": 0.1, "cartpole": 25}.get(name, 0.03)
    files = write_report(tmp_path, result)
    page = files.html.read_text()
    assert HERE[name] in page
    assert "Bytes by round" in page
    data = json.loads(files.json.read_text())
    assert data["config"]["training"]["rounds"] == 2
    assert len(data["examples_by_class"]) == (0 if name == "cartpole" else len(data["parties"]))
    if name == "cartpole":
        assert "Mean return, bytes and time" in page
        assert data["accuracy"] is None
        assert 0 < data["return"]["secure"] <= 500
    if name == "stragglers":
        assert [len(record["sampled"]) for record in data["rounds"]] == [10, 10]
        assert all(len(record["missed_deadline"]) == 2 for record in data["rounds"])
