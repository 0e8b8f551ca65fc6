"""Write the vectors beside this file, with the reference alone: `python tests/vectors/generate.py`. Nothing comes from the library."""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [] if str(HERE.parent) in sys.path else [str(HERE.parent)]

from vectors import noisy_spoiled  # noqa: E402
from vectors.agreements import encodings, plan_files, sessions  # noqa: E402
from vectors.derivations import contexts, dealing, derived_keys, digests, masks, packed, sharing, signatures  # noqa: E402
from vectors.graphs import graphs, merkle_trees  # noqa: E402
from vectors.noisy import SHAPES as NOISY_SHAPES  # noqa: E402
from vectors.noisy import NoisyCase, plan_rows, sizes  # noqa: E402
from vectors.rounds import SHAPES, Case, bodies  # noqa: E402
from vectors.spoiled import late, negative, prefetched  # noqa: E402

PROVENANCE = {
    "generator": "tests/vectors/generate.py",
    "source": "tests/reference: an independent implementation that imports nothing from securefl",
    "specification": "docs/wire-format.md",
    "format_version": 1,
    "plan_version": 1,
    "randomness": "SHA-256(label || counter as u32), see tests/vectors/streams.py",
    "encoding": "bytes are hex, words and coordinates are integers, errors are named by their class in securefl.errors",
}


def hexed(value):
    """The same value with bytes as hex, for JSON."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): hexed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [hexed(item) for item in value]
    return value


def build():
    """Every file by name."""
    cases = {name: Case(name) for name in SHAPES}
    files = {
        "digests": digests(),
        "contexts": contexts(),
        "keys": derived_keys(),
        "masks": masks(),
        "shamir": sharing(),
        "dealing": dealing(),
        "signatures": signatures(),
        "words": packed(),
        "merkle": merkle_trees(),
        "graphs": graphs(),
        "plans": plan_files(),
        "sessions": sessions(),
        "encoding": encodings(),
        "messages": bodies(cases),
        "rounds": {"positive": [case.described() for case in cases.values()]},
        "negative": {"negative": negative(cases), "late": late(cases), "prefetched": prefetched(cases)},
        "xnoise": xnoise(),
    }
    return {f"{name}.json": {"provenance": PROVENANCE, **hexed(content)} for name, content in files.items()}


def xnoise():
    """Rounds in which seeds of noise are dealt."""
    cases = {name: NoisyCase(name) for name in NOISY_SHAPES}
    plans, plans_negative = plan_rows()
    return {
        "positive": [case.described() for case in cases.values()],
        "negative": noisy_spoiled.negative(cases),
        "late": noisy_spoiled.late(cases),
        "sizes": sizes(),
        "plans": plans,
        "plans_negative": plans_negative,
    }


def text(content):
    """One vector a line, so that a difference shows which."""
    parts = []
    for section, rows in content.items():
        if isinstance(rows, list):
            lines = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows)
            parts.append(f' "{section}": [\n{lines}\n ]')
        else:
            parts.append(f' "{section}": {json.dumps(rows)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    for name, content in build().items():
        (HERE / name).write_text(text(content), encoding="utf-8")
        print(name)
