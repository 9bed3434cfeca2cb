"""The C++ in docs/guide/ is what the build compiles, and the guide's first page leads to all others.

A block of C++ follows a line `<!-- snippet: FILE name -->` and is the region between `// [name]` and
`// [/name]` of examples/snippets/FILE, without the indentation that its lines share. Each region is
shown somewhere.

usage: check_snippets.py [ROOT]
"""
import pathlib
import re
import sys
import textwrap

MARKER = re.compile(r"<!-- snippet: (\S+) (\S+) -->")
FENCE = re.compile(r"```\s*(\w\S*)?")
CPP = {"cpp", "c++", "cc", "cxx", "C++"}
REGION = re.compile(r"\s*// \[(/?)([\w-]+)\]")
LINK = re.compile(r"\]\(([^)\s#]+)[^)]*\)")


def regions_of(source, report):
    """name -> text of each region of a file. Regions may overlap; their marks are in none."""
    done, open_ = {}, {}
    for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
        mark = REGION.fullmatch(line)
        if not mark:
            for lines in open_.values():
                lines.append(line)
        elif mark[1] and mark[2] in open_:
            done[mark[2]] = textwrap.dedent("\n".join(open_.pop(mark[2]))).strip("\n")
        elif mark[1]:
            report(f"{source.name}:{number}: [/{mark[2]}] ends nothing")
        elif mark[2] in open_ or mark[2] in done:
            report(f"{source.name}:{number}: a second [{mark[2]}]")
        else:
            open_[mark[2]] = []
    for name in open_:
        report(f"{source.name}: [{name}] has no end")
    return done


def blocks_of(page):
    """(line number, marker before it or None, text) of each block of C++ in a page."""
    before, block = "", None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.fullmatch(line.strip())
        if block is not None and line.strip() == "```":
            if block[2] in CPP:
                yield block[0], MARKER.fullmatch(block[1]), textwrap.dedent("\n".join(block[3]))
            before, block = "", None
        elif block is not None:
            block[3].append(line)
        elif fence:
            block = (number, before, fence[1], [])
        elif line.strip():
            before = line.strip()


def check_blocks(page, regions, shown, report):
    for number, marker, text in blocks_of(page):
        where = f"{page.name}:{number}"
        if not marker:
            report(f"{where}: no line <!-- snippet: FILE name --> before a block of C++")
            continue
        key = marker[1], marker[2]
        shown.add(key)
        if key not in regions:
            report(f"{where}: examples/snippets/{key[0]} has no region [{key[1]}]")
        elif regions[key] != text.strip("\n"):
            report(f"{where}: is not what stands in examples/snippets/{key[0]} as [{key[1]}]")


def check_index(guide, pages, report):
    links = set(LINK.findall((guide / "README.md").read_text(encoding="utf-8")))
    for page in pages:
        if page.name != "README.md" and page.name not in links:
            report(f"README.md: does not lead to {page.name}")
    for link in sorted(links):
        if "://" not in link and not (guide / link).exists():
            report(f"README.md: leads to {link}, which is not there")


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    guide = root / "docs/guide"
    pages = sorted(guide.glob("*.md"))
    sources = sorted((root / "examples/snippets").glob("*.cpp"))
    problems, shown = [], set()
    regions = {(s.name, name): text for s in sources
               for name, text in regions_of(s, problems.append).items()}
    for page in pages:
        check_blocks(page, regions, shown, problems.append)
    for file, name in sorted(set(regions) - shown):
        problems.append(f"{file}: no page shows [{name}]")
    check_index(guide, pages, problems.append)
    for problem in problems:
        print(problem)
    print(f"snippets: {len(pages)} pages, {len(regions)} regions, {len(problems)} problems")
    sys.exit(1 if problems else 0)


main()
