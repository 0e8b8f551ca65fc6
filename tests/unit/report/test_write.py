"""The report: self-contained, escaped, whole or absent."""

import dataclasses
import json
import re
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from securefl.errors import ConfigError
from securefl.report import prepare_report, to_dict, write_report
from securefl.report import write as write_module
from securefl.report.limits import limits


@pytest.fixture
def page(result, tmp_path) -> str:
    return write_report(tmp_path / "report", result).html.read_text(encoding="utf-8")


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_a_hostile_party_name_is_shown_and_not_run(page):
    parsed = Page()
    parsed.feed(page)
    assert "script" not in parsed.tags
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "$x^2$" in parsed.texts


def test_nothing_is_loaded_from_elsewhere(page):
    parsed = Page()
    parsed.feed(page)
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(parsed.tags)
    for name, value in parsed.attributes:
        if name in {"src", "href", "xlink:href", "srcset", "action"}:
            assert value.startswith("#"), value
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_ids_are_unique_and_every_reference_has_its_target(page):
    parsed = Page()
    parsed.feed(page)
    ids = [value for name, value in parsed.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    wanted = {value[1:] for name, value in parsed.attributes if name == "xlink:href"} | set(
        re.findall(r"url\(#([^)]+)\)", page)
    )
    assert wanted <= set(ids)


def test_the_plots_are_well_formed_and_described(page):
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) == 5
    for plot in plots:
        assert ET.fromstring(plot).get("aria-label")  # noqa: S314 - our own output
        assert "#01020" not in plot


def test_the_page_tells_what_it_must(page, result):
    for text in ("Simulated policy", "no differential privacy", "a forged share", "Who learns what", "The plan"):
        assert text in page
    assert result.plan.digest().hex() in page
    assert "3 (1.0%) of the encoded values" in page
    assert "dark" in page
    assert "width=device-width" in page


def test_a_semi_honest_plan_is_said_to_fall_to_an_active_server(result):
    plan = result.plan.replace(protocol=dataclasses.replace(result.plan.protocol, server="semi-honest"))
    assert "deviates" in limits(plan)[0]
    assert len(limits(plan)) == len(limits(result.plan)) + 1


def test_the_json_beside_is_the_result(result, tmp_path):
    files = write_report(tmp_path, result)
    assert json.loads(files.json.read_text(encoding="utf-8")) == to_dict(result)


def test_without_a_comparison_the_page_claims_none(result, tmp_path):
    page = write_report(tmp_path, dataclasses.replace(result, plain=None)).html.read_text()
    assert "plain FedAvg" not in page


def test_many_parties_and_one_round_are_drawn(result, tmp_path):
    from securefl.federated import History

    one = History(result.secure.records[:1])
    crowd = {**result.parties, **{f"party-{number}": 1 for number in range(100)}}
    page = write_report(tmp_path, dataclasses.replace(result, secure=one, plain=None, parties=crowd)).html.read_text()
    assert page.count("<svg") >= 4


def test_a_failure_leaves_the_old_report_whole(result, tmp_path, monkeypatch):
    files = write_report(tmp_path, result)
    before = files.html.read_text(), files.json.read_text()

    def fail(*_args, **_kwargs):
        raise ConfigError("no page")

    monkeypatch.setattr(write_module, "render", fail)
    with pytest.raises(ConfigError):
        write_report(tmp_path, dataclasses.replace(result, saturated=0))
    assert (files.html.read_text(), files.json.read_text()) == before
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "report.json"}


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
def test_a_missing_library_is_named_before_any_training(tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=rf"{library}.*securefl\[cli\]"):
        prepare_report(tmp_path / "x")


def test_a_missing_library_is_named_while_rendering_too(result, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ConfigError, match="jinja2"):
        write_report(tmp_path / "x", result)
    assert not (tmp_path / "x").exists()
