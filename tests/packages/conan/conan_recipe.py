"""The recipe of Conan, with a stand-in for Conan: what it packages and names is what CMake installs.

usage: conan_recipe.py ASIO_INCLUDE_DIR WORK_DIR
"""
import collections
import fnmatch
import importlib.util
import pathlib
import shutil
import sys
import types

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "consumer"))

from support import ROOT, fresh, installed, release_tree, version


class Options(types.SimpleNamespace):
    def get_safe(self, name):
        return getattr(self, name, None)


class Component:
    def __init__(self):
        self.properties, self.requires = {}, []

    def set_property(self, name, value):
        self.properties[name] = value


class StandIn:
    """What the recipe uses of conan.ConanFile."""

    def __init__(self, options, package):
        self.options = Options(**{**self.default_options, **options})
        self.settings = types.SimpleNamespace(os="Linux", compiler="clang")
        self.source_folder, self.package_folder = str(ROOT), str(package)
        self.required = []
        self.cpp_info = Component()
        self.cpp_info.components = collections.defaultdict(Component)

    def requires(self, reference):
        self.required.append(reference.partition("/")[0])


def copy(_recipe, pattern, src, dst):
    """conan.tools.files.copy: the files under `src` that match, with their folders."""
    for file in pathlib.Path(src).rglob("*"):
        name = file.relative_to(src).as_posix()
        if file.is_file() and fnmatch.fnmatch(name, pattern):
            target = pathlib.Path(dst) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)


def recipe():
    for name, content in [("conan", {"ConanFile": StandIn}), ("conan.tools", {}),
                          ("conan.tools.build", {"check_min_cppstd": lambda *_: None}),
                          ("conan.tools.files", {"copy": copy})]:
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(content)
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location("conanfile", ROOT / "conanfile.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SansocketConan


def headers_in(prefix):
    return {f.relative_to(prefix).as_posix(): f.read_bytes() for f in (prefix / "include").rglob("*") if f.is_file()}


def check(options, parts, work, asio):
    package = work / ("-".join(parts) or "core")
    conan = recipe()(options, package / "conan")
    conan.configure()
    conan.requirements()
    conan.package()
    conan.package_info()
    off = [f"-DSANSOCKET_{part.upper()}=OFF" for part in ["asio", "zlib", "openssl"] if part not in parts]
    prefix = installed(release_tree(package / "tree"), package, *off, *asio)
    if headers_in(prefix) != headers_in(package / "conan") or not (package / "conan/licenses/LICENSE").exists():
        sys.exit(f"{options}: not the files that CMake installs")
    if sorted(conan.required) != sorted(parts):
        sys.exit(f"{options}: requires {conan.required}")
    components = conan.cpp_info.components
    targets = {c.properties["cmake_target_name"] for c in components.values()}
    if targets != {f"sansocket::{part}" for part in ["sansocket", *parts]}:
        sys.exit(f"{options}: names {targets}")
    files = {f.stem for f in (prefix / "share/pkgconfig").glob("*.pc")}
    if {c.properties["pkg_config_name"] for c in components.values()} != files:
        sys.exit(f"{options}: not the names of {files}")
    own = {need for c in components.values() for need in c.requires if "::" not in need}
    if not own <= set(components):
        sys.exit(f"{options}: needs {own}")


def main(asio, work):
    if recipe().version != version():
        sys.exit(f"conanfile.py says {recipe().version}")
    work = fresh(pathlib.Path(work))
    asio = [f"-DASIO_INCLUDE_DIR={asio}"] if asio else []
    check({}, ["asio"], work, asio)
    check({"with_asio": False}, [], work, asio)
    check({"with_asio": False, "with_openssl": True, "with_zlib": True}, ["asio", "openssl", "zlib"], work, asio)


if __name__ == "__main__":
    main(*sys.argv[1:])
