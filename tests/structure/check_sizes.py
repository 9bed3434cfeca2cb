"""Nothing in include/ is over the size at which to stop: a header 500 lines (connection.hpp 400), a
function 60 lines, a folder 12 entries.
"""
import re

from tree import INCLUDE, Report, headers, name_of, read, without_comments

HEADER_LINES = {"sansocket/connection.hpp": 400}
FUNCTION_LINES = 60
ENTRIES = 12

NOT_A_FUNCTION = re.compile(r"\b(namespace|class|struct|union|enum|concept|requires|if|for|while|switch|do|else|try)\b")


def functions(code):
    """(name, first line, number of lines) of each function body in `code`, which has no comments."""
    stack, head_start, i = [], 0, 0
    while i < len(code):
        c = code[i]
        if c == "{":
            stack.append((function_name(code[head_start:i]), head_start))
            head_start = i + 1
        elif c == "}":
            name, start = stack.pop() if stack else (None, 0)
            if name:
                start += len(code[start:]) - len(code[start:].lstrip())
                yield name, code.count("\n", 0, start) + 1, code.count("\n", start, i) + 1
            head_start = i + 1
        elif c == ";":
            head_start = i + 1
        elif c == "#" and code[:i].rpartition("\n")[2].strip() == "":
            i = end_of_directive(code, i)
            head_start = i
        i += 1


def end_of_directive(code, i):
    """The end of the last line of the preprocessor directive at `i`."""
    return re.compile(r"(?<!\\)$", re.MULTILINE).search(code, i).start()


def function_name(head):
    """The name of the function whose body follows `head`, or None where it is no function."""
    head = re.sub(r"\[\[.*?\]\]", "", head)
    head = re.sub(r"^\s*template\s*<.*?>\s*(?=[\w\[])", "", head, flags=re.DOTALL)
    head = re.sub(r"\brequires\s*(\((?:[^()]|\([^()]*\))*\)|[\w:]+<.*?>)\s*(?=[\w\[])", "", head, flags=re.DOTALL)
    match = re.match(r"[^()=]*?([\w~]+|operator\s*\S+?)\s*\(", head)
    if not match or NOT_A_FUNCTION.search(head[:match.end()]) or re.search(r"[^=!<>]=[^=]", head[:match.end()]):
        return None
    return match[1]


def check_header(report, header):
    name, text = name_of(header), read(header)
    lines, stop = len(text.splitlines()), HEADER_LINES.get(name, 500)
    if lines > stop:
        report.found(name, "lines", f"{lines} lines, over {stop}")
    for function, start, size in functions(without_comments(text, strings="blank")):
        if size > FUNCTION_LINES:
            report.found(name, function, f"{function} at line {start} is {size} lines, over {FUNCTION_LINES}")


def main():
    report = Report("sizes")
    for header in headers():
        check_header(report, header)
    for folder in [INCLUDE, *sorted(p for p in INCLUDE.rglob("*") if p.is_dir())]:
        entries = len(list(folder.iterdir()))
        if entries > ENTRIES:
            report.found(folder.relative_to(INCLUDE).as_posix(), "entries", f"{entries} entries, over {ENTRIES}")
    report.finish(f"{len(headers())} headers")


if __name__ == "__main__":
    main()
