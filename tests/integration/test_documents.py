"""What the documents say is tried: their code runs, what it prints is what stands there, links and names lead somewhere.

Conventions of the documents:

- every ```python block runs, in order, in one namespace a file;
- a ```text block right after one is what it prints; "..." stands for whatever a line may hold (doctest's ELLIPSIS);
- every line of a ```sh block that begins with `securefl` runs, in an empty folder, except the trainings, which others test;
  under a `<!-- after the code -->` line it runs in the folder of the file's code, when that has run;
- a ```text block right after a ```sh block is what its commands print, at 80 columns;
- a ```toml block right under a `<!-- file: NAME -->` line is a file of that name in the folder of the commands;
- the ```diff blocks of docs/flower.md are applied by test_flower_quickstart.py;
- a ```py block starts processes of its own: test_ray_cohorts.py runs it;
- a ```mermaid block right under a `<!-- states: ... -->` line is drawn from the tables of `securefl/secagg/states.py`.
"""

from __future__ import annotations

import contextlib
import doctest
import functools
import io
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import securefl as sfl
from securefl.paillier.rounds import states as paillier_states
from securefl.paillier.threshold import deal
from securefl.secagg.states import CLIENT, FROM_PARTIES, SERVER, SERVER_COLLECTS, ClientState, ServerState
from securefl.session.disclosure import disclosures
from securefl.types import KeyModel, ServerModel
from securefl.wire.messages import Kind
from unit.cli.conftest import call

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
RUNNING = [path for path in DOCUMENTS if "```python" in path.read_text(encoding="utf-8")]
BLOCK = re.compile(r"^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
VERB = re.compile(r"`(securefl [a-z][^`\n]*)`")
TRAININGS = {"demo", "run"}
AFTER_THE_CODE = "<!-- after the code -->\n"
FILE = re.compile(r"^<!-- file: (?P<name>[\w.-]+) -->\n```toml\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, language: str) -> list[re.Match[str]]:
    return [block for block in BLOCK.finditer(path.read_text(encoding="utf-8")) if block["language"] == language]


def examples(path: Path) -> Iterator[tuple[int, str, str | None]]:
    """Line, code and expected output (None: not stated) of each python block."""
    text = path.read_text(encoding="utf-8")
    outputs = {block.start(): block["text"] for block in blocks(path, "text")}
    for block in blocks(path, "python"):
        yield text.count("\n", 0, block.start()) + 2, block["text"], outputs.get(block.end() + 1)


def commands_of(block: re.Match[str]) -> list[str]:
    """The lines of a ```sh block, those that a backslash goes on as one."""
    return block["text"].replace("\\\n", "").splitlines()


def follows_the_code(path: Path, block: re.Match[str]) -> bool:
    return path.read_text(encoding="utf-8")[: block.start()].endswith(AFTER_THE_CODE)


def check_commands(path: Path, block: re.Match[str], folder: Path) -> None:
    """Run the commands of a ```sh block, and compare what they print with the ```text block after it."""
    printed = ""
    for line in commands_of(block):
        words = shlex.split(line, comments=True)
        if words[:1] != ["securefl"] or words[1] in TRAININGS:
            continue
        with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
            patch.setenv("COLUMNS", "80")
            done = call(*words[1:])
        assert done.code == 0, f"{line}\n{done.out}{done.err}"
        printed += done.out
    after = [text for text in blocks(path, "text") if text.start() == block.end() + 1]
    if after:
        assert same_output(after[0]["text"], printed), (
            f"{name_of(path)} says\n{after[0]['text']}\nand prints\n{printed}"
        )


def same_output(expected: str, got: str) -> bool:
    return doctest.OutputChecker().check_output(expected, got, doctest.ELLIPSIS)


def commands() -> dict[str, click.Command]:
    """Every verb of the command line, such as "plan show"."""
    from typer.main import get_command

    from securefl.cli.app import app

    found = {}
    for name, command in get_command(app).commands.items():
        found[name] = command
        found |= {f"{name} {sub}": verb for sub, verb in getattr(command, "commands", {}).items()}
    return found


def options_of_benchmark(name: str) -> set[str]:
    """The options that a script of that name under benchmarks/ adds; none for NAME, which stands for any."""
    scripts = {script.stem: script for script in (ROOT / "benchmarks").glob("*/*.py")}
    if name == "NAME":
        return set()
    assert name in scripts, f"there is no benchmark {name!r}"
    return set(re.findall(r'"(--[a-z-]+)"', scripts[name].read_text(encoding="utf-8")))


@pytest.mark.usefixtures("from_a_seed")
@pytest.mark.parametrize("path", RUNNING, ids=name_of)
def test_code_runs_and_prints_what_stands_there(path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    tried = 0
    for line, code, expected in examples(path):
        printed = io.StringIO()
        # Line numbers of the document in tracebacks.
        program = compile("\n" * (line - 1) + code, str(path), "exec")
        with contextlib.redirect_stdout(printed):
            exec(program, namespace)  # noqa: S102 - the project's own documents
        if expected is not None:
            got = printed.getvalue()
            assert same_output(expected, got), f"{name_of(path)}:{line} says\n{expected}\nand prints\n{got}"
        tried += 1
    assert tried
    for block in blocks(path, "sh"):
        if follows_the_code(path, block):
            check_commands(path, block, tmp_path)


def test_the_documents_with_code_are_these():
    """So that a block whose fence is misspelt does not pass untried."""
    names = (
        "what-can-the-server-see",
        "many-parties",
        "crashes",
        "which-protection",
        "sharp-edges-of-privacy",
        "torch",
        "threats-exponents",
        "flower",
        "from-flower-secagg-plus",
        "key-ceremony",
        "reinforcement",
        "adversarial-training",
        "model-check",
        "ownership",
    )
    pages = {f"docs/{name}.md" for name in names}
    assert {"README.md", *pages} <= {name_of(path) for path in RUNNING}
    languages = {block["language"] for path in DOCUMENTS for block in BLOCK.finditer(path.read_text(encoding="utf-8"))}
    assert languages <= {"python", "py", "text", "sh", "toml", "mermaid", "diff"}


def test_the_output_check_can_fail():
    assert same_output("a ... d\n", "a b c d\n")
    assert not same_output("a ... d\n", "a b c\n")


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path):
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file) if file else path
        assert linked.exists(), f"{name_of(path)} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{name_of(path)} links to {target}, there are {sorted(anchors)}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_files_and_folders_named_exist(path):
    """`tests/attacks/test_x.py`, `src/securefl/...`, `docs/...` in backquotes."""
    text = path.read_text(encoding="utf-8")
    for named in re.findall(r"`((?:tests|src|docs|notebooks|examples|benchmarks)/[\w./-]*)`", text):
        assert (ROOT / named).exists(), f"{name_of(path)} names {named}"


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        target
        for path in DOCUMENTS
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {"demo", "test"} <= named <= targets


def test_verbs_and_options_exist():
    known = commands()
    lines = [line for path in DOCUMENTS for line in VERB.findall(path.read_text(encoding="utf-8"))]
    lines += [line for path in DOCUMENTS for block in blocks(path, "sh") for line in commands_of(block)]
    tried = set()
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[:1] != ["securefl"] or words[1:2] == ["--help"]:
            continue
        verb = " ".join(words[1:3]) if " ".join(words[1:3]) in known else words[1]
        assert verb in known, f"{line!r}: the verbs are {sorted(known)}"
        options = {option for parameter in known[verb].params for option in parameter.opts} | {"--help"}
        if verb == "bench":  # what it does not know goes to the benchmark
            options |= options_of_benchmark(words[2])
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, line
        tried.add(verb)
    assert {
        "demo",
        "run",
        "init",
        "plan show",
        "policy check",
        "keygen",
        "roster verify",
        "secagg-params",
        "receipts verify",
        "ledger verify",
        "doctor",
    } <= tried


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if blocks(path, "sh")], ids=name_of)
def test_commands_run(path, tmp_path):
    (tmp_path / "password.txt").write_text("correct horse battery staple\n", encoding="utf-8")
    for file in FILE.finditer(path.read_text(encoding="utf-8")):
        (tmp_path / file["name"]).write_text(file["text"], encoding="utf-8")
    for block in blocks(path, "sh"):
        if not follows_the_code(path, block):
            check_commands(path, block, tmp_path)


def client_diagram() -> str:
    """The transition table of a party, for both server models, as a Mermaid diagram."""
    models: dict[tuple[ClientState, str, ClientState], list[str]] = {}
    for model in (ServerModel.SEMI_HONEST, ServerModel.ACTIVE):
        for (state, kind), following in CLIENT[model].items():
            act = "sends" if kind in FROM_PARTIES else "receives"
            models.setdefault((state, f"{act} {kind.name.lower()}", following), []).append(model.value)
    return _diagram(models, ClientState.START, ClientState.DONE)


def server_diagram() -> str:
    """What closing a phase leads to, for both server models, as a Mermaid diagram."""
    models: dict[tuple[ServerState, str, ServerState], list[str]] = {}
    for model in (ServerModel.SEMI_HONEST, ServerModel.ACTIVE):
        for state, following in SERVER[model].items():
            collected = SERVER_COLLECTS.get(state)
            act = f"has every {collected.name.lower()}, or closes the phase" if collected else "starts the round"
            models.setdefault((state, act, following), []).append(model.value)
    return _diagram(models, ServerState.START, ServerState.DONE)


def paillier_client_diagram() -> str:
    """The transition table of a party in an encrypted round."""
    models: dict[tuple[str, str, str], list[str]] = {}
    for (state, kind), following in paillier_states.CLIENT.items():
        act = "sends" if kind is Kind.ENCRYPTED_INPUT else "receives"
        models[state, f"{act} {kind.name.lower()}", following] = ["separate", "clients", "threshold"]
    return _diagram(models, paillier_states.ClientState.START, paillier_states.ClientState.ENCRYPTED)


def _diagram(arrows, start, end) -> str:
    lines = ["stateDiagram-v2", f"    [*] --> {start.value}"]
    for (state, label, following), models in arrows.items():
        only = f" ({models[0]} server)" if len(models) == 1 else ""
        lines.append(f"    {state.value} --> {following.value}: {label}{only}")
    return "\n".join([*lines, f"    {end.value} --> [*]"]) + "\n"


@pytest.mark.parametrize(
    ("who", "drawn"),
    [("client", client_diagram), ("server", server_diagram), ("paillier client", paillier_client_diagram)],
)
def test_state_diagrams_are_those_of_the_tables(who, drawn):
    text = (ROOT / "docs" / "states.md").read_text(encoding="utf-8")
    block = re.search(rf"<!-- states: {who} -->\n```mermaid\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    assert block[1] == drawn(), f"docs/states.md: the {who}'s diagram should be\n{drawn()}"


def table(text: str, heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, without its head."""
    part = text.split(f"\n## {heading}\n", 1)[1]
    found = re.search(r"^\|.*\n\|[-| ]+\n((?:\|.*\n)+)", part, re.MULTILINE)
    assert found is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()]


@pytest.mark.parametrize(
    ("column", "parties", "protocol"),
    [
        pytest.param(1, 10, sfl.SecAgg(server="semi-honest", max_colluders=2), id="semi-honest"),
        pytest.param(2, 10, sfl.SecAgg(server="active", max_colluders=2), id="active"),
        pytest.param(
            3,
            60,
            sfl.SecAgg(server="semi-honest", graph="k-regular", max_colluders=3, dropout=0.05),
            id="k-regular",
        ),
    ],
)
def test_security_page_tells_what_reports_tell(column, parties, protocol):
    """Each row of `disclosures` stands in SECURITY.md's table, under the same name and with the same answer per server model."""
    plan = sfl.Plan(
        template={"w": ((3,), "float32")},
        parties=parties,
        protocol=protocol,
        max_weight=100,
        metrics={"loss": (0.0, 1.0)},
    )
    chosen = plan.parameters
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    said = {row[0]: row[column] for row in table(text, "Who learns what")}
    names = {f"at most {chosen.max_colluders} parties": "at most c parties", "loss": "the plan's metrics"}
    names[f"at least {chosen.min_survivors} vectors"] = "at least `min_survivors` vectors"
    for row in disclosures(plan):
        what, who = row.what, row.who
        for ours, theirs in names.items():
            what, who = what.replace(ours, theirs), who.replace(ours, theirs)
        assert said.pop(what) == who
    # What is left holds under another server model or graph only.
    assert set(said.values()) <= {"-"}


@functools.cache
def key_of(holder: str):
    """A public key, or what was published of one that any four of six parties hold."""
    stored = json.loads((ROOT / "tests" / "conformance" / "keys.json").read_text())
    primes = stored["safe" if holder == KeyModel.THRESHOLD else "ordinary"]
    key = sfl.paillier.PrivateKey(*(int(prime, 16) for prime in primes))
    if holder != KeyModel.THRESHOLD:
        return key.public_key
    names = [f"party-{i}" for i in range(6)]
    return deal(key, names, threshold=4, dealer=sfl.SigningKey.generate()).keys


@pytest.mark.filterwarnings("ignore::securefl.paillier.SmallKeyWarning")
@pytest.mark.parametrize(
    ("column", "holder", "audited"),
    [(1, "separate", False), (2, "separate", True), (3, "clients", False), (4, "threshold", False)],
)
def test_security_page_tells_what_reports_tell_under_a_key(column, holder, audited):
    """Each row of `disclosures` of a Paillier plan stands in SECURITY.md's table, with the same answer per key model."""
    plan = sfl.Plan(
        template={"w": ((3,), "float32")},
        parties=6,
        protocol=sfl.Paillier(key_of(holder), holder, audited),
        max_weight=100,
        metrics={"loss": (0.0, 1.0)},
    )
    chosen = plan.parameters
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    said = {row[0]: row[column] for row in table(text, "Paillier encryption")}
    names = {
        f"at least {chosen.min_survivors} vectors": "at least `min_survivors` vectors",
        "loss": "the plan's metrics",
    }
    if holder != "clients":
        names[f"at most {chosen.max_colluders} parties"] = "at most c parties"
    if holder == "threshold":
        names |= {"any 4 parties": "any t parties", "4 parties that side": "t parties that side"}
    for row in disclosures(plan):
        what, who = row.what, row.who
        for ours, theirs in names.items():
            what, who = what.replace(ours, theirs), who.replace(ours, theirs)
        assert said.pop(what) == who
    assert set(said.values()) <= {"-"}
