"""bench/compile_cost.py: the sources that it compiles are there, ours compile, and a row of its table is right.

usage: compile_cost_test.py COMPILER ASIO_INCLUDE_DIR
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import compile_cost  # noqa: E402

COMPILER, ASIO = sys.argv[1:3]
NAMES = {*compile_cost.HEADERS, *compile_cost.PROGRAMS}


def cost(cpu, memory, size, program):
    made = compile_cost.Cost(cpu, memory, size)
    made.program = program
    return made


def includes(file):
    return set(re.findall(r"^#include <(.+)>$", file.read_text(), re.MULTILINE))


class CompileCost(unittest.TestCase):
    def test_the_sources_are_there(self):
        self.assertEqual({file.stem for file in compile_cost.SOURCES.glob("*.cpp")}, NAMES)
        self.assertLessEqual(set(compile_cost.BASES), NAMES)

    def test_the_standard_headers_are_those_of_the_core(self):
        found = set()
        for header in (ROOT / "include" / "sansocket").rglob("*.hpp"):
            found |= includes(header)
        self.assertEqual({name for name in found if not name.startswith("sansocket/")},
                         includes(compile_cost.SOURCES / "standard.cpp"))

    def compile_ours(self, source, *how):
        flags = [*compile_cost.CXX20]
        if "clang" in pathlib.Path(COMPILER).name:  # for Asio 1.22; see CMakeLists.txt
            flags += ["-DASIO_HAS_CO_AWAIT=1", "-DASIO_HAS_STD_COROUTINE=1"]
        with tempfile.TemporaryDirectory() as alone:  # Asio without what else is in its folder
            for name in ["asio", "asio.hpp"]:
                pathlib.Path(alone, name).symlink_to(pathlib.Path(ASIO, name).resolve())
            done = subprocess.run([COMPILER, *flags, "-isystem", alone, *how, "-x", "c++", "-"], input=source,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=200)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        return done.stdout

    def test_ours_compile(self):
        for name in sorted(NAMES):
            if name in compile_cost.HEADERS or name.startswith("sansocket_"):
                with self.subTest(name):
                    self.compile_ours((compile_cost.SOURCES / f"{name}.cpp").read_text(), "-fsyntax-only")

    def test_what_is_not_used_is_not_compiled(self):
        trusting = "#include <sansocket_asio/server/proxy_networks.hpp>\n" \
                   'sansocket_asio::proxy_networks some() { return {"::1"}; }\n'
        negotiating = "#include <sansocket/machine/server_handshake.hpp>\n" \
                      "sansocket::server_handshake one() { return {{}, {}, sansocket::deflate_options{}}; }\n"
        words, offers = ["parse_proxy_header", "parse_forwarded", "parse_ip_network"], ["parse_deflate_offer"]
        for source, names in [(trusting, words), (negotiating, offers)]:
            made = self.compile_ours(source, "-S", "-o", "-")
            self.assertEqual([name for name in names if name not in made], [])
        made = self.compile_ours((compile_cost.SOURCES / "sansocket_server.cpp").read_text(), "-S", "-o", "-")
        self.assertEqual([name for name in words + offers if name in made], [])
        self.assertIn("server_handshake", made)

    def test_row(self):
        bases = [cost(8, 800e6, 2e6, 1e6), cost(10, 800e6, 4e6, 500e3)]
        self.assertEqual(compile_cost.row("ours", cost(2, 400e6, 1e6, 250e3), cost(1.5, 1, 1, 1), bases),
                         ["ours", "2.00 s", "1.50 s", "400 MB", "1000 KB", "250 KB", "0.25", "0.20", "0.50", "0.25",
                          "0.25", "0.50"])

    def test_row_of_what_is_no_program(self):
        bases = [cost(8, 800e6, 2e6, 1e6), cost(10, 800e6, 4e6, 500e3)]
        row = compile_cost.row("header", cost(4, 188e6, 10, None), cost(3, 1, 1, None), bases)
        self.assertEqual(row, ["header", "4.00 s", "3.00 s", "188 MB", "-", "-", "0.50", "0.40", "-", "-", "-", "-"])

    def test_the_compiler_proper(self):
        steps = ("Target: x86_64-linux-gnu\nCOLLECT_GCC_OPTIONS='-O2' '-S'\n"
                 ' /usr/lib/gcc/12/cc1plus -quiet -I "in clude" x.cpp "-std=c++20" -o /dev/null\n'
                 "COMPILER_PATH=/usr/lib/gcc/12/\n")
        self.assertEqual(compile_cost.compiler_proper(steps),
                         ["/usr/lib/gcc/12/cc1plus", "-quiet", "-I", "in clude", "x.cpp", "-std=c++20", "-o",
                          "/dev/null"])
        steps = 'clang version 19\nInstalledDir: /usr/bin\n "/usr/bin/clang" "-cc1" "-triple" "x86_64" "x.cpp"\n'
        self.assertEqual(compile_cost.compiler_proper(steps), ["/usr/bin/clang", "-cc1", "-triple", "x86_64", "x.cpp"])

    def test_counted(self):
        self.assertEqual(compile_cost.counted("==7== Command: cc1plus\n==7== \n==7== I   refs:      4,109,448,364\n"),
                         4109448364)

    def test_fastest(self):
        costs = [cost(3, 1, 1, 1), cost(1, 2, 2, 2), cost(2, 3, 3, 3)]
        self.assertIs(compile_cost.fastest(costs), costs[1])


del sys.argv[1:3]
unittest.main()
