"""The headers compile for Windows, by MinGW: the core behind windows.h, and the echo server of README.md on
Asio. Nothing runs.

usage: windows.py COMPILER INCLUDE_DIR ASIO_DIR
"""
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wswitch-enum -Werror".split()


def main(compiler, include, asio):
    common = [compiler, "-std=c++20", *WARNINGS, "-fsyntax-only", "-I", include]
    with tempfile.TemporaryDirectory() as alone:  # Asio without what else is in its folder, such as /usr/include
        for name in ["asio", "asio.hpp"]:
            pathlib.Path(alone, name).symlink_to(pathlib.Path(asio, name).resolve())
        for command in [[*common, HERE / "windows_first.cpp"],
                        [*common, "-D_WIN32_WINNT=0x0A00", "-isystem", alone,
                         HERE.parents[1] / "examples/readme/echo_server.cpp"]]:
            if subprocess.run([str(part) for part in command], timeout=250).returncode:
                sys.exit("does not compile for Windows")


main(*sys.argv[1:])
