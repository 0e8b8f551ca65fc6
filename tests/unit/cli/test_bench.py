"""`securefl bench`: the benchmarks of the checkout, in small, and the JSON that other programs rely on."""

import json
import math

import pytest

import securefl as package


def rows_of(path):
    data = json.loads(path.read_text())
    assert {"cpu", "cores", "python", "system"} <= data["machine"].keys()
    for row in data["rows"]:
        assert {"case", "ours", "peer", "ratio"} <= row.keys()
        assert all(math.isfinite(row[value]) and row[value] > 0 for value in ("ours", "peer", "ratio"))
        expected = row["peer"] / row["ours"] if row["better"] == "less" else row["ours"] / row["peer"]
        assert row["ratio"] == pytest.approx(expected)
        if "target" in row:
            assert row["met"] == (row["ratio"] >= row["target"])
    return data, data["rows"]


def test_masking_is_measured_against_the_bare_generator_and_in_memory(securefl, tmp_path):
    outcome = securefl("bench", "masking", "--quick", "--repeats", 1, "--json", tmp_path / "b.json")
    assert outcome.code == 0, outcome.err
    _, rows = rows_of(tmp_path / "b.json")
    assert {row["unit"] for row in rows} == {"GB/s", "% of d"}
    assert any("AES-256-CTR alone" in row["peer_name"] for row in rows)
    assert all(row["case"] in outcome.out for row in rows)


def test_secagg_is_measured_by_side_and_in_bytes(securefl, tmp_path):
    outcome = securefl("bench", "secagg", "--quick", "--repeats", 1, "--json", tmp_path / "b.json")
    assert outcome.code == 0, outcome.err
    data, rows = rows_of(tmp_path / "b.json")
    floor = [row for row in rows if row["unit"] == "s" and "bare" in row["peer_name"]]
    assert [row["case"].partition(",")[0] for row in floor] == ["server", "one client"]
    bare = [row for row in rows if row["case"].startswith("bytes of y_u") and row["peer"] == 3]
    assert bare
    # A word of up to 24 bits takes 3 bytes, and the rest of a message is small.
    assert all(3 < row["ours"] < 3.3 for row in bare)
    ours = [entry for entry in data["rounds"] if entry["who"] == "ours"]
    for entry in ours:
        assert entry["server_total"] == pytest.approx(sum(entry["server"].values()))
        assert entry["client_total"] == pytest.approx(sum(entry["client"].values()))
        assert set(entry["bytes_up"]) <= set(entry["client"])


def test_flower_is_there_only_where_it_is_installed_and_a_line_says_how_to_get_it(securefl, tmp_path):
    outcome = securefl(
        "bench", "secagg", "--quick", "--repeats", 1, "--case", "complete", "--json", tmp_path / "b.json"
    )
    assert outcome.code == 0, outcome.err
    data, rows = rows_of(tmp_path / "b.json")
    from_flower = [row for row in rows if "Flower" in row["peer_name"]]
    if "flwr" in data["machine"]["libraries"]:
        assert any(row["case"].startswith("server, all steps") for row in from_flower)
        assert not any("not installed" in note for note in data["notes"])
    else:
        assert not from_flower
        assert any("flwr==" in note for note in data["notes"])


def test_a_sweep_fits_how_cost_grows_and_draws_it(securefl, tmp_path):
    files = ("--json", tmp_path / "b.json", "--plot", tmp_path / "b.png")
    outcome = securefl("bench", "secagg", "--quick", "--repeats", 1, "--no-flower", *files)
    assert outcome.code == 0, outcome.err
    data, _ = rows_of(tmp_path / "b.json")
    assert {point["axis"] for point in data["sweep"]} == {"parties", "length", "dropout"}
    fitted = {(fit["axis"], fit["series"], fit["cost"]): fit["exponent"] for fit in data["growth"]}
    # Twice the values are nearly twice the bytes; the count is exact, so nothing is left to the clock.
    assert 0.3 < fitted["length", "complete", "bytes_up"] < 1
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")


def test_a_round_of_ones_own(securefl, tmp_path):
    outcome = securefl(
        *("bench", "secagg", "--no-flower", "--repeats", 1, "--json", "-"),
        *("--clients", 6, "--length", 50, "--threshold", 3, "--dropout", 0.2),
    )
    assert outcome.code == 0, outcome.err
    data = json.loads(outcome.out)
    assert {entry["setting"] for entry in data["rounds"]} == {"n=6 d=50 complete t=3 1 dropped"}


def test_without_a_name_all_are_listed(securefl):
    outcome = securefl("bench")
    assert outcome.code == 0
    assert {"masking", "secagg"} <= {line.split()[0] for line in outcome.out.splitlines() if line.strip()}


def test_an_unknown_name_is_wrong_usage_and_lists_what_there_is(securefl):
    outcome = securefl("bench", "nothing")
    assert outcome.code == 2
    said = " ".join(outcome.err.split())
    assert "nothing" in said
    assert "masking" in said
    assert "secagg" in said


@pytest.mark.parametrize("options", [("--no-such-option",), ("--plot", "figure.txt"), ("--plot", "missing/figure.png")])
def test_options_that_the_benchmark_does_not_take_are_wrong_usage(securefl, options):
    assert securefl("bench", "secagg", "--quick", *options).code == 2


def test_an_unsafe_round_is_refused_without_a_traceback(securefl, capfd):
    outcome = securefl("bench", "secagg", "--clients", 2)
    assert outcome.code == 1
    assert "parties" in capfd.readouterr().err
    assert outcome.err.startswith("securefl: the benchmark secagg failed")


def test_a_wheel_has_no_benchmarks_and_says_where_they_are(securefl, monkeypatch, tmp_path):
    monkeypatch.setattr(package, "__file__", str(tmp_path / "lib" / "python" / "securefl" / "__init__.py"))
    monkeypatch.chdir(tmp_path)
    outcome = securefl("bench", "masking")
    assert outcome.code == 1
    assert outcome.out == ""
    assert "checkout" in outcome.err
    assert outcome.err.count("\n") == 1
