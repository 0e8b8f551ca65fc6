"""UsedFile: a step is recorded on disk before it is taken, and never taken twice."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import threading
import time

import pytest

from securefl.errors import ConfigError, LocalProtocolError, SecretMisuseError
from securefl.records import journal
from securefl.records.used_file import UsedFile
from securefl.types import Step

SESSION, OTHER = bytes(range(16)), bytes(16)
KEYS, FRESH = b"\x01" * 32, b"\x02" * 32


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.used"


@pytest.fixture
def used(path):
    return UsedFile.create(path)


def test_the_file_is_readable_and_private(path):
    used = UsedFile.create(path)
    used.spend(SESSION, 7, Step.MASKED_INPUT, KEYS)
    assert path.read_text() == f"securefl-used 1 {used.id.hex()}\n{SESSION.hex()} 7 masked_input {KEYS.hex()}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_id_is_random_and_stays(path, tmp_path):
    class Script:
        def token(self, size):
            return bytes(range(100, 100 + size))

    used = UsedFile.create(path, random=Script())
    assert used.id == UsedFile.open(path).id == bytes(range(100, 116))
    assert UsedFile.create(tmp_path / "b").id != UsedFile.create(tmp_path / "c").id


def test_create_never_replaces_a_file(used, path):
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="exists already"):
        UsedFile.create(path)
    assert path.read_bytes() == before


def test_of_two_that_create_at_once_one_is_refused(used, path, monkeypatch):
    monkeypatch.setattr(type(path), "exists", lambda _: False)
    with pytest.raises(ConfigError, match="cannot be used: File exists"):
        UsedFile.create(path)


def test_a_missing_file_is_refused_with_what_would_work(path):
    with pytest.raises(ConfigError, match=r"UsedFile\.create.*fresh keys.*cannot be resumed"):
        UsedFile.open(path)
    assert not path.exists()


def test_open_or_create_does_either(path):
    made = UsedFile.open_or_create(path)
    made.spend(SESSION, 1, "advertise", KEYS)
    again = UsedFile.open_or_create(path)
    assert (again.id, again.count) == (made.id, 1)


# What may be spent


def test_a_step_is_spent_once(used):
    used.spend(SESSION, 1, "unmask", KEYS)
    with pytest.raises(SecretMisuseError, match=r"step unmask of round 1 .* taken before.*new round"):
        used.spend(SESSION, 1, "unmask", KEYS)
    assert used.count == 1


def test_a_step_is_spent_once_across_a_restart(used, path):
    used.spend(SESSION, 1, Step.UNMASK, KEYS)
    with pytest.raises(SecretMisuseError):
        UsedFile.open(path).spend(SESSION, 1, "unmask", KEYS)


def test_a_step_is_spent_once_between_two_holders_of_the_file(used, path):
    twin = UsedFile.open(path)
    used.spend(SESSION, 1, "unmask", KEYS)
    with pytest.raises(SecretMisuseError):
        twin.spend(SESSION, 1, "unmask", KEYS)
    twin.spend(SESSION, 2, "unmask", KEYS)
    with pytest.raises(SecretMisuseError):
        used.spend(SESSION, 2, "unmask", KEYS)
    assert used.count == twin.count == 2


@pytest.mark.parametrize(
    "other",
    [
        (OTHER, 1, "unmask", KEYS),
        (SESSION, 2, "unmask", KEYS),
        (SESSION, 1, "consistency", KEYS),
        (SESSION, 1, "unmask", FRESH),
    ],
)
def test_another_session_round_step_or_key_is_another_record(used, other):
    used.spend(SESSION, 1, "unmask", KEYS)
    used.spend(*other)
    assert used.count == 2


def test_a_step_is_closed_with_one_thing_only(used, path):
    used.agree(SESSION, 1, "consistency", KEYS)
    used.agree(SESSION, 1, "consistency", KEYS)
    UsedFile.open(path).agree(SESSION, 1, "consistency", KEYS)
    assert used.count == 1
    for server in (used, UsedFile.open(path)):
        with pytest.raises(SecretMisuseError, match=r"step consistency of round 1 .* closed otherwise"):
            server.agree(SESSION, 1, "consistency", FRESH)
    used.agree(SESSION, 2, "consistency", FRESH)


def test_what_was_taken_in_two_ways_agrees_with_neither(used):
    for what in (KEYS, FRESH):
        used.spend(SESSION, 1, "unmask", what)
    with pytest.raises(SecretMisuseError, match="closed otherwise"):
        used.agree(SESSION, 1, "unmask", KEYS)


@pytest.mark.parametrize(
    "record",
    [
        (SESSION[:-1], 1, "unmask", KEYS),
        (SESSION, -1, "unmask", KEYS),
        (SESSION, 1, "un mask", KEYS),
        (SESSION, 1, "unmask\n", KEYS),
        (SESSION, 1, "", KEYS),
        (SESSION, 1, "unmask", KEYS[:-1]),
    ],
)
def test_what_cannot_be_recorded_is_refused_and_leaves_the_file_as_it_is(used, path, record):
    before = path.read_bytes()
    for record_it in (used.spend, used.agree):
        with pytest.raises(LocalProtocolError, match="cannot be recorded"):
            record_it(*record)
    assert path.read_bytes() == before


def test_rounds_counts_how_often_keys_were_sent_for_a_round(used, path):
    for session, number, step, what in [
        (SESSION, 1, "advertise", KEYS),
        (SESSION, 1, "advertise", FRESH),
        (SESSION, 2, "advertise", KEYS),
        (SESSION, 3, "unmask", KEYS),
        (OTHER, 2, "advertise", KEYS),
    ]:
        UsedFile.open(path).spend(session, number, step, what)
    assert (used.rounds(), used.rounds(SESSION), used.rounds(OTHER), used.rounds(bytes(15) + b"x")) == (4, 3, 1, 0)
    assert (used.latest(SESSION), used.latest(OTHER), used.latest(bytes(15) + b"x")) == (3, 2, None)


# On disk, and among others


def test_the_record_is_on_disk_when_spend_returns(used, path, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(journal.os, "fsync", lambda handle: (synced.append(path.read_bytes()), fsync(handle)))
    used.spend(SESSION, 1, "unmask", KEYS)
    assert synced == [path.read_bytes()]
    assert KEYS.hex() in path.read_text()


def test_a_record_written_by_another_is_on_disk_before_it_is_relied_on(used, path, monkeypatch):
    twin = UsedFile.open(path)
    used.agree(SESSION, 1, "unmask", KEYS)
    synced = []
    monkeypatch.setattr(journal.os, "fsync", synced.append)
    twin.agree(SESSION, 1, "unmask", KEYS)
    assert synced


def test_the_name_of_a_new_file_is_on_disk(path, monkeypatch):
    kinds = []
    fsync = os.fsync
    monkeypatch.setattr(
        journal.os, "fsync", lambda handle: (kinds.append(stat.S_ISDIR(os.fstat(handle).st_mode)), fsync(handle))
    )
    UsedFile.create(path)
    assert sorted(kinds) == [False, True]


def test_a_record_that_may_not_have_reached_the_disk_is_an_error_and_stays(used, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(journal.os, "fsync", full)
        with pytest.raises(ConfigError, match=r"No space left.*nothing may be sent"):
            used.spend(SESSION, 1, "unmask", KEYS)
    with pytest.raises(SecretMisuseError):
        used.spend(SESSION, 1, "unmask", KEYS)


def test_a_disk_that_is_full_in_the_middle_of_a_line_spends_nothing(used, path, monkeypatch):
    class Full(io.FileIO):
        def write(self, data):
            if len(data) < 100:
                raise OSError(28, "No space left on device")
            return super().write(data[:30])

    before = path.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(journal.io, "FileIO", Full)
        with pytest.raises(ConfigError, match=r"No space left"):
            used.spend(SESSION, 1, "unmask", KEYS)
    assert path.read_bytes() != before
    assert used.count == 0
    used.spend(SESSION, 1, "unmask", KEYS)
    assert UsedFile.open(path).count == 1


def test_a_line_written_in_pieces_is_whole(used, path, monkeypatch):
    class Slow(io.FileIO):
        def write(self, data):
            return super().write(data[:7])

    with monkeypatch.context() as patched:
        patched.setattr(journal.io, "FileIO", Slow)
        used.spend(SESSION, 1, "unmask", KEYS)
    assert UsedFile.open(path).count == 1


def test_a_read_only_file_is_refused_in_one_sentence(used, path, monkeypatch):
    def forbidden(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(journal.os, "open", forbidden)
    with pytest.raises(ConfigError, match="cannot be used: Permission denied"):
        used.spend(SESSION, 1, "unmask", KEYS)


def race(spenders):
    """How many of these calls succeed when all start at once; the others must be refused."""
    wins, start = [], threading.Barrier(len(spenders))

    def run(spend):
        start.wait()
        try:
            spend()
        except SecretMisuseError:
            return
        wins.append(1)

    threads = [threading.Thread(target=run, args=(spend,)) for spend in spenders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(wins)


def test_of_threads_that_spend_the_same_step_one_wins(used, path):
    for number in range(20):
        assert race([lambda n=number: used.spend(SESSION, n, "unmask", KEYS)] * 8) == 1
    assert UsedFile.open(path).count == 20


def test_a_holder_waits_while_another_has_the_lock(used, path):
    fcntl = pytest.importorskip("fcntl")
    spending = threading.Thread(target=used.spend, args=(SESSION, 1, "unmask", KEYS))
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        spending.start()
        spending.join(0.3)
        assert spending.is_alive()
    spending.join()
    assert UsedFile.open(path).count == 1


def test_of_processes_that_spend_the_same_step_one_wins(used, path):
    """Each process spends the same 50 rounds; the rounds that all of them won add up to 50."""
    program = f"""
import sys
from securefl.errors import SecretMisuseError
from securefl.records.used_file import UsedFile
used, won = UsedFile.open(sys.argv[1]), 0
print("ready", flush=True)
sys.stdin.readline()
for number in range(50):
    try:
        used.spend(bytes(16), number, "unmask", {KEYS!r})
    except SecretMisuseError:
        continue
    won += 1
print(won)
"""
    command = [sys.executable, "-W", "error", "-c", program, str(path)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]  # noqa: S603
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert sum(int(process.communicate(timeout=240)[0]) for process in processes) == 50
    assert UsedFile.open(path).count == 50


# Damage


@pytest.mark.parametrize("kept", [1, 60, -1])
def test_a_torn_last_line_was_never_followed_by_a_message_and_is_cut_off(used, path, kept):
    used.spend(SESSION, 1, "unmask", KEYS)
    whole = path.read_bytes()
    used.spend(SESSION, 2, "unmask", KEYS)
    path.write_bytes(whole + path.read_bytes()[len(whole) :][:kept])
    after = UsedFile.open(path)
    assert path.read_bytes() == whole
    assert after.count == 1
    after.spend(SESSION, 2, "unmask", KEYS)


def test_a_line_torn_by_another_holder_is_cut_off_too(used, path):
    used.spend(SESSION, 1, "unmask", KEYS)
    with path.open("ab") as file:
        file.write(b"0001")
    used.spend(SESSION, 2, "unmask", KEYS)
    assert UsedFile.open(path).count == 2


@pytest.mark.parametrize("header", [b"", b"secure", b"securefl-used 1 00"])
def test_a_file_that_was_never_finished_is_made_anew_only_when_asked(path, header):
    path.write_bytes(header)
    with pytest.raises(ConfigError, match=r"is empty.*fresh keys"):
        UsedFile.open(path)
    assert UsedFile.open_or_create(path).count == 0


@pytest.mark.parametrize(
    "content", [b"-----BEGIN PRIVATE KEY-----", b"-----BEGIN PRIVATE KEY-----\nabc", b"\n", b"\x00"]
)
def test_another_file_is_refused_and_left_as_it_is(path, content):
    path.write_bytes(content)
    for start in (UsedFile.open, UsedFile.open_or_create):
        with pytest.raises(ConfigError, match=r"line 1 of the used-file .*a\.used is no header"):
            start(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "alter",
    [
        lambda line: line.replace(b"unmask", b"UNMASK"),
        lambda line: line.replace(b" 1 ", b" 01 "),
        lambda line: line[:-1],
        lambda line: line + b"0",
        lambda line: line + b" ",
        lambda line: b"",
        lambda line: b"securefl-used 1 " + bytes(16).hex().encode(),
    ],
)
def test_a_malformed_line_is_named(used, path, alter):
    for number in (1, 2):
        used.spend(SESSION, number, "unmask", KEYS)
    lines = path.read_bytes().split(b"\n")
    lines[1] = alter(lines[1])
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(ConfigError, match=r"line 2 of the used-file .*a\.used is no record.*fresh keys"):
        UsedFile.open(path)


@pytest.mark.parametrize("version", [b"securefl-used 2 ", b"securefl-used 1  "])
def test_another_version_is_refused(used, path, version):
    path.write_bytes(path.read_bytes().replace(b"securefl-used 1 ", version))
    with pytest.raises(ConfigError, match="line 1"):
        UsedFile.open(path)


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_a_file_that_lost_what_was_read_from_it_was_rolled_back(used, path, lines):
    for number in (1, 2):
        used.spend(SESSION, number, "unmask", KEYS)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))
    calls = (
        lambda: used.spend(SESSION, 3, "unmask", KEYS),
        lambda: used.agree(SESSION, 3, "unmask", KEYS),
        used.rounds,
        lambda: used.latest(SESSION),
    )
    for call in calls:
        with pytest.raises(ConfigError, match="rolled back: its line 3"):
            call()


def test_a_file_that_was_rolled_back_and_grew_again_is_refused(used, path):
    early = path.read_bytes()
    used.spend(SESSION, 1, "unmask", KEYS)
    path.write_bytes(early)
    twin = UsedFile.open(path)
    twin.spend(SESSION, 2, "unmask", KEYS)
    twin.spend(SESSION, 3, "unmask", KEYS)
    with pytest.raises(ConfigError, match="rolled back"):
        used.spend(SESSION, 4, "unmask", KEYS)


def test_another_file_in_its_place_is_seen(used, path, tmp_path):
    used.spend(SESSION, 1, "unmask", KEYS)
    other = UsedFile.create(tmp_path / "other")
    other.spend(SESSION, 2, "unmask", KEYS)
    (tmp_path / "other").replace(path)
    with pytest.raises(ConfigError, match="rolled back"):
        used.spend(SESSION, 1, "unmask", FRESH)


def test_a_file_that_is_gone_is_not_made_anew(used, path):
    path.unlink()
    with pytest.raises(ConfigError, match="cannot be used: No such file"):
        used.spend(SESSION, 1, "unmask", KEYS)
    assert not path.exists()


def test_without_file_locks_the_threads_of_one_process_are_kept_apart(path, monkeypatch):
    class Slow(io.FileIO):
        def write(self, data):
            # Long enough for the others to look at what is recorded before one has written.
            time.sleep(0.05)
            return super().write(data)

    used = UsedFile.create(path)
    monkeypatch.setattr(journal, "fcntl", None)
    monkeypatch.setattr(journal.io, "FileIO", Slow)
    assert race([lambda: used.spend(SESSION, 1, "unmask", KEYS)] * 4) == 1
    monkeypatch.undo()
    assert UsedFile.open(path).count == 1
