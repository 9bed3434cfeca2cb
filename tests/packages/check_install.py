"""The blocks of docs/install.md that name a file are that file, and those of the ways are all there.

A block that follows a line `<!-- file: PATH -->` is the file at PATH.

usage: check_install.py [--fix] [ROOT]

--fix: writes the files into the blocks.
"""
import pathlib
import re
import sys

BLOCK = re.compile(r"(<!-- file: (\S+) -->\n```\w+\n)(.*?)(^```$)", re.MULTILINE | re.DOTALL)
SHOWN = ["tests/consumer/ways/*/*", "tests/packages/*/project/*", "tests/packages/*/project/subprojects/*",
         "tests/packages/*/registry/*"]


def main(arguments):
    fix = arguments[:1] == ["--fix"]
    root = pathlib.Path(arguments[fix] if len(arguments) > fix else pathlib.Path(__file__).resolve().parents[2])
    page = root / "docs/install.md"
    text = page.read_text(encoding="utf-8")
    if fix:
        text = BLOCK.sub(lambda m: m[1] + (root / m[2]).read_text(encoding="utf-8") + m[4], text)
        page.write_text(text, encoding="utf-8")
    problems, shown = [], set()
    for block in BLOCK.finditer(text):
        shown.add(block[2])
        if not (root / block[2]).is_file():
            problems.append(f"there is no {block[2]}")
        elif (root / block[2]).read_text(encoding="utf-8") != block[3]:
            problems.append(f"the block is not {block[2]}")
    if text.count("<!-- file:") != len(BLOCK.findall(text)):
        problems.append("a line names a file, and no block follows")
    for pattern in SHOWN:
        for file in root.glob(pattern):
            if file.is_file() and file.suffix != ".pyc" and file.relative_to(root).as_posix() not in shown:
                problems.append(f"{file.relative_to(root)} is not shown")
    for link in re.findall(r"\]\(([^)\s#:]+)\)", text):
        if not (page.parent / link).exists():
            problems.append(f"leads to {link}, which is not there")
    print("\n".join([*problems, f"install.md: {len(shown)} files, {len(problems)} problems"]))
    sys.exit(1 if problems or not shown else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
