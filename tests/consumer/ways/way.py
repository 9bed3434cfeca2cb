"""A project of its own takes the library in, one way, with warnings as errors, and runs what it built.

usage: way.py WAY COMPILER STANDARD ASIO_INCLUDE_DIR WORK_DIR

WAY: add_subdirectory, fetch_content, find_package or pkg_config. The first two build README.md's echo server,
and the others every part, all from a copy of the working tree. ASIO_INCLUDE_DIR: empty, where it is installed.
"""
import os
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import support
from support import WARNINGS, configure, environment_with, fresh, installed, release_tree, repository, run

README = support.ECHO_SERVER.parent  # the files that README.md shows
EVERYTHING = HERE.parent / "compilers/everything.cpp"


def moved_prefix(asio, work):
    """Installs as docs/install.md says, and moves the prefix to where it was not installed to."""
    library = fresh(work / "library")
    tree = release_tree(library / "sansocket")
    if asio:
        return installed(tree, library, *asio)
    run("sh", "-e", HERE / "find_package/install.sh", cwd=library,
        env=dict(os.environ, HOME=str(work), CMAKE_GENERATOR="Ninja"))
    return (work / ".local").rename(work / "moved")


def cmake_way(way, options, asio, work):
    """Builds the project of `way` and returns the folder of its programs."""
    project = work / "project"
    shutil.copytree(README / way if way == "fetch_content" else HERE / way, project)
    shutil.copy2(support.ECHO_SERVER, project)
    shutil.copy2(EVERYTHING, project / "program.cpp")
    environment = dict(os.environ)
    if way == "add_subdirectory":
        release_tree(project / "third_party/sansocket")
    elif way == "fetch_content":
        environment = environment_with(repository(work / "sansocket"))
    else:
        options = [*options, f"-DCMAKE_PREFIX_PATH={moved_prefix(asio, work)}"]
    configure(project, work / "build", *options, *asio, env=environment)
    run("cmake", "--build", work / "build")
    return work / "build"


def pkg_config_way(compiler, standard, asio, work):
    """Builds every part with the command of docs/install.md."""
    support.need("pkg-config")
    prefix = moved_prefix(asio, work)
    environment = dict(os.environ, PKG_CONFIG_PATH=str(prefix / "share/pkgconfig"))
    run("pkg-config", "--validate", "sansocket-asio", "sansocket-zlib", "sansocket-openssl", env=environment)
    if f"-I{prefix}" not in run("pkg-config", "--cflags", "sansocket", env=environment):
        sys.exit("the flags lead to where the library was installed first")
    # What is called c++ is the compiler of this test.
    asio_flags = ["-isystem", asio[0].partition("=")[2]] if asio else []
    words = " ".join([shutil.which(compiler), '"$@"', f"-std=c++{standard}", *WARNINGS, *asio_flags])
    wrapper = fresh(work / "bin") / "c++"
    wrapper.write_text(f"#!/bin/sh\nexec {words}\n", encoding="utf-8")
    wrapper.chmod(0o755)
    environment["PATH"] = f"{wrapper.parent}:{environment['PATH']}"
    shutil.copy2(EVERYTHING, work / "program.cpp")
    run("sh", "-e", HERE / "pkg_config/build.sh", cwd=work, env=environment)
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
    if (programs / "program").exists():
        run(programs / "program")
    else:
        support.see_echo(programs / "echo_server")


if __name__ == "__main__":
    main(*sys.argv[1:])
