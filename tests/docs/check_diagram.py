"""The state diagram in docs/closing.md is what the table of the closing handshake says.

usage: check_diagram.py CLOSE_DIAGRAM [--write]
"""
import pathlib
import re
import subprocess
import sys

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/closing.md"
BLOCK = re.compile(r"(<!-- from the table of close_handshake\.hpp -->\n).*?(<!-- end -->)", re.DOTALL)


def main():
    program, *options = sys.argv[1:]
    diagram = subprocess.run([program], capture_output=True, text=True, check=True, timeout=60).stdout
    page = PAGE.read_text(encoding="utf-8")
    fresh, places = BLOCK.subn(lambda m: m[1] + diagram + m[2], page)
    if places != 1:
        sys.exit("docs/closing.md has no place for the diagram")
    if options == ["--write"]:
        PAGE.write_text(fresh, encoding="utf-8")
    elif fresh != page:
        sys.exit("the diagram in docs/closing.md is stale: run this with --write\n" + diagram)


main()
