"""The recipe of sansocket for Conan 2: conan create ."""
import os

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy

required_conan_version = ">=2.0"

# What each option adds: the folder of headers, and the component of CMake and pkg-config.
PARTS = ("asio", "zlib", "openssl")
CORE = ("sansocket", "sansocket_trace", "sansocket_simulation")


class SansocketConan(ConanFile):
    name = "sansocket"
    version = "0.1.0"
    description = "The WebSocket protocol in C++20 without I/O of its own, and an adapter on Asio"
    homepage = "https://github.com/sansocket/sansocket"
    url = homepage
    license = "MIT"
    topics = ("websocket", "rfc6455", "sans-io", "asio", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {f"with_{part}": [True, False] for part in PARTS}
    default_options = {"with_asio": True, "with_zlib": False, "with_openssl": False}
    exports_sources = "include/*", "LICENSE"
    no_copy_source = True

    def configure(self):
        if self.options.with_openssl:
            self.options.with_asio = True

    def requirements(self):
        if self.options.with_asio:
            self.requires("asio/[>=1.22.1 <2]")
        if self.options.with_zlib:
            self.requires("zlib/[>=1.2.11 <2]")
        if self.options.with_openssl:
            self.requires("openssl/[>=1.1.1 <4]")

    def validate(self):
        check_min_cppstd(self, 20)

    def package_id(self):
        self.info.settings.clear()

    def parts(self):
        return [part for part in PARTS if self.options.get_safe(f"with_{part}")]

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        for root in [*CORE, *(f"sansocket_{part}" for part in self.parts())]:
            copy(self, f"{root}/*", os.path.join(self.source_folder, "include"),
                 os.path.join(self.package_folder, "include"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "sansocket")
        needs = {"asio": ["sansocket", "asio::asio"], "zlib": ["sansocket", "zlib::zlib"],
                 "openssl": ["asio", "openssl::openssl"]}
        for part in ["sansocket", *self.parts()]:
            component = self.cpp_info.components[part]
            component.set_property("cmake_target_name", f"sansocket::{part}")
            component.set_property("pkg_config_name", "sansocket" if part == "sansocket" else f"sansocket-{part}")
            component.bindirs = component.libdirs = []
            component.requires = needs.get(part, [])
        if self.options.with_asio:
            asio = self.cpp_info.components["asio"]
            if self.settings.os in ("Linux", "FreeBSD"):
                asio.system_libs = ["pthread"]
            elif self.settings.os == "Windows":
                asio.system_libs = ["ws2_32", "mswsock"]
            if self.settings.compiler in ("clang", "apple-clang"):  # for Asio 1.22; see CMakeLists.txt
                asio.defines = ["ASIO_HAS_CO_AWAIT=1", "ASIO_HAS_STD_COROUTINE=1"]
