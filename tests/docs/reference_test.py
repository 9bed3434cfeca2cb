"""The reference has every public name, says it as the header does, and no docstring may be missing.

usage: reference_test.py     needs doxygen; tools/docs runs it
"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

SITE = pathlib.Path(__file__).resolve().parents[2] / "docs/site"
sys.path.insert(0, str(SITE))
import declarations  # noqa: E402
import model  # noqa: E402
import reference  # noqa: E402

HEADER = """// one.hpp
//
// A header.
#pragma once

/// A macro.
#define ONE_VERSION 1

namespace one {

/// A constant.
inline constexpr int limit = 3;

/// An alias.
using number = int;

/// A concept.
template <class T>
concept small = sizeof(T) <= 4;

/// An enum.
enum class colour {
    red,   ///< Red.
    blue,  ///< Blue.
};

/// An enum that speaks of all: yes and no.
enum class answer { yes, no };

namespace detail {
struct hidden {
    int nobody = 0;
};
}  // namespace detail

/// A struct.
struct point {
    int x = 0;  ///< Across.
};

/// A class.
template <small T = int>
class box {
public:
    /// A constructor.
    explicit box(T value, int more = {}) requires(sizeof(T) > 1) : value_(value) {}
    box(const box&) = default;
    box& operator=(const box&) = default;
    ~box() = default;

    /// A member's alias.
    using value_type = T;
    /// A member.
    [[nodiscard]] T get() const noexcept { return value_; }
    [[nodiscard]] T get(int) const noexcept { return value_; }
    /// A template.
    template <class U>
    requires(small<U>) void set(const U& value) noexcept(true) {
        value_ = value;
    }
    /// A nested class.
    struct inner {
        int y = 0;  ///< Down.
    };
    /// @{
    /// Two queries.
    bool first() const { return true; }
    bool second() const { return true; }
    /// @}

private:
    T value_;
    int unseen_ = 0;
};

/// A function.
constexpr int twice(int n) { return 2 * n; }

}  // namespace one
"""
# What each docstring is of.
OF = {
    "A macro.": "ONE_VERSION",
    "A constant.": "one::limit",
    "An alias.": "one::number",
    "A concept.": "one::small",
    "An enum.": "one::colour",
    "Blue.": "one::colour::blue",
    "An enum that speaks of all: yes and no.": "one::answer",
    "A struct.": "one::point",
    "Across.": "one::point::x",
    "A class.": "one::box",
    "A constructor.": "one::box::box",
    "A member's alias.": "one::box::value_type",
    "A member.": "one::box::get",
    "A template.": "one::box::set",
    "A nested class.": "one::box::inner",
    "Down.": "one::box::inner::y",
    "Two queries.": "one::box::first",
    "A function.": "one::twice",
}


class Reference(unittest.TestCase):
    def load(self, text):
        with tempfile.TemporaryDirectory() as root:
            root = pathlib.Path(root)
            for folder in ("include/one", "build/docs"):
                (root / folder).mkdir(parents=True)
            (root / "include/one/one.hpp").write_text(text, encoding="utf-8")
            run = subprocess.run(
                ["doxygen", str(SITE / "Doxyfile")],
                cwd=root,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            self.assertEqual(run.returncode, 0, run.stderr)
            model.INCLUDE = root / "include"
            headers, entities = model.load(root / "build/docs/doxygen/xml")
            return headers, entities, list(model.undocumented(entities)) + list(model.unseen(entities))

    def test_all_documented(self):
        self.assertEqual(self.load(HEADER)[2], [])

    def test_each_docstring_is_needed(self):
        for text, name in OF.items():
            lines = [
                line.split("  ///<")[0] if line.endswith(f"///< {text}") else line
                for line in HEADER.splitlines()
                if line.strip() != f"/// {text}"
            ]
            problems = self.load("\n".join(lines) + "\n")[2]
            self.assertTrue(
                any(f" {name} is not documented" in problem for problem in problems), f"{name}: {problems}"
            )

    def test_an_overload_elsewhere_needs_its_own(self):
        text = HEADER.replace("    [[nodiscard]] T get(int) const", "\n    [[nodiscard]] T get(int) const")
        self.assertIn("one::box::get is not documented", " ".join(self.load(text)[2]))

    def test_what_doxygen_has_not_seen(self):
        headers, entities, _ = self.load(HEADER)
        without = [e for e in entities if e.name != "small"]
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        model.INCLUDE = pathlib.Path(folder.name)
        (model.INCLUDE / "one").mkdir()
        (model.INCLUDE / "one/one.hpp").write_text(HEADER, encoding="utf-8")
        self.assertEqual(
            [p.rpartition(": ")[2] for p in model.unseen(without)], ["doxygen has not seen small"]
        )

    def test_signatures(self):
        entities = {(e.kind, e.qualified): e for e in model.walk(self.load(HEADER)[1])}
        for kind, name, signature in (
            (
                "function",
                "one::box::box",
                "explicit box(T value, int more = {})\n    requires(sizeof(T) > 1);",
            ),
            (
                "function",
                "one::box::set",
                "template <class U>\n    requires(small<U>)\nvoid set(const U& value) noexcept(true);",
            ),
            ("class", "one::box", "template <small T = int>\nclass box;"),
            ("concept", "one::small", "template <class T>\nconcept small = sizeof(T) <= 4"),
            ("function", "one::twice", "constexpr int twice(int n);"),
        ):
            if name == "one::box::box":
                found = next(e for e in model.walk(entities.values()) if e.qualified == name and e.documented)
            else:
                found = entities[kind, name]
            self.assertEqual(declarations.signature(found), signature)
        self.assertNotIn("one::detail::hidden", {name for _, name in entities})
        self.assertNotIn("one::box::unseen_", {name for _, name in entities})

    def test_page(self):
        headers, entities, _ = self.load(HEADER)
        page = "\n".join(reference.Page(headers["one/one.hpp"], entities, {}).lines)
        for text in list(OF) + [
            "#include <one/one.hpp>",
            "## box {#box}",
            "### get {#box.get}",
            'id="point.x"',
            'id="colour.red"',
        ]:
            self.assertIn(text, page)


unittest.main()
