"""Files are written whole or not at all."""

import os
import stat

import pytest

from securefl.errors import ConfigError
from securefl.report import files
from securefl.report.files import json_text, make_directory, read_bytes, read_text, write


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "x"
    write(path, "one")
    write(path, "two")
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_half_way_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "x"
    write(path, "old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        write(path, "new")
    with pytest.raises(ConfigError, match="No space left"):
        write(tmp_path / "y", "new", overwrite=False)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_device_without_an_end_is_not_read_for_ever(monkeypatch):
    monkeypatch.setattr(files, "MAX_TEXT", 3 << 20)
    with pytest.raises(ConfigError, match="the record /dev/zero is longer than 3 MiB"):
        read_text("/dev/zero", what="record", remedy="name a file")
    with pytest.raises(ConfigError, match="longer than 2 MiB"):
        read_bytes("/dev/zero", what="model", remedy="name a file", most=2 << 20)


def test_lines_end_alike_wherever_a_text_was_written(tmp_path):
    (tmp_path / "x").write_bytes("a\r\nü\n".encode())
    assert read_text(tmp_path / "x", what="text", remedy="") == "a\nü\n"


def test_an_existing_file_is_refused_where_it_may_not_be_replaced(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(ConfigError, match="exists already"):
        write(path, "new", overwrite=False)
    assert path.read_text() == "old"


def test_a_dangling_link_counts_as_existing(tmp_path):
    (tmp_path / "x").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="exists already"):
        write(tmp_path / "x", "new", overwrite=False)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_secret_is_readable_by_its_owner_alone(tmp_path, overwrite):
    write(tmp_path / "x", b"secret", mode=0o600, overwrite=overwrite)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600


def test_replacing_a_wide_open_file_by_a_secret_narrows_it(tmp_path):
    (tmp_path / "x").write_text("old")
    (tmp_path / "x").chmod(0o666)
    write(tmp_path / "x", b"secret", mode=0o600)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600


def test_places_that_do_not_exist_are_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot be written"):
        write(tmp_path / "none" / "x", "text")
    with pytest.raises(ConfigError, match=r"the thing .* cannot be read"):
        read_text(tmp_path / "none", what="thing", remedy="make one")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        make_directory(tmp_path / "file" / "below")


def test_text_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_text(tmp_path / "x", what="thing", remedy="make one")


def test_json_has_no_nan():
    with pytest.raises(ValueError, match="JSON"):
        json_text({"x": float("nan")})
