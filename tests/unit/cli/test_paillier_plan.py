"""`plan show`, `policy check`, `doctor` and `init` under a Paillier key."""

import json

import pytest

from securefl.policy import ClientPolicy
from securefl.report import ExperimentConfig
from securefl.report.key_files import public_text
from unit.report.keys import ordinary


@pytest.fixture
def under_a_key(small, tmp_path):
    """A configuration with a public key."""
    (tmp_path / "study.paillier.pub").write_text(public_text(ordinary().public_key))
    key = f'[paillier]\nholder = "separate"\nkey = "{tmp_path / "study.paillier.pub"}"\n'
    text = small.read_text().replace("max_colluders = 0", 'max_colluders = 0\nserver = "semi-honest"')
    small.write_text(text + key)
    return small


def fresh(path):
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "key =" not in line))


def policy_of(tmp_path, text: str):
    path = tmp_path / "policy.toml"
    path.write_text('server = "semi-honest"\nmin_parties = 5\n' + text)
    return path


def test_plan_show_prints_key_holder_and_ciphertexts(securefl, under_a_key, tmp_path):
    outcome = securefl("plan", "show", under_a_key, "--json", tmp_path / "plan.json")
    assert outcome.code == 0, outcome.err
    shown = " ".join(outcome.out.split())
    assert ordinary().public_key.fingerprint in shown
    assert "ciphertexts a round" in shown
    assert "The key holder and the server together can open every vector." in shown
    assert "masked values" not in shown
    assert "for this view" not in shown
    data = json.loads((tmp_path / "plan.json").read_text())
    assert (data["key_holder"], data["key_bits"]) == ("separate", 3072)


def test_plan_show_says_that_a_fresh_key_is_not_kept(securefl, under_a_key):
    fresh(under_a_key)
    assert "The key was made for this view" in " ".join(securefl("plan", "show", under_a_key).out.split())


def test_a_policy_accepts_the_key_that_it_pins_and_no_other(securefl, refused, under_a_key, tmp_path):
    pinned = f'paillier_keys = ["{ordinary().public_key.fingerprint}"]\n'
    assert securefl("policy", "check", policy_of(tmp_path, pinned), under_a_key).code == 0
    line = refused("policy", "check", policy_of(tmp_path, ""), under_a_key)
    assert "paillier_keys (default)" in line
    assert "made for the check" not in line
    line = refused("policy", "check", policy_of(tmp_path, pinned + 'key_models = ["threshold"]\n'), under_a_key)
    assert 'line 4: key_models = ["threshold"]' in line
    line = refused("policy", "check", policy_of(tmp_path, pinned + 'randomness = ["standard"]\n'), under_a_key)
    assert 'line 4: randomness = ["standard"]' in line


def test_a_refusal_of_a_fresh_key_says_how_to_name_the_real_one(securefl, refused, under_a_key, tmp_path):
    fresh(under_a_key)
    policy = policy_of(tmp_path, "")
    assert "this key was made for the check" in refused("policy", "check", policy, under_a_key)
    outcome = securefl("doctor", "--config", under_a_key, "--policy", policy)
    assert outcome.code == 1
    assert "this key was made for the check" in " ".join(outcome.out.split())


def test_training_with_a_public_key_is_refused_before_it_begins(refused, under_a_key, tmp_path):
    assert f"{under_a_key}: paillier.key is public" in refused("run", under_a_key)


@pytest.mark.parametrize(
    "line",
    [
        "audited = true",
        "bits = 3072",
        'randomness = "djn"',
        "threshold = 11",
        'key = "study.paillier"',
        'key_password_file = "pw"',
    ],
)
def test_the_starters_commented_paillier_keys_are_real(line, securefl, tmp_path):
    securefl("init", tmp_path)
    text = (tmp_path / "securefl.toml").read_text()
    assert f"\n# {line}" in text
    read = ExperimentConfig.from_toml(text.replace(f"\n# {line}", f"\n{line}")).paillier
    name, _, value = line.partition(" = ")
    assert str(getattr(read, name)).lower() == value.strip('"')


@pytest.mark.parametrize("line", ["paillier_keys = [", "key_models = [", "randomness = ["])
def test_the_starter_policys_commented_paillier_floors_are_real(line, securefl, tmp_path):
    securefl("init", tmp_path)
    text = (tmp_path / "policy.toml").read_text()
    assert f"\n# {line}" in text
    read = ClientPolicy.from_toml(text.replace(f"\n# {line}", f"\n{line}"))
    assert getattr(read, line.split()[0])
    assert read.key_models == ClientPolicy().key_models
    assert read.randomness == ClientPolicy().randomness
