"""A build on the single headers: no compiler was pointed at include/, and none has read a file of it.

usage: check_build.py NINJA BUILD_DIR SOURCE_DIR
"""
import pathlib
import subprocess
import sys


def files_read(ninja: str, build: pathlib.Path) -> set[pathlib.Path]:
    """What went into the objects that are built, by ninja's log."""
    log = subprocess.run([ninja, "-C", build, "-t", "deps"], check=True, capture_output=True, text=True).stdout
    names = {line.strip() for line in log.splitlines() if line.startswith("    ")}
    return {(build / name).resolve() for name in names}


def main(ninja: str, build_dir: str, source_dir: str) -> int | str:
    build, source = pathlib.Path(build_dir).resolve(), pathlib.Path(source_dir).resolve()
    commands = (build / "compile_commands.json").read_text(encoding="utf-8")
    if f"{source}/include" in commands:
        return "a compiler is pointed at include/"
    read = files_read(ninja, build)
    if source / "single_include/sansocket/sansocket.hpp" not in read:
        return "nothing has read single_include/sansocket/sansocket.hpp"
    tree = sorted(str(file) for file in read if source / "include" in file.parents)
    if tree:
        return "read from include/:\n" + "\n".join(tree)
    print(f"{len(read)} files were read, none of include/")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
