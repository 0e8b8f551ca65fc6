"""Experiments: the plan that a configuration means, and the comparison that it makes."""

import pytest

import securefl as sfl
from securefl.errors import ConfigError, UnsafePlanError
from securefl.report import Experiment, ExperimentConfig
from securefl.report.experiment import bearable_colluders

SMALL = "[data]\nparties = 5\n[training]\nrounds = 2\nepochs = 1\n"


def prepared(text: str) -> Experiment:
    return Experiment.prepare(ExperimentConfig.from_toml(text, source="my.toml"))


@pytest.mark.parametrize("dropout", [0.0, 0.1, 0.25, 0.4])
@pytest.mark.parametrize("parties", range(3, 60))
def test_the_colluders_assumed_always_allow_a_plan_where_there_is_one(parties, dropout):
    def plan(colluders: int) -> sfl.Plan:
        protocol = sfl.SecAgg(server="active", max_colluders=colluders, dropout=dropout)
        return sfl.Plan(template={"w": ((1,), "float32")}, parties=parties, protocol=protocol)

    colluders = bearable_colluders(parties, dropout)
    try:
        plan(0)
    except UnsafePlanError:
        assert colluders == 0
        return
    plan(colluders)
    if colluders < parties // 5:
        with pytest.raises(UnsafePlanError):
            plan(colluders + 1)


def test_the_plan_takes_what_the_file_says():
    plan = prepared(
        SMALL + "[plan]\nserver = 'semi-honest'\nthreshold = 4\nvalue_bits = 12\nbound = 2\npurpose = 'p'"
    ).plan
    assert (plan.parameters.threshold, plan.parameters.active, plan.purpose) == (4, False, "p")
    assert (plan.encoding.value_bits, plan.encoding.bound) == (12, 2.0)


def test_an_unsafe_plan_names_the_file_where_there_is_one():
    with pytest.raises(ConfigError, match=r"my.toml: \[plan\] "):
        prepared(SMALL + "[plan]\nmax_colluders = 4")
    config = ExperimentConfig.from_toml("[data]\nparties = 2", source="")
    with pytest.raises(UnsafePlanError):
        Experiment.prepare(config)


def test_a_refused_message_is_kept_with_its_round(monkeypatch):
    experiment = prepared(SMALL)
    from securefl.engines.memory import MemorySession

    untouched = MemorySession.round

    def tampered(self, *args, **kwargs):
        faults = [sfl.faults.Corrupt("party-1", "advertise")]
        return untouched(self, *args, **{**kwargs, "drop": {}, "faults": faults})

    monkeypatch.setattr(MemorySession, "round", tampered)
    config = ExperimentConfig.from_toml(SMALL + "[faults]\ndropout = 0.2\n[plan]\nmax_colluders = 0\n")
    result = Experiment.prepare(config).run()
    assert experiment.plan.parameters.parties == 5
    assert {refusal.round for refusal in result.refusals} == {1, 2}
    assert "party-1" in result.refusals[0].message


def test_clamped_values_are_counted():
    result = prepared(SMALL + "[plan]\nbound = 0.001\n[report]\ncompare_plain = false").run()
    assert 0 < result.saturated_share <= 1
    assert result.plain is None
    assert result.difference is None


def test_the_comparison_shares_seeds_and_dropouts():
    seen = []
    result = prepared(SMALL + "[faults]\ndropout = 0.2\n[plan]\nmax_colluders = 0").run(
        lambda arm, record: seen.append((arm, record.round, record.survivors, record.dropped))
    )
    assert [entry[:2] for entry in seen] == [("plain", 1), ("plain", 2), ("secure", 1), ("secure", 2)]
    assert [entry[2:] for entry in seen[:2]] == [entry[2:] for entry in seen[2:]]
    assert result.difference == pytest.approx(0, abs=0.005)


def test_a_failure_names_arm_and_round():
    with pytest.raises(sfl.RoundAbortedError) as caught:
        prepared(SMALL + "[faults]\ndropout = 0.6\nsteps = ['advertise']\n[plan]\ndropout = 0").run()
    assert caught.value.__notes__ == ["in round 1 of 2 of the secure training"]
