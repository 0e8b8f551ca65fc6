"""Merkle trees, rings, degrees and thresholds, from the reference."""

from reference import k_regular, merkle
from reference.digest import u32
from reference.errors import Refused
from vectors.streams import below

PLACES = {34: (0, 1, 15, 16, 31, 32, 33), 1000: (0, 1, 511, 512, 767, 768, 959, 960, 991, 992, 998, 999)}


def merkle_trees():
    """Leaf i of each tree is u32(i)."""
    roots, paths, bad = [], [], []
    for size in (*range(10), 34, 1000):
        leaves = [u32(i) for i in range(size)]
        root = merkle.root(leaves)
        roots.append({"size": size, "root": root})
        for place in PLACES.get(size, range(size)):
            path = merkle.path(leaves, place)
            paths.append({"size": size, "place": place, "leaf": leaves[place], "path": path, "root": root})
            if size < 10 or place in {1, size // 2, size - 1}:
                bad += spoiled(size, place, leaves[place], path, root)
    return {"roots": roots, "paths": paths, "negative": bad}


def spoiled(size, place, leaf, path, root):
    other = bytes([leaf[0], leaf[1], leaf[2], leaf[3] ^ 1])
    tries = [
        ("the next place", size, place + 1, leaf, path),
        ("the last place", size, size - 1, leaf, path),
        ("the place of its sibling", size, place ^ 1, leaf, path),
        ("a size less", size - 1, place, leaf, path),
        ("a size more", size + 1, place, leaf, path),
        ("twice the size", 2 * size, place, leaf, path),
        ("a node short, at the leaf", size, place, leaf, path[32:]),
        ("a node short, at the root", size, place, leaf, path[:-32]),
        ("a node long", size, place, leaf, path + bytes(32)),
        ("a byte short", size, place, leaf, path[:-1]),
        ("a byte long", size, place, leaf, path + b"\x00"),
        ("a flipped bit", size, place, leaf, bytes([path[0] ^ 1]) + path[1:] if path else b""),
        ("the nodes reversed", size, place, leaf, b"".join(path[i : i + 32] for i in range(len(path) - 32, -1, -32))),
        ("another leaf", size, place, other, path),
    ]
    rows = []
    for what, *tried in tries:
        try:
            # Some claims are as good as the truth: a path says where a leaf stands among those to its left, and of the size only what
            # its own length shows.
            refused = "by its root" if merkle.root_from_path(tried[2], tried[1], tried[0], tried[3]) != root else ""
        except Refused:
            refused = "by its shape"
        if refused:
            names = ("size", "place", "leaf", "path")
            rows.append({"what": what, **dict(zip(names, tried, strict=True)), "root": root, "refused": refused})
    return rows


def graphs():
    rings = []
    for n, absent, k in (
        (5, (), 2),
        (8, (), 4),
        (8, (0, 5), 4),
        (9, (3,), 6),
        (9, (3, 4), 6),
        (4, (), 6),
        (34, (7,), 10),
    ):
        parties = [party for party in range(n) if party not in absent]
        degree = min(k, len(parties) - 1)
        drawn = degree < len(parties) - 1
        name = f"ring {n} {k} {len(parties)}"
        draws = [below(f"{name} {last}", last + 1) for last in range(len(parties) - 1, 0, -1)] if drawn else []
        around = k_regular.neighbourhoods(parties, degree, draws)
        rings.append(
            {
                "parties": parties,
                "neighbours": k,
                "draws": draws,
                "order": k_regular.shuffled(parties, draws) if drawn else None,
                "graph": {party: sorted(others) for party, others in around.items()},
            }
        )
    degrees, refits = [], []
    for n in (100, 200, 500, 1000, 10_000, 65_536, 100_000):
        for gamma, delta in ((20, 20), (10, 10), (5, 10)):
            degrees.append(degree_row(n, n // gamma, n // delta))
    degrees += [
        degree_row(n, c, d) for n, c, d in ((7, 1, 1), (8, 1, 2), (9, 1, 2), (12, 0, 0), (30, 3, 3), (60, 3, 3))
    ]
    for row in degrees:
        n, c, d = row["parties"], row["colluders"], row["dropped"]
        if n > 10_000:
            continue
        for lost in sorted({0, 1, d // 4, d // 2, d}):
            k = min(row["neighbours"], n - lost - 1)
            refits.append(refit_row(n - lost, c, d - lost, k, row["threshold"]))
    refused = [
        {"parties": n, "colluders": c, "dropped": d, "neighbours": k, "threshold": t, "error": "UnsafePlanError"}
        for n, c, d, k, t in (
            (10, 4, 4, None, None),
            (12, 6, 4, None, None),
            (100, 5, 5, 10, None),
            (100, 5, 5, 12, 5),
            (100, 5, 5, 12, 9),
            (100, 5, 5, 11, None),
            (100, 5, 5, 100, None),
            (1000, 100, 100, 50, None),
            (1000, 100, 100, 52, 27),
            (8, 1, 2, 4, 3),
            (8, 1, 2, 2, 2),
            (8, 1, 2, 4, 1),
        )
    ]
    unfit = [
        {"attending": n, "colluders": c, "dropped": d, "neighbours": k, "threshold": t, "error": "UnsafePlanError"}
        for n, c, d, k, t in ((60, 30, 20, 4, 2), (9, 4, 2, 4, 3), (6, 5, 0, 4, 2))
    ]
    for row in refused:
        assert_refused(check, row)
    for row in unfit:
        assert_refused(k_regular.refit, row)
    return {"rings": rings, "degrees": degrees, "refits": refits, "negative": refused, "refits_negative": unfit}


def degree_row(n, colluders, dropped):
    k, t = k_regular.choose(n, colluders, dropped)
    least, most = k_regular.t1(n, colluders, k), k_regular.t2(n, n - dropped, k)
    row = {"parties": n, "colluders": colluders, "dropped": dropped, "neighbours": k, "t1": least, "t2": most}
    return {**row, "threshold": t}


def refit_row(attending, colluders, dropped, k, t):
    row = {"attending": attending, "colluders": colluders, "dropped": dropped, "neighbours": k, "threshold": t}
    return {**row, "refitted": k_regular.refit(attending, colluders, dropped, k, t)}


def check(n, colluders, dropped, k, t):
    if k is None:
        return k_regular.choose(n, colluders, dropped)
    return k_regular.check(n, colluders, dropped, k, t or max(k_regular.t1(n, colluders, k) + 1, 2))


def assert_refused(function, row):
    try:
        function(*list(row.values())[:5])
    except Refused:
        return
    raise AssertionError(row)
