"""Draws docs/diagrams/parts.svg: the folders of include/, and which includes which.

usage: parts.py [--check]     --check fails where the drawing is not what the include directives say
"""
import pathlib
import sys

import svg

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/structure"))
from check_layers import includes_of  # noqa: E402
from tree import headers, name_of, read, without_comments  # noqa: E402

FILE = ROOT / "docs/diagrams/parts.svg"


def part_of(name):
    """The folder; of an adapter's `detail` the adapter, for nobody else sees it."""
    folder = name.rpartition("/")[0]
    return folder.removesuffix("/detail") if folder != "sansocket/detail" else folder


def edges():
    """Pairs: a part, and a part that it includes."""
    found = set()
    for header in headers():
        part = part_of(name_of(header))
        found |= {
            (part, part_of(target))
            for _, target in includes_of(without_comments(read(header)))
            if target.startswith("sansocket") and part_of(target) != part
        }
    return sorted(found)


def words(found):
    return "\n".join(f"{part} includes {target}" for part, target in found)


def main():
    found = edges()
    if sys.argv[1:] == ["--check"]:
        if not FILE.exists() or svg.description(FILE.read_text(encoding="utf-8")) != words(found):
            sys.exit("docs/diagrams/parts.svg is stale: run docs/site/parts.py, which needs graphviz")
        return
    dot = svg.GRAPH
    for part, target in found:
        # Two parts that include each other are one, drawn as two: `sansocket_asio` and its server.
        back = " [constraint=false]" if (target, part) in found and part < target else ""
        dot += f'    "{part}" -> "{target}"{back};\n'
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(
        svg.drawn(dot + "}\n", "The parts of include/, and which includes which", words(found)),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
