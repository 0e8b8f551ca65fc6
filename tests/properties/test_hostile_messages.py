"""Hostile messages: every message, mutated by whoever knows the format and holds the insiders' pens, in every state of both roles.

Twenty thousand of them in `make test`, a hundred thousand in `make test-full`, a million in `scripts/fuzz_messages.py`: each a typed
error or harmless, none over a second or 64 MiB (protocol.md, attack list, 9).
"""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hostile import attempts
from hostile.attempts import HarmError, Tally, Target, arena
from hostile.batches import from_recipe, run, settle, targets
from hostile.worlds import TARGET, Scene, scenes, small_chunks, states_seen, worlds
from securefl import Plan, SecAgg, SecAggClient, SecAggServer, SecureFLError
from securefl.secagg.states import ClientState, ServerState

ROOT = Path(__file__).parents[2]
GROUPS = [(world, role) for world in ("active", "semi-honest", "k-regular") for role in ("party", "server")]
NEEDED = {"short": 20_000, "long": 100_000}
"""Attempts, all groups together; in the profile `dev` fewer."""
EXAMPLES = min(settings().max_examples, 100)


def batch_of(length: str) -> int:
    """Attempts an example: a batch costs hypothesis one draw."""
    return math.ceil(NEEDED[length] / (len(GROUPS) * 100))


def numbers_of(world: str, role: str) -> list[int]:
    return [
        number
        for number, scene in enumerate(scenes())
        if scene.world.name == world and (scene.party is None) == (role == "server")
    ]


def test_the_scenes_stand_in_every_state_of_both_roles():
    clients, servers = states_seen()
    assert clients == set(ClientState)
    assert servers == set(ServerState)


def test_every_scene_is_in_a_group_and_the_profiles_make_as_many_attempts_as_they_say():
    assert sorted(number for group in GROUPS for number in numbers_of(*group)) == list(range(len(scenes())))
    if os.environ.get("HYPOTHESIS_PROFILE") in {"ci", "nightly"}:
        assert all(len(GROUPS) * EXAMPLES * batch_of(length) >= needed for length, needed in NEEDED.items())


@pytest.mark.timeout(900)
@pytest.mark.parametrize("length", ["short", pytest.param("long", marks=pytest.mark.heavy)])
@pytest.mark.parametrize(("world", "role"), GROUPS, ids=[f"{world}, {role}" for world, role in GROUPS])
def test_a_mutated_message_ends_in_a_typed_error_or_does_no_harm(world, role, length, record_property):
    tally = Tally()
    attacked = targets(numbers_of(world, role), tally)

    # A seed does not shrink: a harm that is found is made smaller by its own recipe.
    @settings(max_examples=EXAMPLES, phases=[Phase.explicit, Phase.reuse, Phase.generate])
    @given(seed=st.integers(0, 2**64 - 1))
    def batch(seed: int) -> None:
        run(attacked, seed, batch_of(length), tally)

    settle()
    with arena():
        batch()
    record_property("attempts", str(tally))
    print(f"\n{world}, {role}: {tally}")
    assert tally.attempts >= EXAMPLES * batch_of(length)
    assert tally.seconds <= attempts.SECONDS
    assert max(tally.traced, tally.resident) <= attempts.BYTES
    # It was not all in vain: many checks were reached, messages were accepted, and rounds went on to their sums.
    assert len(tally.ways) >= 100
    assert tally.accepted
    assert tally.exact > tally.followed // 2


@given(number=st.integers(0, len(scenes()) - 1), recipe=st.binary(max_size=96))
def test_what_hypothesis_itself_mutates_ends_in_a_typed_error_or_does_no_harm(number, recipe):
    with arena():
        Target(number, Tally()).attempt(from_recipe(number, recipe), follow=True)


@pytest.mark.parametrize(
    "number",
    [number for number, scene in enumerate(scenes()) if scene.playable],
    ids=lambda number: scenes()[number].name,
)
def test_the_genuine_message_is_taken_and_its_round_ends_in_the_exact_sum(number):
    """The control: what is refused above is refused for its mutation, and a round that is played on can succeed."""
    tally = Tally()
    with arena():
        Target(number, tally).attempt(scenes()[number].due[0], follow=True)
    assert tally.accepted == tally.followed == tally.exact == 1


def act(monkeypatch: pytest.MonkeyPatch, harm) -> None:
    """Let every role do something else with the message first."""
    genuine = Scene.act

    def harmful(self: Scene, role: SecAggClient | SecAggServer, data: bytes):
        harm(role)
        return genuine(self, role, data)

    monkeypatch.setattr(Scene, "act", harmful)


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(1000))


def huge(_role: SecAggClient | SecAggServer) -> None:
    np.ones(attempts.BYTES * 5 // 4, np.uint8)


def forget_a_neighbour(role: SecAggClient | SecAggServer) -> None:
    role._round._kept.holder.held.pop(0).wipe()


def change_the_total(role: SecAggClient | SecAggServer) -> None:
    role._round._got.total += 1


def number_of(name: str) -> int:
    return next(number for number, scene in enumerate(scenes()) if scene.name == name)


@pytest.mark.parametrize(
    ("name", "harm", "message"),
    [
        ("active: round 1, ROSTER under way, to a party", lambda _role: {}["x"], "KeyError"),
        ("active: round 1, ROSTER under way, to a party", lambda _role: int("x"), "ValueError"),
        ("active: round 1, ROSTER under way, to a party", lambda _role: busy(1.3), r"took \d"),
        ("active: round 1, ROSTER under way, to a party", lambda _role: busy(60), "still busy"),
        ("active: round 1, ROSTER under way, to a party", huge, "allocated 80 MiB"),
        ("active: round 1, UNMASK under way, to a party", forget_a_neighbour, "has changed"),
        ("active: round 1, one MASKED_INPUT missing, to the server", change_the_total, "has changed"),
    ],
)
def test_harm_is_noticed(name, harm, message, monkeypatch):
    """The control: a role that does harm on a damaged message is reported."""
    number = number_of(name)
    act(monkeypatch, harm)
    monkeypatch.setattr(attempts, "GIVEN_UP", 2.0)
    with arena(), pytest.raises(HarmError, match=message):
        Target(number, Tally()).attempt(scenes()[number].due[0][:-1], weigh=harm is huge)


def test_a_wrong_sum_is_noticed(monkeypatch):
    """The control: an accepted message that spoils the sum is reported."""
    number = number_of("semi-honest: round 1, one UNMASK_SHARES missing, to the server")
    act(monkeypatch, change_the_total)
    with arena(), pytest.raises(HarmError, match="a wrong sum"):
        Target(number, Tally()).attempt(scenes()[number].due[0])


def test_memory_that_python_does_not_see_is_noticed():
    """The control: pages that some library touches are on the kernel's account."""
    scale = attempts.HighWater()
    assert scale.growth() < attempts.BYTES
    huge(None)
    assert scale.growth() >= attempts.BYTES


magnitudes = st.one_of(st.integers(0, 70_000), st.sampled_from([0, 1, 2, 3, 64, 200, 512, 1000, 65535, 65536, 2**52]))


@given(
    n=st.sampled_from([3, 7, 200, 1000, 10_000, 65_536]),
    shares=st.tuples(*[st.integers(0, 64)] * 3),
    neighbours=magnitudes,
    bits=st.sampled_from([8, 23, 40, 64]),
)
def test_a_plan_for_however_many_parties_is_judged_within_a_second(n, shares, neighbours, bits):
    """The safety of a graph is a matter of binomials; who proposes a plan chooses how large ones."""
    fields = msgspec.msgpack.decode(
        Plan(template={"w": ((4,), "float32")}, parties=100, protocol=SecAgg(graph="k-regular")).to_bytes()
    )
    threshold, colluders, lost = (n * share // 64 for share in shares)
    fields[4:9] = [n, threshold, colluders, n - lost, neighbours]
    fields[10] = bits
    data = msgspec.msgpack.encode(fields)
    started = time.process_time()
    with contextlib.suppress(SecureFLError):
        Plan.from_bytes(data, parties=n)
    assert time.process_time() - started < attempts.SECONDS


@pytest.mark.timeout(280)
def test_the_fuzzer_runs_without_its_guide_in_little_memory(tmp_path):
    """The script in plain mode, in a process that may not map much more memory than it has at its start."""
    script = [
        sys.executable,
        str(ROOT / "scripts" / "fuzz_messages.py"),
        "--plain",
        "--runs",
        "2000",
        "--seed",
        "1",  # without one, every run of the tests would try other messages
        "--crashes",
        str(tmp_path),
    ]
    done = subprocess.run(script, capture_output=True, text=True, timeout=250, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2000 attempts" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_message_is_the_same_in_every_process():
    """A number and a few bytes are all that it takes to repeat an attempt."""
    with small_chunks():
        again = type(worlds()[1])(
            "semi-honest", 5, worlds()[1].plan.parameters.server, threshold=2, max_colluders=1, min_survivors=3
        )
    assert again.library == worlds()[1].library
    assert again.n > TARGET
