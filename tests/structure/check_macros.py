"""No header is at the mercy of macros that others define: windows.h without NOMINMAX, X11, Qt.

min and max, of std and of numeric_limits, stand in parentheses, and the names in names_of_others.py are
not used. tests/consumer/hostile_macros.py compiles the headers with all of them defined.
"""
import re

from names_of_others import CALLED, NAMES
from tree import INCLUDE, Report, headers, name_of, read, without_comments

USES = re.compile(r"\b(?:(?P<called>" + "|".join(CALLED) + r")\s*\(|(?P<name>" + "|".join(NAMES) + r")\b)")


def check_header(report, header):
    code = without_comments(read(header), strings="blank")
    for match in USES.finditer(code):
        name = match["called"] or match["name"]
        line = code.count("\n", 0, match.start()) + 1
        advice = f"write ({name})(...)" if match["called"] else "another name"
        report.found(name_of(header), name, f"line {line}: {name} is a macro where others are included first: {advice}")


def main():
    report = Report("macros")
    for header in headers(INCLUDE):
        check_header(report, header)
    report.finish(f"{len(headers())} headers, {len(CALLED) + len(NAMES)} names")


if __name__ == "__main__":
    main()
