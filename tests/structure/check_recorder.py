"""Whatever a connection can be told or asked, a recorder of it can, too.

Each function of the public part of sansocket/connection.hpp has one of the same name in
sansocket_trace/recorder.hpp; one that is called and missing there could be neither recorded nor replayed.
"""
import re

from tree import INCLUDE, Report, read, without_comments

WORDS = {"if", "for", "while", "switch", "return", "sizeof", "noexcept", "requires", "static_assert", "explicit"}


def public_functions(header, name):
    """The names of the functions that class `name` shows, constructors and operators left out."""
    text = without_comments(read(INCLUDE / header), strings="blank")
    text = text[re.search(rf"\bclass {name} \{{", text).end():]
    shown, functions, depth = False, set(), 0
    statement = ""
    text = re.sub(r"\b(public|private|protected):", r";@\1;", text)
    for part in re.findall(r"[{};]|[^{};]+", text):
        if part == "{":
            if depth == 0 and shown:
                functions |= declared(statement)
            depth += 1
            statement = ""
        elif part == "}":
            if depth == 0:
                break
            depth -= 1
            statement = ""
        elif depth == 0 and part.startswith("@"):
            shown, statement = part == "@public", ""
        elif depth == 0 and part == ";":
            if shown:
                functions |= declared(statement)
            statement = ""
        elif depth == 0:
            statement += part
    return functions - {name}


def declared(statement):
    """The function that a declaration declares."""
    statement = re.sub(r"\btemplate\s*<[^>]*>|\[\[.*?\]\]", " ", statement)
    if re.match(r"\s*(using|class|struct|enum|friend)\b", statement) or "operator" in statement:
        return set()
    match = re.search(r"(?<![~\w:])(\w+)\s*\(", statement)
    return {match[1]} - WORDS if match else set()


def main():
    report = Report("recorder")
    told = public_functions("sansocket/connection.hpp", "connection")
    written = public_functions("sansocket_trace/recorder.hpp", "recorder")
    for name in sorted(told - written):
        report.found("sansocket_trace/recorder.hpp", name, f"a connection has {name}, a recorder has not")
    report.finish(f"{len(told)} functions of a connection")


if __name__ == "__main__":
    main()
