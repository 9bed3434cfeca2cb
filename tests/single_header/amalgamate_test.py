"""tools/amalgamate: what it writes of a small tree goes together in every order, what it cannot do right it
refuses, and what it has written of this one is all of it.

usage: amalgamate_test.py COMPILER
"""
import itertools
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
AMALGAMATE = ROOT / "tools/amalgamate"
COMPILER = sys.argv.pop(1)

VERSION = "#pragma once\n\n#define SANSOCKET_VERSION 10203  // 1.2.3\n"
TREE = {
    "LICENSE": "A licence\n\nof two paragraphs\n",
    "include/sansocket/version.hpp": VERSION,
    "include/sansocket/sansocket.hpp": """\
// sansocket.hpp
//
// All of the core.
#pragma once

#include <sansocket/shape.hpp>
#include <sansocket/version.hpp>
""",
    # Declares, and is followed by its bodies, which include it.
    "include/sansocket/shape.hpp": """\
// shape.hpp
//
// A shape.
#pragma once

#include <cstddef>

#if defined(SMALL)
#include <cstdint>
#endif

namespace sansocket {
template <class T>
struct shape {
    std::size_t corners() const;
};
}  // namespace sansocket

#include <sansocket/shape_bodies.hpp>
""",
    "include/sansocket/shape_bodies.hpp": """\
#pragma once

#include <sansocket/shape.hpp>

namespace sansocket {
template <class T>
std::size_t shape<T>::corners() const {
    return sizeof(T);
}
}  // namespace sansocket
""",
    # No other header includes it.
    "include/sansocket/detail/lonely.hpp": "#pragma once\n\nnamespace sansocket {\nstruct lonely {};\n}\n",
    # Includes in the middle what needs the part before.
    "include/sansocket_drawn/sansocket_drawn.hpp": """\
// sansocket_drawn.hpp
//
// Drawn shapes.
#pragma once

#include <sansocket/shape.hpp>

namespace sansocket_drawn {
inline int pens() { return 1; }
}  // namespace sansocket_drawn

#include <sansocket_drawn/ink.hpp>

namespace sansocket_drawn {
inline int brushes() { return 1; }
}  // namespace sansocket_drawn
""",
    "include/sansocket_drawn/ink.hpp": """\
#pragma once

#include <sansocket_drawn/sansocket_drawn.hpp>

#include <limits.h>
#include <stddef.h>
#include <string.h>

#include <initializer_list>

namespace sansocket_drawn {
struct ink {
    std::initializer_list<int> colours;
    int pen = pens();
};
using inked = sansocket::shape<ink>;
}  // namespace sansocket_drawn
""",
    "include/sansocket_framed/sansocket_framed.hpp": """\
// sansocket_framed.hpp
//
// Framed drawings.
#pragma once

#include <sansocket_drawn/sansocket_drawn.hpp>

namespace sansocket_framed {
inline std::size_t corners() { return sansocket_drawn::inked{}.corners(); }
}  // namespace sansocket_framed
""",
}
ROOTS = ["sansocket", "sansocket_drawn", "sansocket_framed"]


class OfASmallTree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = pathlib.Path(folder.name)
        self.single = self.tree / "single_include"
        for path, text in TREE.items():
            self.put(path, text)

    def put(self, path, text):
        file = self.tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def run_tool(self, *flags, **environment):
        return subprocess.run([sys.executable, AMALGAMATE, "--tree", self.tree, *flags], text=True, check=False,
                              capture_output=True, timeout=60, env={**os.environ, **environment})

    def write(self, *flags, **environment):
        done = self.run_tool(*flags, **environment)
        self.assertEqual(done.returncode, 0, done.stderr)

    def refused(self, problem, path, text):
        self.put(path, text)
        done = self.run_tool()
        self.assertEqual(done.returncode, 1)
        self.assertIn(problem, done.stderr)
        self.assertFalse(self.single.exists())

    def text_of(self, root):
        return (self.single / root / f"{root}.hpp").read_text(encoding="utf-8")

    def compiled(self, source, *includes, flags=("-fsyntax-only",)):
        lines = "".join(f"#include <{path}>\n" for path in includes)
        return subprocess.run(
            [COMPILER, "-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{self.single}",
             *flags, "-x", "c++", "-"], input=lines + source, text=True, check=False, capture_output=True, timeout=60)

    def test_every_set_compiles_in_every_order(self):
        self.write()
        for count in (1, 2, 3):
            for roots in itertools.permutations(ROOTS, count):
                done = self.compiled("", *(f"{root}/{root}.hpp" for root in roots))
                self.assertEqual(done.returncode, 0, f"{roots}\n{done.stderr}")

    def test_two_translation_units_link(self):
        self.write()
        names = [f"{root}/{root}.hpp" for root in ROOTS]
        for source, includes, name in [("std::size_t second() { return sansocket_framed::corners(); }\n", names, "b"),
                                       ("std::size_t second();\nint main() { return second() ? 0 : 1; }\n",
                                        reversed(names), "a")]:
            done = self.compiled(source, *includes, flags=("-c", "-o", str(self.tree / f"{name}.o")))
            self.assertEqual(done.returncode, 0, done.stderr)
        subprocess.run([COMPILER, "-o", "program", "a.o", "b.o"], cwd=self.tree, check=True, timeout=60)
        subprocess.run([self.tree / "program"], check=True, timeout=60)

    def test_two_versions_do_not_go_together(self):
        self.write()
        self.put("include/sansocket/version.hpp", VERSION.replace("10203", "20304"))
        self.write("--output", str(self.tree / "newer"))
        newer = self.tree / "newer/sansocket_drawn/sansocket_drawn.hpp"
        newer.replace(self.single / "sansocket_drawn/sansocket_drawn.hpp")
        done = self.compiled("", "sansocket/sansocket.hpp", "sansocket_drawn/sansocket_drawn.hpp")
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, r"error:.*<sansocket_drawn/sansocket_drawn.hpp> is of version 2\.3\.4, what is "
                                      r"included before it of version 1\.2\.3")
        self.assertRegex(done.stderr, r'#error "<sansocket_drawn/sansocket_drawn.hpp> 2\.3\.4 meets')

    def test_a_file_begins_with_what_it_is(self):
        self.write()
        head, _, rest = self.text_of("sansocket_drawn").partition("#pragma once")
        for line in ("// sansocket_drawn/sansocket_drawn.hpp, version 1.2.3", "// Drawn shapes.",
                     "// SPDX-License-Identifier: MIT", "// A licence", "//", "// of two paragraphs"):
            self.assertIn(line, head.splitlines())
        self.assertTrue(rest.endswith("HPP\n"))

    def test_headers_that_nobody_includes_are_there(self):
        self.write()
        self.assertIn("struct lonely {};", self.text_of("sansocket"))

    def test_includes_under_a_condition_stay_there(self):
        self.write()
        self.assertIn("#if defined(SMALL)\n#include <cstdint>\n#endif\n", self.text_of("sansocket"))
        self.assertEqual(self.text_of("sansocket_framed").count("#include <cstddef>"), 1)

    def test_the_same_tree_gives_the_same_bytes(self):
        self.write(PYTHONHASHSEED="1")
        before = {path: path.read_bytes() for path in self.single.rglob("*.hpp")}
        self.write("--output", str(self.tree / "again"), PYTHONHASHSEED="2", TZ="Asia/Tokyo")
        for path, text in before.items():
            self.assertEqual((self.tree / "again" / path.relative_to(self.single)).read_bytes(), text)

    def test_check_finds_what_changed(self):
        self.write()
        self.assertEqual(self.run_tool("--check").returncode, 0)
        file = self.single / "sansocket/sansocket.hpp"
        text = file.read_bytes()
        for changed in (text + b"\n", text.replace(b"\n", b"\r\n")):
            file.write_bytes(changed)
            done = self.run_tool("--check")
            self.assertEqual(done.returncode, 1)
            self.assertIn("single_include/sansocket/sansocket.hpp is not what the headers in include/ give", done.stderr)
            self.assertIn("run tools/amalgamate, and commit single_include/", done.stderr)
            self.assertEqual(file.read_bytes(), changed)

    def test_files_of_folders_that_are_gone_go(self):
        self.put("single_include/sansocket_gone/sansocket_gone.hpp", "")
        self.write()
        self.assertFalse((self.single / "sansocket_gone/sansocket_gone.hpp").exists())
        self.put("single_include/sansocket_gone/sansocket_gone.hpp", "")
        self.assertIn("sansocket_gone", self.run_tool("--check").stderr)

    def test_what_it_cannot_do_right(self):
        for problem, path, text in [
                ("needs the line '#pragma once'", "include/sansocket/guarded.hpp", "#ifndef A\n#define A\n#endif\n"),
                ("not of the form #include <path>", "include/sansocket/quoted.hpp", '#pragma once\n#include "a.hpp"\n'),
                ("<sansocket/none.hpp>, which does not exist", "include/sansocket/a.hpp",
                 "#pragma once\n#include <sansocket/none.hpp>\n"),
                ("under an #if, and not everybody has", "include/sansocket_framed/a.hpp",
                 "#pragma once\n#if A\n#include <sansocket_drawn/ink.hpp>\n#endif\n"),
                ("under an #if in the middle of its code", "include/sansocket/a.hpp",
                 "#pragma once\nint a;\n#if A\n#include <sansocket/shape.hpp>\n#endif\nint b;\n"),
                ("would have the same guard", "include/sansocket/drawn/ink.hpp", "#pragma once\n"),
                ("has no header sansocket_new/sansocket_new.hpp", "include/sansocket_new/a.hpp", "#pragma once\n"),
                ("does not define SANSOCKET_VERSION", "include/sansocket/version.hpp", "#pragma once\n")]:
            with self.subTest(problem):
                self.put("include/sansocket_drawn/ink.hpp", TREE["include/sansocket_drawn/ink.hpp"])
                self.refused(problem, path, text)
                (self.tree / path).unlink()
                if path in TREE:
                    self.put(path, TREE[path])


class OfThisTree(unittest.TestCase):
    SINGLE = {path.parent.name: path.read_text(encoding="utf-8")
              for path in sorted((ROOT / "single_include").rglob("*.hpp"))}

    def test_nothing_is_missing(self):
        for header in sorted((ROOT / "include").rglob("*.hpp")):
            name = header.relative_to(ROOT / "include").as_posix()
            lines = set(self.SINGLE[name.split("/")[0]].splitlines())
            for line in header.read_text(encoding="utf-8").splitlines():
                if not re.match(r"// \w+\.hpp$|#include <|#pragma once$", line) and line not in lines:
                    # The first lines of a header with nothing but includes are the head of its file, or nowhere.
                    self.assertTrue(line.startswith("//"), f"{name}: {line}")

    def test_every_file_stands_alone(self):
        for root, text in self.SINGLE.items():
            self.assertNotRegex(text, r"#\s*include\s*[<\"]sansocket", root)


if __name__ == "__main__":
    unittest.main()
