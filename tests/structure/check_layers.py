"""Includes point down only: detail <- wire <- machine <- sansocket/*.hpp <- adapters.

A machine includes no other machine. Nothing includes in a circle. The core knows no Asio, clock,
thread, stream or random source, and the adapters know no opcode or close code.
"""
import re

from tree import INCLUDE, Report, headers, name_of, read, without_comments

MAY_INCLUDE = {
    "detail": {"detail"},
    "wire": {"detail", "wire"},
    "machine": {"detail", "wire"},
    "core": {"detail", "wire", "machine", "core"},
    "kit": {"wire", "core"},  # and their own files, both of these
    "adapter": {"wire", "core"},
}
# An adapter that is built on another one, and may include its public headers.
BUILT_ON = {"sansocket_openssl": "sansocket_asio"}
TLS_HEADERS = re.compile(r"openssl/.*|asio/ssl.*")
FORBIDDEN_HEADERS = re.compile(
    r"(asio|boost|sys|netinet|arpa)/.*|asio\.hpp|(unistd|poll|time|errno|signal|pthread)\.h|"
    r"random|thread|mutex|shared_mutex|condition_variable|future|stop_token|semaphore|latch|barrier|"
    r"iostream|istream|ostream|fstream|sstream|iomanip|cstdio|print|filesystem|ctime|csignal|cstdlib")
FORBIDDEN_CODE = {
    "::now(": r"::now\s*\(",
    "random_device": r"\brandom_device\b",
    "assert": r"\bassert\s*\(",
    "throw": r"\bthrow\b",
    "typeid": r"\b(typeid|dynamic_cast)\b",
}
# An opcode, or a close code of RFC 6455 7.4.
PROTOCOL_NUMBER = re.compile(r"\b(0x0?[0-9A-Fa-f]|10(0\d|1[0-5])|3000|4000|4999)[uUlL]*\b")


def layer_of(name):
    root, *folders = name.split("/")[:-1]
    if root in ("sansocket_trace", "sansocket_simulation"):
        return "kit"  # what works on a connection without I/O, as the core does
    if root != "sansocket":
        return "adapter"
    return folders[0] if folders else "core"


def includes_of(text):
    return re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', text, re.MULTILINE)


def check_include(report, name, quote, target):
    layer = layer_of(name)
    if quote == '"':
        report.found(name, target, f'"{target}" is included in quotes; write <root/path>')
        return
    if not target.startswith("sansocket"):
        if layer != "adapter" and FORBIDDEN_HEADERS.fullmatch(target):
            report.found(name, target, f"the core may not include <{target}>")
        if TLS_HEADERS.fullmatch(target) and name.split("/")[0] not in BUILT_ON:
            report.found(name, target, f"<{target}> makes everybody need OpenSSL")
        return
    if not (INCLUDE / target).exists():
        report.found(name, target, f"<{target}> does not exist")
    elif layer in ("adapter", "kit") and target.split("/")[0] == name.split("/")[0]:
        return
    elif BUILT_ON.get(name.split("/")[0]) == target.split("/")[0] and "/detail/" not in target:
        return
    elif layer_of(target) not in MAY_INCLUDE.get(layer, set()):
        report.found(name, target, f"{layer} may not include <{target}>")


def check_code(report, name, code):
    if layer_of(name) == "adapter":
        for match in PROTOCOL_NUMBER.finditer(code):
            report.found(name, match[0], f"an adapter holds the protocol's number {match[0]}")
        if re.search(r"\bopcode\b", code):
            report.found(name, "opcode", "an adapter names opcodes")
        return
    for item, pattern in FORBIDDEN_CODE.items():
        if re.search(pattern, code):
            report.found(name, item, f"the core may not use {item}")


def check_circles(report, graph):
    done, path = set(), []

    def visit(name):
        if name in path:
            report.found(name, "circle", "includes itself: " + " -> ".join(path[path.index(name):] + [name]))
        elif name not in done:
            path.append(name)
            for target in graph.get(name, []):
                visit(target)
            done.add(path.pop())

    for name in graph:
        visit(name)


def main():
    report = Report("layers")
    graph = {}
    for header in headers():
        name, text = name_of(header), read(header)
        code = without_comments(text)
        includes = includes_of(code)
        graph[name] = [target for _, target in includes if target.startswith("sansocket")]
        for quote, target in includes:
            check_include(report, name, quote, target)
        check_code(report, name, without_comments(text, strings="blank"))
        if "#pragma once" not in code:
            report.found(name, "pragma", "no #pragma once")
    check_circles(report, graph)
    report.finish(f"{len(graph)} headers")


if __name__ == "__main__":
    main()
