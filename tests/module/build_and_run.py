"""Precompiles modules/sansocket.cppm, and builds and runs a program that imports it.

usage: build_and_run.py SOURCE_DIR BUILD_DIR

Ends with 77 where no clang++ is new enough; in CI (CI=true) that is an error.
"""
import os
import shutil
import subprocess
import sys
from pathlib import Path

COMPILERS = ("clang++-19", "clang++-20", "clang++-21")
SKIPPED = 77
FLAGS = ["-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def run(*command):
    result = subprocess.run([str(word) for word in command], check=False)
    if result.returncode != 0:
        sys.exit(f"{command[0]} failed: status {result.returncode}")


def main():
    source, build = map(Path, sys.argv[1:3])
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        print("none of these is here:", *COMPILERS)
        sys.exit(1 if os.environ.get("CI") == "true" else SKIPPED)
    build.mkdir(parents=True, exist_ok=True)
    interface, program = build / "sansocket.pcm", build / "imports_sansocket"
    run(compiler, *FLAGS, "-I", source / "include", "--precompile", source / "modules" / "sansocket.cppm",
        "-o", interface)
    # Without the include directory: what it needs, it has from the module.
    run(compiler, *FLAGS, f"-fmodule-file=sansocket={interface}", source / "tests" / "module" / "main.cpp",
        source / "tests" / "module" / "shown.cpp", interface, "-o", program)
    run(program)


if __name__ == "__main__":
    main()
