"""check_snippets.py accepts a guide that is right, and fails on each way of being wrong."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECK = pathlib.Path(__file__).with_name("check_snippets.py")
FRONT = """# Project

[Guide](docs/guide/README.md) [elsewhere](https://example.com/a.md)

<table><tr><td>

<!-- snippet: examples/readme/way/CMakeLists.txt -->
```cmake
project(way)
```

</td></tr></table>

<!-- run: way -->
```sh
cmake . [not](a-link.md)
```
"""
INDEX = "# Guide\n\n- [One](one.md)\n"
PAGE = """# One

<!-- snippet: one.cpp answer -->
```cpp
int answer() {
    return 42;
}
```

```cmake
target_link_libraries(one PRIVATE two)
```

1. In a list, with a line between:

   <!-- snippet: one.cpp inner -->

   ```cpp
   return 42;
   ```
"""
MODULE = """# The module

    one/           a drawing; not code
    ws.send()      // either

<!-- snippet: tests/module/shown.cpp import -->
```cpp
import one;
```
"""
SOURCE = """#include <one>

namespace {
    // [answer]
    int answer() {
        // [inner]
        return 42;
        // [/inner]
    }
    // [/answer]
}
"""


class CheckSnippets(unittest.TestCase):
    def run_on(self, page=PAGE, source=SOURCE, index=INDEX, front=FRONT, way="project(way)\n", **pages):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {"README.md": front, "docs/guide/README.md": index, "docs/guide/one.md": page,
                               "examples/snippets/one.cpp": source, "examples/readme/CMakeLists.txt": "",
                               "examples/readme/way/CMakeLists.txt": way,
                               "tests/module/shown.cpp": "// [import]\nimport one;\n// [/import]\n",
                               "docs/module.md": MODULE, **{f"docs/{k}.md": v for k, v in pages.items()}}.items():
                file = pathlib.Path(root, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            return subprocess.run([sys.executable, CHECK, root], capture_output=True, text=True,
                                  check=False, timeout=60)

    def fails(self, problem, **texts):
        run = self.run_on(**texts)
        self.assertEqual(run.returncode, 1, run.stdout + run.stderr)
        self.assertIn(problem, run.stdout)

    def test_right(self):
        run = self.run_on()
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertIn("4 regions and files, 0 problems", run.stdout)

    def test_changed_block(self):
        self.fails("one.md:4: is not what stands in", page=PAGE.replace("42;\n}", "43;\n}"))

    def test_changed_indentation(self):
        self.fails("one.md:4: is not what stands in", page=PAGE.replace("\n    return", "\n  return"))

    def test_changed_source(self):
        self.fails("is not what stands in", source=SOURCE.replace("42", "43"))

    def test_unmarked_block(self):
        self.fails("one.md:3: no line", page=PAGE.replace("<!-- snippet: one.cpp answer -->\n", ""))

    def test_marker_elsewhere(self):
        self.fails("no line", page=PAGE.replace("answer -->\n", "answer -->\n\nIt is:\n\n"))

    def test_missing_region(self):
        self.fails("has no region [other]", page=PAGE.replace("one.cpp answer", "one.cpp other"))

    def test_missing_file(self):
        self.fails("two.cpp has no region [answer]", page=PAGE.replace("one.cpp answer", "two.cpp answer"))

    def test_unused_region(self):
        self.fails("no page shows [more]", source=SOURCE + "// [more]\nint more;\n// [/more]\n")

    def test_region_without_an_end(self):
        self.fails("[more] has no end", source=SOURCE + "// [more]\n")

    def test_region_twice(self):
        self.fails("a second [answer]", source=SOURCE + "// [answer]\n// [/answer]\n")

    def test_end_of_nothing(self):
        self.fails("ends nothing", source=SOURCE + "// [/more]\n")

    def test_page_that_nothing_leads_to(self):
        self.fails("does not lead to one.md", index="# Guide\n")

    def test_unmarked_block_on_a_page_behind_the_guide(self):
        self.fails("two.md:3: no line", two="# Two\n\n```cpp\nint two;\n```\n")

    def test_changed_block_of_the_module(self):
        self.fails("module.md:7: is not what stands in tests/module/shown.cpp", module=MODULE.replace("one;", "two;"))

    def test_indented_code(self):
        for line in ["    #include <two>", "    int two;", "    int two;  // or three", "    struct two {", "\t}"]:
            with self.subTest(line=line):
                self.fails("two.md:3: C++ that is indented", two=f"# Two\n\n{line}\n")
                self.fails("README.md:19: C++ that is indented", front=f"{FRONT}\n{line}\n")

    def test_readme_changed_block(self):
        self.fails("README.md:8: is not what stands in examples/readme/way/CMakeLists.txt",
                   front=FRONT.replace("project(way)", "project(other)"))

    def test_readme_changed_file(self):
        self.fails("README.md:8: is not what stands in", way="project(other)\n")

    def test_readme_unmarked_block(self):
        self.fails("README.md:14: no line", front=FRONT.replace("<!-- run: way -->\n", ""))

    def test_readme_block_without_a_language(self):
        self.fails("README.md:18: no line", front=FRONT + "```\ntext\n```\n")

    def test_readme_missing_file(self):
        self.fails("there is no examples/readme/one.json", front=FRONT.replace("way/CMakeLists.txt", "one.json"))

    def test_readme_unused_file(self):
        self.fails("way/CMakeLists.txt: no page shows it", front="# Project\n")

    def test_readme_link_to_nowhere(self):
        self.fails("README.md: leads to docs/two.md", front=FRONT + "[Two](docs/two.md)\n")

    def test_link_to_nowhere(self):
        self.fails("leads to two.md", index=INDEX + "- [Two](two.md#part)\n")


unittest.main()
