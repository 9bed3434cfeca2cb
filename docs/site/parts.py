"""Draws docs/diagrams/parts.svg: the folders of include/, and which includes what of which.

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
    """(part, part that it includes) -> how many of its headers do."""
    found = {}
    for header in headers():
        part = part_of(name_of(header))
        targets = {part_of(target) for _, target in includes_of(without_comments(read(header))) if target.startswith("sansocket")}
        for target in targets - {part}:
            found[part, target] = found.get((part, target), 0) + 1
    return found


def words(found):
    return "\n".join(f"{part} includes {target} in {count} headers" for (part, target), count in sorted(found.items()))


def main():
    found = edges()
    if sys.argv[1:] == ["--check"]:
        if not FILE.exists() or svg.description(FILE.read_text(encoding="utf-8")) != words(found):
            sys.exit("docs/diagrams/parts.svg is stale: run docs/site/parts.py, which needs graphviz")
        return
    dot = svg.GRAPH
    # Two parts that include each other are one, drawn as two: `sansocket_asio` and its server.
    for (part, target), count in sorted(found.items()):
        back = ", constraint=false" if (target, part) in found and part < target else ""
        dot += f'    "{part}" -> "{target}" [label=" {count} "{back}];\n'
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(svg.drawn(dot + "}\n", "The parts of include/, and which includes which", words(found)), encoding="utf-8")


if __name__ == "__main__":
    main()
