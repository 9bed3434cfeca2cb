"""Compiles one file as it is, which must work, and once for each of its lines "// expect: REGEX" with
SANSOCKET_REJECT defined, or for each line "// expect -DMACRO=VALUE: REGEX" with that macro, which
must fail with a message that matches.

usage: check.py COMPILER FILE INCLUDE_DIR...
"""
import pathlib
import re
import subprocess
import sys
import tempfile


def call(compiler, includes, *arguments):
    tests = pathlib.Path(__file__).resolve().parents[1]
    folders = [f"-I{folder}" for folder in (*includes, tests)]
    command = [compiler, "-std=c++20", "-Wall", "-Wextra", *folders, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def precompile(compiler, includes, source, folder):
    """The options that spare the compiler the headers of `source`, which all its branches have."""
    header = pathlib.Path(folder) / "headers.hpp"
    text = pathlib.Path(source).read_text(encoding="utf-8")
    header.write_text("\n".join(re.findall(r"^#include .*$", text, re.MULTILINE)) + "\n", encoding="utf-8")
    status, output = call(compiler, includes, "-x", "c++-header", header, "-o", f"{header}.gch")
    if status != 0:
        sys.exit(f"{source}: its headers do not compile\n{output}")
    return ["-include", header]


def compile_file(compiler, includes, source, *flags):
    return call(compiler, includes, "-fsyntax-only", *flags, source)


def check_rejected(compiler, includes, source, headers, flag, patterns):
    status, output = compile_file(compiler, includes, source, *headers, flag)
    if status == 0:
        return f"{source}: compiles with {flag}"
    # Only what a compiler says, not the source lines that it quotes.
    said = "\n".join(line for line in output.splitlines() if re.search(r"(error|note|required)", line))
    for pattern in patterns:
        if not re.search(pattern, said):
            return f"{source}: with {flag} no message matches '{pattern}'\n{output}"
    return 0


def main(compiler, source, *includes):
    text = pathlib.Path(source).read_text(encoding="utf-8")
    rejected = {}
    for flag, pattern in re.findall(r"^// expect(?: (-D\w+=\w+))?: (.+)$", text, re.MULTILINE):
        rejected.setdefault(flag or "-DSANSOCKET_REJECT", []).append(pattern)
    macros = {re.match(r"-D(\w+)", flag)[1] for flag in rejected}
    if not rejected or not all(re.search(rf"^#ifn?def {macro}$", text, re.MULTILINE) for macro in macros):
        return f"{source}: needs lines '// expect: REGEX' and a branch for the macro of each"

    status, output = compile_file(compiler, includes, source)
    if status != 0:
        return f"{source}: the accepted branch does not compile\n{output}"
    with tempfile.TemporaryDirectory() as folder:
        headers = precompile(compiler, includes, source, folder) if len(rejected) > 2 else []
        for flag, patterns in rejected.items():
            if failed := check_rejected(compiler, includes, source, headers, flag, patterns):
                return failed
    print(f"{pathlib.Path(source).name}: accepted as it is, rejected in {len(rejected)} ways")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
