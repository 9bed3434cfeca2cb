"""Every part, with nothing but the folder of the headers, is compiled without a warning, linked and run.

usage: compilers.py COMPILER STANDARD ASIO_INCLUDE_DIR WORK_DIR
"""
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support import ROOT, WARNINGS, fresh, need, run


def main(compiler, standard, asio, work):
    need(compiler)
    program = fresh(pathlib.Path(work)) / "everything"
    flags = ["-isystem", asio] if asio else []
    if "clang" in pathlib.Path(compiler).name:  # for Asio 1.22; see CMakeLists.txt
        flags += ["-DASIO_HAS_CO_AWAIT=1", "-DASIO_HAS_STD_COROUTINE=1"]
    run(compiler, f"-std=c++{standard}", *WARNINGS, f"-I{ROOT / 'include'}", *flags, HERE / "everything.cpp", "-o",
        program, "-pthread", "-lssl", "-lcrypto", "-lz")
    run(program)


if __name__ == "__main__":
    main(*sys.argv[1:])
