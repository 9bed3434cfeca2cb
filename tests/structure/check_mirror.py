"""Each header of wire/ and machine/ has its test file, whose first include is that header; and
sansocket.hpp reaches every public header of the core, sansocket_asio.hpp every one of the adapter.
"""
import re

from tree import INCLUDE, TESTS, Report, headers, name_of, read


def first_include(text):
    match = re.search(r'^#include [<"]([^>"]+)', text, re.MULTILINE)
    return match[1] if match else None


def check_test_file(report, header):
    name = name_of(header)
    test = TESTS / header.parent.name / f"{header.stem}.test.cpp"
    if not test.exists():
        report.found(name, "test", f"there is no tests/{test.relative_to(TESTS).as_posix()}")
    elif first_include(read(test)) != name:
        report.found(name, "include", f"its test file includes <{first_include(read(test))}> first")


def reached_from(name, seen=None):
    seen = set() if seen is None else seen
    if name not in seen and (INCLUDE / name).exists():
        seen.add(name)
        for target in re.findall(r"^#include <(sansocket[^>]+)>", read(INCLUDE / name), re.MULTILINE):
            reached_from(target, seen)
    return seen


def check_umbrella(report, root):
    umbrella = f"{root}/{root}.hpp"
    reached = reached_from(umbrella)
    for header in headers(INCLUDE / root):
        name = name_of(header)
        if "/detail/" not in name and name not in reached:
            report.found(name, "umbrella", f"<{umbrella}> does not include it")


def main():
    report = Report("mirror")
    mirrored = headers(INCLUDE / "sansocket/wire") + headers(INCLUDE / "sansocket/machine")
    for header in mirrored:
        check_test_file(report, header)
    for root in sorted(p.name for p in INCLUDE.iterdir()):
        check_umbrella(report, root)
    report.finish(f"{len(mirrored)} headers with a test file each")


if __name__ == "__main__":
    main()
