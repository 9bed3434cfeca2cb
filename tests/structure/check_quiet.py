"""No header writes to standard output, standard error or the system's log, but the one in allowed.txt:
what there is to say, handlers and observers are told.
"""
import re

from tree import INCLUDE, Report, headers, name_of, read, without_comments

WRITES = re.compile(
    r"\b(?:v?[fd]?w?printf|f?putw?[cs]|putw?char|fwrite|perror|psignal|v?syslog|OutputDebugString[AW]?|"
    r"std\s*::\s*(?:v?print\w*|w?c(?:out|err|log))|stdout|stderr|STD(?:OUT|ERR)_FILENO)\b|"
    r"<(?:cstdio|stdio\.h|iostream|ostream|print|syslog\.h)>")


def main():
    report = Report("quiet")
    for header in headers(INCLUDE):
        code = without_comments(read(header), strings="blank")
        for match in WRITES.finditer(code):
            line = code.count("\n", 0, match.start()) + 1
            report.found(name_of(header), "prints", f"line {line}: {match[0]}: a header prints nothing")
    report.finish(f"{len(headers())} headers")


if __name__ == "__main__":
    main()
