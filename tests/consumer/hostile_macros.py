"""The headers compile after every macro in names_of_others.py is defined, each as something that is no C++.

What they include themselves comes first: the standard library and Asio look after themselves. That the
macros bite is seen with a line that they have to break.

usage: hostile_macros.py COMPILER INCLUDE_DIR ROOT...       the roots: sansocket, sansocket_asio, ...
"""
import pathlib
import re
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "structure"))
from names_of_others import CALLED, NAMES  # noqa: E402

MACROS = [f"#define {name}(...) @" for name in CALLED] + [f"#undef {name}\n#define {name} @" for name in NAMES]
OWN = re.compile(r"sansocket(_\w+)?/")


def includes_of(header):
    """What a header includes, with the condition round it where there is one."""
    lines = header.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if re.match(r"\s*#\s*include <", line)]


def unit(include, roots):
    """A source file: what the headers need, the macros, and the headers."""
    headers = [h for root in roots for h in sorted((include / root).rglob("*.hpp"))]
    needed = {line for header in headers for line in includes_of(header)}
    outside = sorted(line for line in needed if not OWN.match(line.split("<")[1]))
    guarded = [f"#if __has_include({line.split('include ')[1]})\n{line}\n#endif" for line in outside]
    own = [f"#include <{header.relative_to(include).as_posix()}>" for header in headers]
    return guarded + MACROS + own


def compiles(compiler, include, lines):
    return subprocess.run([compiler, "-std=c++20", "-fsyntax-only", "-I", include, "-x", "c++", "-"],
                          input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=250)


def main():
    compiler, include, *roots = sys.argv[1:]
    done = compiles(compiler, include, unit(pathlib.Path(include), roots))
    if done.returncode:
        sys.exit(done.stderr[:4000])
    for line in ["int small();", "auto one = std::min(1, 2);", "auto one = std::numeric_limits<int>::max();"]:
        if not compiles(compiler, include, ["#include <algorithm>", "#include <limits>", *MACROS, line]).returncode:
            sys.exit(f"the macros do not bite: '{line}' compiles")
    one = "auto one = (std::min)(1, 2);"
    if compiles(compiler, include, ["#include <algorithm>", *MACROS, one]).returncode:
        sys.exit(f"'{one}' does not compile")


main()
