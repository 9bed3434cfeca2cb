"""A project of its own takes the library in, one way, with warnings as errors, and runs what it built.

usage: way.py WAY COMPILER STANDARD ASIO_INCLUDE_DIR WORK_DIR

WAY: add_subdirectory, fetch_content, find_package or pkg_config. The first two build echo_server.cpp, and
the others every part, all from a copy of the working tree. ASIO_INCLUDE_DIR: empty, where it is installed.
"""
import os
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import support
from support import WARNINGS, configure, environment_with, fresh, installed, release_tree, repository, run

EVERYTHING = HERE.parent / "compilers/everything.cpp"


def cmake_way(way, options, asio, work):
    """Builds the project of `way` and returns the folder of its programs."""
    project = work / "project"
    shutil.copytree(HERE / way, project)
    shutil.copy2(HERE / "echo_server.cpp", project)
    shutil.copy2(EVERYTHING, project)
    environment = dict(os.environ)
    if way == "add_subdirectory":
        release_tree(project / "third_party/sansocket")
    elif way == "fetch_content":
        environment = environment_with(repository(work / "sansocket"))
    else:
        prefix = installed(release_tree(work / "tree"), work, *asio)
        options = [*options, f"-DCMAKE_PREFIX_PATH={prefix}"]
    configure(project, work / "build", *options, *asio, env=environment)
    run("cmake", "--build", work / "build")
    return work / "build"


def pkg_config_way(compiler, standard, asio, work):
    """Builds every part with the flags of pkg-config."""
    support.need("pkg-config")
    prefix = installed(release_tree(work / "tree"), work, *asio)
    environment = dict(os.environ, PKG_CONFIG_PATH=str(prefix / "share/pkgconfig"))
    parts = ["sansocket-asio", "sansocket-zlib", "sansocket-openssl"]
    run("pkg-config", "--validate", *parts, env=environment)
    flags = run("pkg-config", "--cflags", "--libs", *parts, env=environment).split()
    if f"-I{prefix}" not in "\n".join(flags):
        sys.exit(f"the flags lead to where the library was installed first: {flags}")
    asio_flags = ["-isystem", asio[0].partition("=")[2]] if asio else []
    run(compiler, f"-std=c++{standard}", *WARNINGS, EVERYTHING, "-o", work / "everything", *asio_flags, *flags)
    return work


def main(way, compiler, standard, asio, work):
    support.need(compiler)
    work = fresh(pathlib.Path(work))
    asio = [f"-DASIO_INCLUDE_DIR={asio}"] if asio else []
    if way == "pkg_config":
        programs = pkg_config_way(compiler, standard, asio, work)
    else:
        options = [f"-DCMAKE_CXX_COMPILER={compiler}", f"-DCMAKE_CXX_STANDARD={standard}",
                   f"-DCMAKE_CXX_FLAGS={' '.join(WARNINGS)}"]
        programs = cmake_way(way, options, asio, work)
    if (programs / "everything").exists():
        run(programs / "everything")
    else:
        support.see_echo(programs / "echo_server")


if __name__ == "__main__":
    main(*sys.argv[1:])
