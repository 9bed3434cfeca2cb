"""The code in README.md, and the C++ on every page of docs/, is what the build compiles, or what a test runs.

A block follows a line `<!-- snippet: FILE name -->` and is the region between `// [name]` and
`// [/name]` of examples/snippets/FILE, without the indentation that its lines share. Where FILE has a
slash it is a path from the root, and without a name the whole file is meant. Each region, and each file
in a folder of examples/readme, is shown somewhere. C++ stands between fences, where it is
seen, and not in lines that are indented.

In README.md every block has such a line, or `<!-- run: what -->`: readme_ways.py runs those. README.md
leads only to what is there, and the guide's first page to all others of the guide.

usage: check_snippets.py [ROOT]
"""
import pathlib
import re
import sys
import textwrap

MARKER = re.compile(r"<!-- snippet: (\S+)(?: (\S+))? -->")
RUN = re.compile(r"<!-- run: \w+ -->")
FENCE = re.compile(r"```\s*(\w\S*)?")
CPP = {"cpp", "c++", "cc", "cxx", "C++"}
INDENTED_CPP = re.compile(r"( {4}|\t)\s*(#include\b.*|.*[;{}]\s*(//.*)?)")
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
    """(line number, line before it, language or None, text) of each fenced block in a page."""
    before, block = "", None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.fullmatch(line.strip())
        if block is not None and line.strip() == "```":
            yield block[0], block[1], block[2], textwrap.dedent("\n".join(block[3]))
            before, block = "", None
        elif block is not None:
            block[3].append(line)
        elif fence:
            block = (number, before, fence[1], [])
        elif line.strip():
            before = line.strip()


def check_block(where, block, sources, shown, report):
    _, before, _, text = block
    marker = MARKER.fullmatch(before)
    if not marker:
        report(f"{where}: no line <!-- snippet: FILE name --> before it")
        return
    file = marker[1] if "/" in marker[1] else f"examples/snippets/{marker[1]}"
    shown.add((file, marker[2]))
    if (file, marker[2]) not in sources:
        report(f"{where}: {file} has no region [{marker[2]}]" if marker[2] else f"{where}: there is no {file}")
    elif sources[file, marker[2]] != text.strip("\n"):
        report(f"{where}: is not what stands in {file}" + (f" as [{marker[2]}]" if marker[2] else ""))


def check_page(root, page, sources, shown, report):
    """In docs/ C++ has to be marked; in README.md everything."""
    front, name = page.parent == root, page.relative_to(root).as_posix()
    for block in blocks_of(page):
        number, before, language, _ = block
        if language in CPP or front and not RUN.fullmatch(before):
            check_block(f"{name}:{number}", block, sources, shown, report)
    for number, line in unfenced(page):
        if INDENTED_CPP.fullmatch(line):
            report(f"{name}:{number}: C++ that is indented: put it between fences, and compile it")


def unfenced(page):
    """(line number, line) of what is in no fenced block."""
    inside = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            inside = not inside
        elif not inside:
            yield number, line


def links_of(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return {link for link in LINK.findall(text) if "://" not in link}


def check_links(root, page, report):
    for link in sorted(links_of(page)):
        if not (page.parent / link).exists():
            report(f"{page.relative_to(root).as_posix()}: leads to {link}, which is not there")


def sources_under(root, report):
    """(path, region or None for the whole) -> text of all that can be shown."""
    sources = {}
    for file in sorted([*(root / "examples").rglob("*.*"), *(root / "tests/module").glob("*.cpp")]):
        path = file.relative_to(root).as_posix()
        if path.startswith(("examples/snippets/", "tests/module/")) and file.suffix == ".cpp":
            for name, text in regions_of(file, report).items():
                sources[path, name] = text
        elif path.startswith("examples/readme/") and file.is_file() and not file.name.startswith("."):
            sources[path, None] = file.read_text(encoding="utf-8").strip("\n")
    sources.pop(("examples/readme/CMakeLists.txt", None), None)  # this build's
    return sources


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    guide = sorted((root / "docs/guide").glob("*.md"))
    problems, shown = [], set()
    sources = sources_under(root, problems.append)
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    for page in pages:
        check_page(root, page, sources, shown, problems.append)
    for file, name in sorted(set(sources) - shown, key=str):
        problems.append(f"{file}: no page shows " + (f"[{name}]" if name else "it"))
    check_links(root, root / "README.md", problems.append)
    check_links(root, root / "docs/guide/README.md", problems.append)
    index = links_of(root / "docs/guide/README.md")
    problems += [f"docs/guide/README.md: does not lead to {page.name}" for page in guide
                 if page.name != "README.md" and page.name not in index]
    for problem in problems:
        print(problem)
    print(f"snippets: {len(pages)} pages, {len(sources)} regions and files, {len(problems)} problems")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
