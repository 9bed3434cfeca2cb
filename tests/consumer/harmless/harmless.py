"""Taking the library in changes nothing else.

usage: harmless.py CHECK COMPILER ASIO_INCLUDE_DIR WORK_DIR

CHECK: twice, components, subproject or warnings; each says below what it looks at.
"""
import json
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support import WARNINGS, configure, fresh, installed, release_tree, run, version


def twice(work, options):
    """Two dependants bring the library, in each way and order, with a copy each; the targets are those of
    the first, and those that it lacks of the second.
    """
    tree = release_tree(work / "tree")
    second = shutil.copytree(tree, work / "second")
    prefix = installed(tree, work, *options)
    options = [*options, f"-DCMAKE_PREFIX_PATH={prefix}", "-DSANSOCKET_INSTALL=ON", f"-DSANSOCKET_SOURCE_DIR={tree}",
               f"-DSANSOCKET_SECOND_SOURCE_DIR={second}"]
    for order in ["find;find", "add;find;find", "find;add_core;add", "add_core;find", "add_core;add"]:
        build = work / order.replace(";", "-")
        configure(HERE / "twice", build, f"-DORDER={order}", *options)
        run("cmake", "--build", build)
        run(build / "twice")


def components(work, options):
    """find_package with each part, with parts that are not there, and with other versions."""
    tree = release_tree(work / "tree")
    prefix = installed(tree, fresh(work / "full"), *options)
    bare = installed(tree, fresh(work / "bare"), *options, "-DSANSOCKET_ASIO=OFF", "-DSANSOCKET_ZLIB=OFF")
    configure(HERE / "components", work / "build", *options, f"-DSANSOCKET_FULL={prefix}", f"-DSANSOCKET_BARE={bare}",
              f"-DSANSOCKET_EXPECTED={version()}")


def subproject(work, options):
    """A subproject brings no variables, flags, tests, install rules or work for the build. It installs
    where it is asked to."""
    tree, build = release_tree(work / "tree"), work / "build"
    configure(HERE / "subproject", build, *options, f"-DSANSOCKET_SOURCE_DIR={tree}",
              f"-DCMAKE_INSTALL_PREFIX={work / 'prefix'}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON")
    steps = run("ninja", "-C", build, "-t", "commands")
    commands = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    if len(commands) != 1 or steps.count("\n") != 2:
        sys.exit(f"the build has more to do than one program:\n{steps}")
    command = commands[0]["command"].split()
    if f"-isystem {tree}/include" not in " ".join(command) or [w for w in command if w.startswith(("-W", "-I", "-D"))]:
        sys.exit(f"the program is compiled with {command}")
    run("cmake", "--build", build)
    run("cmake", "--install", build)
    files = [f.relative_to(work / "prefix").as_posix() for f in (work / "prefix").rglob("*") if f.is_file()]
    if files != ["bin/program"]:
        sys.exit(f"installs {files}")
    if "Total Tests: 0" not in run("ctest", "-N", "--test-dir", build):
        sys.exit("brings tests")
    if (build / "sansocket/tests").exists():
        sys.exit("configures its tests")

    asked = work / "asked"
    configure(HERE / "warnings", asked, *options, f"-DSANSOCKET_SOURCE_DIR={tree}", "-DSANSOCKET_INSTALL=ON",
              f"-DCMAKE_INSTALL_PREFIX={asked / 'prefix'}")
    run("cmake", "--install", asked, "--component", "sansocket_development")
    for name in ["include/sansocket/sansocket.hpp", "share/cmake/sansocket/sansocket-config.cmake"]:
        if not (asked / "prefix" / name).exists():
            sys.exit(f"asked to, it does not install {name}")


def warnings(work, options):
    """A warning of the headers is not one of what uses them, unless it is asked for; seen with a header
    that has one.
    """
    tree = release_tree(work / "tree")
    with open(tree / "include/sansocket/version.hpp", "a", encoding="utf-8") as header:
        header.write("inline int sansocket_warns(double d) { return (int)d; }\n")
    prefix = installed(tree, work, *options)
    options = [*options, f"-DCMAKE_CXX_FLAGS={' '.join(WARNINGS)}", f"-DSANSOCKET_SOURCE_DIR={tree}"]
    for name, more, warns in [("subproject", [], False), ("asked", ["-DSANSOCKET_SYSTEM_HEADERS=OFF"], True),
                              ("installed", [f"-DCMAKE_PREFIX_PATH={prefix}"], False)]:
        configure(HERE / "warnings", work / name, *options, *more)
        done = subprocess.run(["cmake", "--build", work / name], capture_output=True, text=True, check=False)
        if warns != ("-Wold-style-cast" in done.stdout and done.returncode != 0):
            sys.exit(f"{name}:\n{done.stdout}")


def main(check, compiler, asio, work):
    options = [f"-DCMAKE_CXX_COMPILER={compiler}"]
    if asio:
        options.append(f"-DASIO_INCLUDE_DIR={asio}")
    checks = {f.__name__: f for f in [twice, components, subproject, warnings]}
    checks[check](fresh(pathlib.Path(work)), options)


if __name__ == "__main__":
    main(*sys.argv[1:])
