"""Builds core_alone.cpp with nothing but the compiler and this library's headers, and runs it:
no exceptions, no RTTI, and no Asio among the files that went into it.

usage: core_alone.py COMPILER WORK_DIR INCLUDE_DIR...
"""
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wswitch-enum -Werror".split()


def main(compiler, work, *includes):
    work = pathlib.Path(work)
    work.mkdir(parents=True, exist_ok=True)
    program, depends = work / "core_alone", work / "core_alone.d"
    subprocess.run(
        [compiler, "-std=c++20", "-fno-exceptions", "-fno-rtti", *WARNINGS, f"-I{HERE / 'no_asio'}",
         *(f"-I{folder}" for folder in includes), "-MD", "-MF", depends, "-o", program, HERE / "core_alone.cpp"],
        check=True)
    files = depends.read_text(encoding="utf-8").replace("\\\n", " ").split()[1:]
    outside = [f for f in files if re.search(r"(^|/)asio(/|\.hpp$)", f) or "sansocket_asio" in f]
    if outside:
        return "the core includes Asio:\n" + "\n".join(outside)
    if not any(f.endswith("sansocket/sansocket.hpp") for f in files):
        return "sansocket.hpp is not among the files of its program"
    return subprocess.run([program]).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
