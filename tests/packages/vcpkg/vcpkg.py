"""The vcpkg port, run by a stand-in for vcpkg: as an overlay of a checkout with each set of features, and
from a git registry; and a project that uses what it installs.

usage: vcpkg.py CHECK ASIO_INCLUDE_DIR WORK_DIR

CHECK: manifest, overlay, registry or consumer; each says below what it looks at.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "consumer"))

import support
from support import ROOT, WARNINGS, configure, environment_with, fresh, git, release_tree, repository, run, version

PROJECT = HERE / "project"
FEATURES = ["asio", "openssl", "zlib"]
NEEDS = {"openssl": ["asio"]}  # as the manifest says


def command(port, features, asio, work, *options):
    options = [f"-DPORT_DIR={port}", f"-DWORK={work}", f"-DVERSION={version()}", f"-DFEATURES={';'.join(features)}",
               *options]
    if asio:
        options.append(f"-DASIO_INCLUDE_DIR={asio}")
    return ["cmake", *options, "-P", HERE / "run_port.cmake"]


def run_port(port, features, asio, work, **settings):
    """Installs the port in the folder `port` and returns the tree that it has made."""
    run(*command(port, features, asio, work), **settings)
    return work / "packages"


def see_failure(expected, *arguments):
    """The port, run with `arguments`, ends with an error that says `expected`."""
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    if done.returncode == 0 or expected not in done.stderr:
        sys.exit(f"the port does not end with '{expected}', but {done.returncode}:\n{done.stderr}")


def files_of(tree):
    return {f.relative_to(tree).as_posix(): f.read_bytes() for f in tree.rglob("*") if f.is_file()}


def faults(tree, forbidden):
    """What vcpkg's checks after a build would complain of, for a port that has headers alone."""
    files = files_of(tree)
    top = {name.split("/")[0] for name in files}
    if top != {"include", "share", "lib"}:
        yield f"installs into {sorted(top)}"
    for folder in tree.rglob("*"):
        if folder.is_dir() and not any(folder.iterdir()):
            yield f"{folder.relative_to(tree)} is empty"
    for name, content in files.items():
        if name.startswith("lib/") and not re.fullmatch(r"lib/pkgconfig/[\w-]+\.pc", name):
            yield f"{name} is left in lib"
        if name.endswith(".cmake") and not name.startswith("share/sansocket/"):
            yield f"{name} is not in share/sansocket"
        if name.startswith("share/") and not name.startswith("share/sansocket/"):
            yield f"{name} is not in the port's folder of share"
        if name.endswith(".pc") and not name.startswith("lib/pkgconfig/"):
            yield f"{name} is not in lib/pkgconfig"
        if b"\r" in content:
            yield f"{name} has CR ends"
        for path in forbidden:
            if str(path).encode() in content:
                yield f"{name} holds the path {path}"
    # `usage` is what vcpkg prints once it is installed; without it vcpkg guesses from the targets that it finds.
    for name in ["copyright", "usage", "sansocket-config.cmake", "sansocket-config-version.cmake"]:
        if f"share/sansocket/{name}" not in files:
            yield f"share/sansocket/{name} is not there"
    if files.get("share/sansocket/copyright") != (ROOT / "LICENSE").read_bytes():
        yield "the copyright is not the licence"
    if "include/sansocket/sansocket.hpp" not in files:
        yield "the headers are not in include"


def see_no_faults(tree, forbidden, what):
    found = list(faults(tree, forbidden))
    if found:
        sys.exit(f"{what}:\n" + "\n".join(found))


def refusals(configuration):
    """Why vcpkg refuses a vcpkg-configuration.json."""
    default = configuration.get("default-registry", {})
    registries = [r for r in configuration.get("registries", []) if r["kind"] != "artifact"]
    if registries and default is not None and "baseline" not in default:
        yield "has registries, and no baseline for vcpkg's own"
    for registry in [*registries, default or {}]:
        if not re.fullmatch("[0-9a-f]{40}|<commit.*>", registry.get("baseline", "<commit>")):
            yield f"{registry['baseline']} is no commit"
    if unknown := set(configuration) - {"default-registry", "registries", "overlay-ports", "overlay-triplets"}:
        yield f"has {unknown}"
    if "." in configuration.get("overlay-ports", []):
        yield "is an overlay of itself"


def see_configurations():
    """What projects are shown is nothing that vcpkg refuses, and the workflow shows no other."""
    for file in [*HERE.glob("*/vcpkg-configuration.json"), ROOT / "examples/readme/vcpkg/vcpkg-configuration.json"]:
        if found := list(refusals(json.loads(file.read_text(encoding="utf-8")))):
            sys.exit(f"{file}: {found}")
    if '"registries"' in (ROOT / ".github/workflows/vcpkg.yml").read_text(encoding="utf-8"):
        sys.exit("vcpkg.yml writes a configuration of its own, which nothing looks at")


def manifest(_asio, _work):
    """The manifest's keys and their order, its version, and what its features need; the registry is in step
    with it. What a project's configuration has to say."""
    see_configurations()
    text = (ROOT / "ports/sansocket/vcpkg.json").read_text(encoding="utf-8")
    port = json.loads(text)
    order = ["name", "version", "description", "homepage", "license", "dependencies", "features"]
    if list(port) != order or list(port["features"]) != FEATURES or text != json.dumps(port, indent=2) + "\n":
        sys.exit("the manifest is not as vcpkg would format it")
    if port["version"] != version() or port["license"] != "MIT" or "default-features" in port:
        sys.exit("the manifest is not that of the library")
    for feature, value in port["features"].items():
        needs = [d for d in value["dependencies"] if isinstance(d, dict)]
        own = [f for d in needs if d["name"] == "sansocket" for f in d["features"]]
        if own != NEEDS.get(feature, []) or feature not in value["dependencies"]:
            sys.exit(f"the feature {feature} needs {value['dependencies']}")
    print(run(ROOT / "tools/vcpkg_port", "--check"))


def overlay(asio, work):
    """An overlay of a checkout: nothing that vcpkg complains of, and each feature adds files and changes
    none. One whose library is not found is an error."""
    checkout = release_tree(work / "checkout")
    trees = {}
    for features in [[], ["asio"], ["zlib"], ["asio", "openssl"], FEATURES]:
        name = "-".join(["core", *features])
        trees[name] = run_port(checkout / "ports/sansocket", features, asio, work / name)
        see_no_faults(trees[name], [work, ROOT], name)
    for name, tree in trees.items():
        core, full, own = (files_of(t) for t in (trees["core"], trees[f"core-{'-'.join(FEATURES)}"], tree))
        if not core.items() <= own.items() <= full.items() or (name != "core" and core == own):
            changed = sorted(f for f in own if f in core and core[f] != own[f] or f in full and full[f] != own[f])
            sys.exit(f"{name} does not just add to the core, or to less: {changed}")
        parts = {f.split("/")[1] for f in own if f.startswith("include/")}
        with_headers = {f for f in FEATURES if f"sansocket_{f}" in parts}
        if with_headers != set(name.split("-")[1:]):
            sys.exit(f"{name} has the headers of {with_headers}")
    for feature, package in [("openssl", "OpenSSL"), ("zlib", "ZLIB")]:
        see_failure(package.lower(), checkout / "ports/sansocket", ["asio", feature], asio, work / f"no-{feature}",
                    f"-DHIDE={package}")


def registry(asio, work):
    """A git registry: the release's commit is written into the port by tools/vcpkg_port in the commit that
    follows it, and found from that one, which is the baseline, as vcpkg does it."""
    repo = repository(work / "sansocket")
    port = work / "versioned"
    unreleased = shutil.copytree(repo / "ports/sansocket", work / "unreleased")
    portfile = unreleased / "portfile.cmake"  # as it is before a version is released
    portfile.write_text(re.sub(r'^set\(release ".*"\)$', 'set(release "")', portfile.read_text(encoding="utf-8"),
                               flags=re.MULTILINE), encoding="utf-8")
    see_failure("not released", unreleased, [], asio, work / "no")

    (repo / "include/sansocket/version.hpp").write_text(
        (repo / "include/sansocket/version.hpp").read_text(encoding="utf-8").replace(
            "#define SANSOCKET_VERSION ", "#define SANSOCKET_VERSION 9"), encoding="utf-8")
    run(repo / "tools/vcpkg_port", "--update")
    git(repo, "commit", "-q", "-a", "-m", "another version")
    release = git(repo, "rev-parse", "HEAD")
    run(repo / "tools/vcpkg_port", "--update", release)
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "its port")
    baseline = git(repo, "rev-parse", "HEAD")
    if subprocess.run([repo / "tools/vcpkg_port", "--update", baseline], capture_output=True, check=False).returncode == 0:
        sys.exit("a version is released twice")

    newest = json.loads(git(repo, "show", f"{baseline}:versions/baseline.json"))["default"]["sansocket"]["baseline"]
    versions = json.loads(git(repo, "show", f"{baseline}:versions/s-/sansocket.json"))["versions"]
    tree = next(v["git-tree"] for v in versions if v["version"] == newest)
    git(repo, "archive", "-o", work / "port.tar", tree)
    shutil.unpack_archive(work / "port.tar", port)
    installed = run_port(port, ["asio"], asio, work / "run", env=environment_with(repo))
    see_no_faults(installed, [work, ROOT], "registry")
    if "SANSOCKET_VERSION 9" not in (installed / "include/sansocket/version.hpp").read_text(encoding="utf-8"):
        sys.exit("what is installed is not the release")

    with open(repo / "ports/sansocket/usage", "a", encoding="utf-8") as usage:
        usage.write("\n")
    if subprocess.run([repo / "tools/vcpkg_port"], capture_output=True, check=False).returncode == 0:
        sys.exit("a released port may be changed")


def consumer(asio, work):
    """The project that the guide shows, by find_package, and a program by pkg-config. A component whose
    feature is not installed is an error that says so."""
    checkout = release_tree(work / "checkout")
    features = next(d["features"] for d in json.loads((PROJECT / "vcpkg.json").read_text(encoding="utf-8"))["dependencies"])
    tree = run_port(checkout / "ports/sansocket", features, asio, work / "port")
    installed = work / "installed"
    tree.rename(installed)
    shutil.copytree(PROJECT, work / "project")
    shutil.copy2(support.ECHO_SERVER, work / "project")
    options = [f"-DASIO_INCLUDE_DIR={asio}"] if asio else []
    configure(work / "project", work / "build", f"-DCMAKE_PREFIX_PATH={installed}",
              f"-DCMAKE_CXX_FLAGS={' '.join(WARNINGS)}", "-DCMAKE_CXX_COMPILER=clang++-19", *options)
    run("cmake", "--build", work / "build")
    support.see_echo(work / "build/echo_server")

    page = work / "project/CMakeLists.txt"
    page.write_text(page.read_text(encoding="utf-8").replace("COMPONENTS asio", "COMPONENTS zlib"), encoding="utf-8")
    done = subprocess.run(["cmake", "-S", work / "project", "-B", work / "without", f"-DCMAKE_PREFIX_PATH={installed}"],
                          capture_output=True, text=True, check=False)
    if done.returncode == 0 or "vcpkg's feature zlib" not in " ".join(done.stderr.split()):
        sys.exit(f"a component without its feature: {done.stderr}")

    environment = dict(os.environ, PKG_CONFIG_PATH=str(installed / "lib/pkgconfig"))
    flags = run("pkg-config", "--cflags", "--libs", "sansocket", env=environment).split()
    program = HERE.parents[1] / "consumer/harmless/subproject/main.cpp"
    run("g++", "-std=c++20", program, "-o", work / "program", *flags)
    run(work / "program")


def main(check, asio, work):
    support.need("git", "pkg-config", "ninja", "clang++-19")
    checks = {f.__name__: f for f in [manifest, overlay, registry, consumer]}
    checks[check](asio, fresh(pathlib.Path(work)))


if __name__ == "__main__":
    main(*sys.argv[1:])
