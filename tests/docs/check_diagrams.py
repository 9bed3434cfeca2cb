"""The state diagrams in docs/ are what the tables of the machines say.

A diagram stands between `<!-- from the table of HEADER -->` and `<!-- end -->`. Each that the program
prints is shown somewhere.

usage: check_diagrams.py STATE_DIAGRAMS [--write]
"""
import pathlib
import re
import subprocess
import sys

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"(<!-- from the table of (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main():
    program, *options = sys.argv[1:]
    printed = subprocess.run([program], capture_output=True, text=True, check=True, timeout=60).stdout
    diagrams = dict(re.findall(r"^## (\S+)\n(.*?^```\n)(?=## |\Z)", printed, re.MULTILINE | re.DOTALL))
    shown, stale = set(), []
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            shown.add(match[2])
            if match[2] not in diagrams:
                sys.exit(f"{page.name}: there is no table of {match[2]}")
        fresh = BLOCK.sub(lambda m: m[1] + diagrams[m[2]] + m[3], text)
        if fresh != text and options == ["--write"]:
            page.write_text(fresh, encoding="utf-8")
        elif fresh != text:
            stale.append(page.name)
    if missing := sorted(set(diagrams) - shown):
        sys.exit(f"no page shows the diagrams of {missing}")
    if stale:
        sys.exit(f"diagrams are stale in {stale}: run this with --write\n{printed}")


main()
