"""meson.build: a project that has the library as a subproject, by git, and what is installed.

usage: meson.py ASIO_INCLUDE_DIR WORK_DIR
"""
import os
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "consumer"))

import support
from support import environment_with, fresh, installed, release_tree, repository, run

COMPILER = "clang++-19"


def subproject(work):
    """An echo server, built with warnings as errors, and nothing of the library's is installed."""
    repo = repository(work / "sansocket")
    project = shutil.copytree(HERE / "project", work / "project")
    shutil.copy2(support.ECHO_SERVER, project)
    environment = dict(environment_with(repo), CXX=COMPILER)
    run("meson", "setup", work / "build", project, f"--prefix={work / 'nothing'}", "-Dwarning_level=3", "-Dwerror=true",
        env=environment)
    run("ninja", "-C", work / "build", "install")
    if (work / "nothing").exists():
        sys.exit("a subproject installs")
    support.see_echo(work / "build/echo_server")


def headers_in(prefix):
    return {f.relative_to(prefix).as_posix(): f.read_bytes() for f in (prefix / "include").rglob("*") if f.is_file()}


def install(work):
    """The same headers as by CMake, and what pkg-config needs to know."""
    tree = release_tree(work / "tree")
    run("meson", "setup", work / "own", tree, f"--prefix={work / 'meson'}", "-Dpkgconfig.relocatable=true",
        env=dict(os.environ, CXX=COMPILER))
    run("ninja", "-C", work / "own", "install")
    cmake, meson = headers_in(installed(tree, work)), headers_in(work / "meson")
    if cmake != meson:
        sys.exit(f"not the headers that CMake installs: {sorted(cmake.items() ^ meson.items())[:5]}")
    (work / "meson").rename(work / "relocated")
    environment = dict(os.environ, PKG_CONFIG_PATH=str(work / "relocated/share/pkgconfig"))
    flags = [run("pkg-config", "--cflags", "--libs", "sansocket-openssl", "sansocket-zlib",
                 env=dict(os.environ, PKG_CONFIG_PATH=str(work / folder / "share/pkgconfig"))).split()
             for folder in ["relocated", "moved"]]
    run("pkg-config", "--validate", "sansocket-openssl", "sansocket-zlib", env=environment)
    own, same = ({f for f in words if not f.startswith("-I")} for words in flags)
    if own != same or not any(f.startswith(f"-I{work / 'relocated'}") for f in flags[0]):
        sys.exit(f"not the flags that CMake's files give: {flags}")


def main(asio, work):
    support.need("meson", "pkg-config", COMPILER)
    if asio:
        support.skip("Asio is not where the compiler looks")
    work = fresh(pathlib.Path(work))
    subproject(work)
    install(work)


if __name__ == "__main__":
    main(*sys.argv[1:])
