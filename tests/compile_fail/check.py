"""Compiles one file twice: as it is, which must work, and with SANSOCKET_REJECT defined, which must
fail with a message that matches the file's line "// expect: REGEX".

usage: check.py COMPILER INCLUDE_DIR FILE
"""
import pathlib
import re
import subprocess
import sys


def compile_file(compiler, include, source, *flags):
    command = [compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", f"-I{include}", *flags, source]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def main(compiler, include, source):
    text = pathlib.Path(source).read_text(encoding="utf-8")
    expected = re.findall(r"^// expect: (.+)$", text, re.MULTILINE)
    if not expected or "#ifdef SANSOCKET_REJECT" not in text:
        return f"{source}: needs a line '// expect: REGEX' and a branch '#ifdef SANSOCKET_REJECT'"

    status, output = compile_file(compiler, include, source)
    if status != 0:
        return f"{source}: the accepted branch does not compile\n{output}"
    status, output = compile_file(compiler, include, source, "-DSANSOCKET_REJECT")
    if status == 0:
        return f"{source}: the rejected branch compiles"
    # Only what a compiler says, not the source lines that it quotes.
    said = "\n".join(line for line in output.splitlines() if re.search(r"(error|note|required)", line))
    for pattern in expected:
        if not re.search(pattern, said):
            return f"{source}: no message matches '{pattern}'\n{output}"
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
