"""Each file that names the version of the library names that of version.hpp.

usage: versions.py
"""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "consumer"))

from support import ROOT, version

# Where it stands: "VERSION" in a line of the file, whole or without the last number.
PLACES = [
    ("ports/sansocket/vcpkg.json", '  "version": "VERSION",'),
    ("meson.build", "  version: 'VERSION',"),
    ("conanfile.py", '    version = "VERSION"'),
    ("examples/readme/fetch_content/CMakeLists.txt", "  GIT_TAG vVERSION)"),
    ("tests/packages/meson/project/subprojects/sansocket.wrap", "revision = vVERSION"),
    ("tests/consumer/ways/find_package/CMakeLists.txt", "find_package(sansocket MINOR REQUIRED COMPONENTS asio zlib openssl)"),
    ("docs/install.md", 'CPMAddPackage("gh:sansocket/sansocket@VERSION")'),
    ("docs/install.md", "  GIT_TAG vVERSION)"),
    ("docs/install.md", "sansocket/VERSION"),
]


def main():
    whole = version()
    minor = whole.rpartition(".")[0]
    failed = False
    for name, line in PLACES:
        line = line.replace("VERSION", whole).replace("MINOR", minor)
        if line not in (ROOT / name).read_text(encoding="utf-8").splitlines():
            print(f"{name}: there is no line {line!r}")
            failed = True
    if not re.search(rf"^## \[{re.escape(whole)}\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE):
        print(f"CHANGELOG.md: nothing about {whole}")
        failed = True
    print(f"versions: {whole} in {len(PLACES)} places")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
