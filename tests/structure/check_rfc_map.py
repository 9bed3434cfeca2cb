"""docs/rfc6455.md and docs/rfc7692.md name only headers and tests that exist, and together each header
of wire/ and machine/.

A row: | section | requirement | `wire/frame_header.hpp` | `name of a test case` | status |
status: done | departs: why | not applicable: why. The last needs neither header nor test. A header
is a path under include/sansocket or include; a test is the whole name of a test case, or the path
of a file under tests/. Cells may name several, each in backticks.
"""
import re

from tree import INCLUDE, ROOT, Report, headers, read, test_names

MAPS = [ROOT / "docs/rfc6455.md", ROOT / "docs/rfc7692.md"]


def rows(text):
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|"):
            continue
        cells = [c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and not re.fullmatch(r"[-: ]+", cells[0]) and cells[0].lower() != "section":
            yield number, cells


def in_backticks(cell):
    return re.findall(r"`([^`]+)`", cell)


def check_row(report, where, cells, tests, named):
    if len(cells) != 5:
        report.found(where, "cells", f"{len(cells)} cells instead of 5")
        return
    status = cells[4]
    if not re.fullmatch(r"done|(departs|not applicable): .+", status):
        report.found(where, "status", f"status '{status}' is none of done, departs: why, not applicable: why")
    paths, cases = in_backticks(cells[2]), in_backticks(cells[3])
    for path in paths:
        if not (INCLUDE / "sansocket" / path).exists() and not (INCLUDE / path).exists():
            report.found(where, path, f"there is no header {path}")
        named.add(path.removeprefix("sansocket/"))
    for case in cases:
        if case not in tests and not (case.startswith("tests/") and (ROOT / case).is_file()):
            report.found(where, "test", f"there is no test case '{case}'")
    if not status.startswith("not applicable") and not (paths and cases):
        report.found(where, "empty", "names no header or no test")


def main():
    report = Report("rfc_map")
    tests, named, count = test_names(), set(), 0
    for map_ in MAPS:
        before = count
        name = map_.relative_to(ROOT).as_posix()
        for number, cells in rows(read(map_) if map_.exists() else ""):
            check_row(report, f"{name}:{number}", cells, tests, named)
            count += 1
        if count == before:
            report.found(name, "rows", "has no rows")
    for header in headers(INCLUDE / "sansocket/wire") + headers(INCLUDE / "sansocket/machine"):
        path = header.relative_to(INCLUDE / "sansocket").as_posix()
        if path not in named:
            report.found(path, "row", "no row of the maps names it")
    report.finish(f"{count} rows, {len(tests)} test cases")


if __name__ == "__main__":
    main()
