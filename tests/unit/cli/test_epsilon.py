"""`securefl epsilon` and `securefl calibrate`: the reference values, the JSON that other programs rely on, and refusals."""

import importlib
import json
import math
import subprocess
import sys

import pytest

from securefl.dp.accounting import (
    Accountant,
    GaussianRelease,
    Relation,
    Repeated,
    epsilons,
    gaussian_noise_multiplier,
    sample_of,
)

Q = str(256 / 60000)
PLAIN = ("--noise-multiplier", "1.1", "--sample-rate", "0.01", "--rounds", "1000", "--delta", "1e-5")
TARGET = ("--epsilon", "1", "--delta", "1e-5", "--sample-rate", "0.01", "--rounds", "1000")
WHOLE = ("--noise-multiplier", "5", "--rounds", "100", "--delta", "1e-6")
FACTS = {"relation", "unit", "delta", "sample_rate", "rounds", "dp_sgd", "against", "conditions", "epsilon"}


@pytest.fixture
def found(securefl):
    def run(*arguments):
        outcome = securefl(*arguments, "--json", "-")
        assert outcome.code == 0, outcome.err
        return json.loads(outcome.out)

    return run


@pytest.mark.parametrize(
    ("z", "q", "rounds", "delta", "rdp", "pld"),
    [
        ("1", "1", 1, "1e-5", 4.7285, 4.3772),
        ("1", "0.01", 1000, "1e-5", 2.1014, 1.8282),
        ("1.1", Q, 14040, "1e-5", 2.5944, 2.3796),
        ("0.7", "0.01", 500, "1e-5", 4.37585, 3.5969),  # dp-accounting 0.6.0
        ("2", "0.05", 100, "1e-5", 1.2222, 1.0972),
        ("1", "0.01", 10000, "1e-5", 6.7127, 6.1877),
        ("5", "1", 100, "1e-6", 11.6886, 10.99715),
        ("0.6", "0.001", 50000, "1e-7", 6.6936, 5.8651),
    ],
)
def test_epsilons_are_the_reference_values(found, z, q, rounds, delta, rdp, pld):
    told = found("epsilon", "--noise-multiplier", z, "--sample-rate", q, "--rounds", rounds, "--delta", delta)
    assert told["epsilon"] == {"rdp": pytest.approx(rdp, abs=1e-3), "pld": pytest.approx(pld, abs=1e-3)}
    assert (told["exact"] is None) == (q != "1")


@pytest.mark.parametrize(
    ("accountant", "noise"), [("rdp", 1.51312), pytest.param("pld", 1.41463, marks=pytest.mark.heavy)]
)
def test_calibrated_noise_is_the_reference_value_and_meets_the_target_by_that_accountant(found, accountant, noise):
    told = found("calibrate", *TARGET, "--accountant", accountant)
    assert told["noise_multiplier"] == pytest.approx(noise, abs=1e-4)
    assert told["accountant"] == accountant
    assert 0.9999 < told["achieved_epsilon"] <= told["target_epsilon"] == 1.0
    assert told["epsilon"] == {accountant: told["achieved_epsilon"]}
    event = Repeated(sample_of(0.01, GaussianRelease(told["noise_multiplier"])), 1000)
    assert epsilons(event, 1e-5, Relation.ADD_REMOVE)[accountant] == told["achieved_epsilon"]


@pytest.mark.parametrize("epsilon", [0.1, 1, 5, 10])
def test_without_sampling_calibration_by_pld_is_the_analytic_gaussian(found, epsilon):
    told = found("calibrate", "--epsilon", epsilon, "--delta", "1e-5", "--rounds", 1, "--accountant", "pld")
    exact = gaussian_noise_multiplier(epsilon, 1e-5)
    assert exact <= told["noise_multiplier"] <= exact * (1 + 3e-5)


def test_json_says_what_the_numbers_are_about(found):
    told = found("epsilon", *PLAIN)
    assert set(told) == FACTS | {"noise_multiplier", "exact"}
    assert (told["relation"], told["unit"]) == ("add-remove", "user")
    assert (told["noise_multiplier"], told["sample_rate"], told["rounds"], told["delta"]) == (1.1, 0.01, 1000, 1e-5)
    told = found("calibrate", *TARGET)
    assert set(told) == FACTS | {"noise_multiplier", "accountant", "achieved_epsilon", "target_epsilon"}
    assert (told["relation"], told["unit"]) == ("add-remove", "user")


def test_the_server_sees_who_took_part_and_whoever_adds_the_noise_sees_the_sum(found):
    against = found("epsilon", *PLAIN)["against"]
    assert against["observer"] == {"rdp": pytest.approx(1.7118, abs=1e-3), "pld": pytest.approx(1.5154, abs=1e-3)}
    unsampled = epsilons(Repeated(GaussianRelease(1.1), 1000), 1e-5, Relation.ADD_REMOVE)
    assert against["server"] == unsampled
    assert unsampled["rdp"] > 500
    assert {float(value) for value in against["curator"].values()} == {math.inf}


def test_without_sampling_all_are_equal_and_the_exact_formula_is_there(securefl, found):
    told = found("epsilon", *WHOLE)
    assert told["against"]["server"] == told["against"]["observer"] == told["epsilon"]
    assert told["exact"] == told["epsilon"]["pld"] == pytest.approx(10.99715, abs=1e-5)
    assert "exact: 10.9971" in securefl("epsilon", *WHOLE).out


def test_examples_need_dp_sgd_whose_sample_stays_with_the_party(found, refused):
    assert "--dp-sgd" in refused("epsilon", *PLAIN, "--unit", "example")
    assert "got user" in refused("epsilon", *PLAIN, "--dp-sgd")
    for unit in ("example", "record"):
        told = found("epsilon", *PLAIN, "--unit", unit, "--dp-sgd")
        assert told["unit"] == "example"
        assert told["against"] == dict.fromkeys(("observer", "server"), told["epsilon"])
        assert any("Opacus" in condition for condition in told["conditions"])


def test_replacing_costs_more_and_each_relation_says_what_it_means(securefl, found):
    costs = {relation: found("epsilon", *WHOLE, "--relation", relation)["epsilon"] for relation in Relation}
    assert costs["zero-out"] == costs["add-remove"]
    doubled = found("epsilon", *WHOLE, "--noise-multiplier", "2.5")["epsilon"]
    assert costs["replace-one"] == pytest.approx(doubled)
    for relation in Relation:
        assert f"relation  {relation}: one user" in securefl("epsilon", *WHOLE, "--relation", relation).out
    noise = [found("calibrate", *TARGET, "--relation", one)["noise_multiplier"] for one in ("zero-out", "replace-one")]
    assert noise[1] > noise[0]


def test_people_read_numbers_rounded_against_the_spender(securefl, found):
    shown = securefl("epsilon", *PLAIN).out
    for who, numbers in found("epsilon", *PLAIN)["against"].items():
        for value in map(float, numbers.values()):
            text = "infinite" if math.isinf(value) else f"{math.ceil(value * 1e4) / 1e4:.4f}"
            assert text in shown, who
    for line in ("add-remove", "user", "infinite", "whoever has data with k parties"):
        assert line in shown
    said = found("calibrate", *TARGET)
    lines = securefl("calibrate", *TARGET).out
    assert f"noise multiplier {said['noise_multiplier']}, rounded up: epsilon 0.99999" in lines


def test_rounding_does_not_make_a_target_look_missed(securefl):
    outcome = securefl(
        "calibrate", "--epsilon", "0.00012345678", "--delta", "1e-5", "--rounds", 1, "--accountant", "pld"
    )
    assert "epsilon 0.00012345678 of 0.00012345678 by pld" in " ".join(outcome.out.split())


def test_no_bound_is_null_and_a_dash(securefl, found):
    arguments = ("epsilon", "--noise-multiplier", 1, "--sample-rate", "0.01", "--rounds", 10, "--delta", "1e-16")
    assert found(*arguments)["epsilon"]["pld"] is None
    shown = securefl(*arguments).out
    assert "pld: none" in shown
    assert " -\n" in shown


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--noise-multiplier", "0", "the noise multiplier is out of range: got 0.0"),
        ("--noise-multiplier", "-1", "got -1.0, needs a finite number > 0"),
        ("--noise-multiplier", "nan", "got nan"),
        ("--noise-multiplier", "inf", "got inf"),
        ("--noise-multiplier", "1e-9", "needs 0.001..1e+06"),
        ("--noise-multiplier", "1e300", "needs 0.001..1e+06"),
        *[("--delta", value, "delta is out of range") for value in ("0", "1", "-1e-5", "2", "nan")],
        *[("--sample-rate", value, "the sampling rate is out of range") for value in ("0", "-0.1", "1.01", "nan")],
        *[("--rounds", value, "the number of rounds is out of range") for value in ("0", "-5", "9" * 400)],
        ("--relation", "swap", "unknown neighbouring relation: got 'swap', needs add-remove, zero-out, replace-one"),
        ("--unit", "hospital", "unknown unit of privacy: got 'hospital', needs party, user, organisation"),
        ("--plot", "figure.txt", "end the name in .png"),
        ("--plot", "missing/figure.png", "no such directory"),
        ("--json", "missing/epsilon.json", "no such directory"),
    ],
)
def test_bad_input_is_refused_by_name(refused, option, value, said):
    assert said in refused("epsilon", *PLAIN, option, value)
    if option not in {"--noise-multiplier", "--plot"}:
        assert said in refused("calibrate", *TARGET, option, value)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_a_target_is_a_positive_number(refused, value):
    assert "the target epsilon is out of range" in refused("calibrate", *TARGET, "--epsilon", value)


@pytest.mark.parametrize(
    "arguments",
    [
        ("epsilon", *PLAIN, "--rounds", "1.5"),
        ("epsilon", *PLAIN[2:]),
        ("epsilon", *PLAIN[:4], "--delta", "1e-5"),  # a default number of rounds would flatter
        ("calibrate", *TARGET, "--accountant", "clt"),
    ],
)
def test_what_is_missing_or_no_number_is_wrong_usage(securefl, arguments):
    outcome = securefl(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""


@pytest.mark.parametrize("verb", [("epsilon", *WHOLE), ("calibrate", *TARGET)], ids=lambda verb: verb[0])
def test_the_missing_extra_is_named_with_its_command(refused, monkeypatch, verb):
    extra = importlib.import_module("securefl.dp.accounting._extra")

    def missing(module):
        raise ImportError(module)

    monkeypatch.setattr(extra.importlib, "import_module", missing)
    assert "pip install 'securefl[dp]'" in refused(*verb)


def test_a_plot_without_matplotlib_is_refused_before_anything_is_computed(refused, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install 'securefl[cli]'" in refused("epsilon", *WHOLE, "--plot", tmp_path / "a.png")


@pytest.mark.parametrize(
    ("suffix", "head"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")], ids=["png", "svg", "pdf"]
)
def test_a_plot_is_written_with_its_numbers(found, tmp_path, suffix, head):
    told = found("epsilon", *WHOLE, "--plot", tmp_path / f"a{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes().startswith(head)
    points = told["by_round"]
    assert (points[0]["round"], points[-1]) == (1, {"round": 100, **told["epsilon"]})
    for accountant in Accountant:
        values = [point[accountant] for point in points]
        assert values == sorted(values)
    for point in points:
        event = Repeated(GaussianRelease(5.0), point["round"])
        assert point == {"round": point["round"], **epsilons(event, 1e-6, Relation.ADD_REMOVE)}


def test_a_plot_of_one_round_and_without_pld(found, tmp_path):
    assert len(found("epsilon", *WHOLE, "--rounds", 1, "--plot", tmp_path / "a.png")["by_round"]) == 1
    sampled = ("--noise-multiplier", 1, "--sample-rate", "0.01", "--rounds", 3, "--delta", "1e-16")
    assert [point["pld"] for point in found("epsilon", *sampled, "--plot", tmp_path / "b.png")["by_round"]] == [
        None
    ] * 3


def test_json_goes_to_a_file_as_well(securefl, tmp_path):
    outcome = securefl("epsilon", *WHOLE, "--json", tmp_path / "e.json")
    assert outcome.code == 0
    assert "the server and observers" in outcome.out
    assert json.loads((tmp_path / "e.json").read_text())["unit"] == "user"


@pytest.mark.parametrize("verb", ["epsilon", "calibrate"])
def test_help_has_an_example(securefl, verb):
    outcome = securefl(verb, "--help")
    assert outcome.code == 0
    assert f"Example: securefl {verb}" in outcome.out


def test_heavy_libraries_load_when_an_epsilon_is_asked_for():
    code = (
        "import sys, securefl.cli.app; "
        "print([name for name in ('matplotlib', 'scipy', 'dp_accounting') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"
