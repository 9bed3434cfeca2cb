"""tools/release says yes to this tree, makes a commit and a tag of it, and says no to each thing that is wrong."""
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from scratch import ENVIRONMENT, copy_tree, git, repository


class Tree:
    """A copy of this tree that is on main, with everything committed."""

    def __init__(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.temporary.name)
        copy_tree(self.root)
        repository(self.root)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.temporary.cleanup()

    def release(self, *options):
        """Runs tools/release. Sets what it said, and each check's verdict."""
        done = subprocess.run([sys.executable, self.root / "tools/release", *options], env=ENVIRONMENT, timeout=250,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said = done.stdout
        checks = re.findall(r"^  (ok  |FAIL)  (.+)$", self.said, re.MULTILINE)
        self.failed = {name for verdict, name in checks if verdict == "FAIL"}
        self.passed = {name for verdict, name in checks if verdict != "FAIL"}
        return done.returncode

    def edit(self, name, pattern, replacement):
        file = self.root / name
        text, count = re.subn(pattern, replacement, file.read_text(encoding="utf-8"))
        assert count, f"{name} has no {pattern}"
        file.write_text(text, encoding="utf-8")

    def readme(self):
        return (self.root / "README.md").read_text(encoding="utf-8")

    def state(self):
        return git(self.root, "rev-parse", "HEAD"), git(self.root, "tag"), git(self.root, "status", "--porcelain")


class Scratch(unittest.TestCase):
    @unittest.skipIf(os.geteuid(), "nobody but root can give files away")
    def test_a_tree_of_somebody_else(self):
        """As in a container, where a checkout is not root's."""
        with tempfile.TemporaryDirectory() as folder:
            tree, copy = pathlib.Path(folder, "tree"), pathlib.Path(folder, "copy")
            tree.mkdir()
            (tree / "file").write_text("text", encoding="utf-8")
            repository(tree)
            for path in [tree, *tree.rglob("*")]:
                os.chown(path, 1001, 1001)
            copy_tree(copy, tree)
            self.assertEqual([f.name for f in copy.iterdir()], ["file"])


class Release(unittest.TestCase):
    def test_from_dry_run_to_tag(self):
        with Tree() as tree:
            tree.edit("CHANGELOG.md", r"(## \[[0-9.]+\]) - \S+", r"\1 - unreleased")
            if "not tagged yet" not in tree.readme():
                tree.edit("README.md", r"\Z", "\n<!-- until the tag -->\nIt is not tagged yet.\n")
            if tree.state()[2]:
                git(tree.root, "commit", "-qam", "Not yet")
            before = tree.state()
            self.assertEqual(tree.release("--dry-run"), 0, tree.said)
            self.assertEqual(tree.failed, set())
            self.assertIn("still calls", tree.said)
            self.assertIn("says no longer that", tree.said)
            self.assertIn(".ci/run", tree.said)
            self.assertEqual(tree.state(), before)

            self.assertEqual(tree.release("--yes"), 0, tree.said)
            tag = git(tree.root, "tag").strip()
            self.assertEqual(git(tree.root, "cat-file", "-t", tag).strip(), "tag")
            self.assertEqual(git(tree.root, "rev-parse", tag + "^{commit}"), git(tree.root, "rev-parse", "HEAD"))
            changelog = (tree.root / "CHANGELOG.md").read_text(encoding="utf-8")
            self.assertIn(f"## [{tag[1:]}] - {datetime.date.today()}", changelog)
            self.assertEqual(git(tree.root, "diff", "--stat", before[0].strip(), "HEAD").count("|"), 2)
            self.assertNotIn("not tagged yet", tree.readme())
            self.assertNotIn("until the tag", tree.readme())

            self.assertEqual(tree.release("--tagged"), 0, tree.said)
            tree.edit("README.md", r"\Z", "\n<!-- until the tag -->\nIt is not tagged yet.\n")
            git(tree.root, "commit", "-qam", "Not yet")
            git(tree.root, "tag", "-f", tag)
            self.assertEqual(tree.release("--tagged"), 1, tree.said)
            self.assertEqual(tree.failed, {"README.md"})
            self.assertIn(f"still says that {tag} is not tagged", tree.said)
            self.spoil(tree)
            self.assertEqual(tree.release("--dry-run"), 1, tree.said)
            self.assert_spoiled(tree, tag)

    def spoil(self, tree):
        """One thing for each check."""
        git(tree.root, "checkout", "-qb", "other")
        tree.edit("CHANGELOG.md", r"## \[[0-9.]+\]", "## [0.0.9]")
        tree.edit("README.md", r"\bv\d+\.\d+\.\d+", "v0.0.9")
        tree.edit("docs/rfc6455.md", r"`role: the peer of the peer is oneself \(1\.2\)`", "")
        tree.edit("examples/client.cpp", r"namespace \{", "namespace {  // TO" + "DO")
        tree.edit("docs/install.md", r"project\(echo ", "project(other ")
        tree.edit(min((tree.root / "docs/benchmarks").glob("*.svg")), r"\Z", "<!-- stale -->\n")
        tree.edit("docs/diagrams/parts.svg", r"sansocket_asio includes ", "sansocket_asio knows ")
        tree.edit("single_include/sansocket_asio/sansocket_asio.hpp", r"\Z", "// stale\n")
        tree.edit(".github/workflows/ci.yml", r"tools/\w+", "tools/nothing")
        port = tree.root / "ports/sansocket/vcpkg.json"
        manifest = json.loads(port.read_text(encoding="utf-8"))
        manifest[next(key for key in manifest if key.startswith("version"))] = "0.0.9"
        port.write_text(json.dumps(manifest, indent=2), encoding="utf-8")

    def assert_spoiled(self, tree, tag):
        wrong = {"tree", "version", "changelog", "README.md", "structure", "words", "single headers", "vcpkg port",
                 "code on pages", "workflows", "installing", "charts", "drawings"}
        self.assertEqual(wrong - tree.failed, set(), tree.said)
        for problem in ["not on main", "what is not committed", f"a tag {tag} already",
                        f"does not begin with a section [{tag[1:]}]", "names ['0.0.9']", "names no header or no test",
                        "examples/client.cpp:"]:
            self.assertIn(problem, tree.said)

    def test_a_new_version_has_to_be_everywhere(self):
        with Tree() as tree:
            tree.edit("include/sansocket/version.hpp", r"(SANSOCKET_VERSION) \d+  // \S+", r"\1 99901  // 9.99.1")
            git(tree.root, "commit", "-qam", "Another version")
            self.assertEqual(tree.release("--dry-run"), 1)
            self.assertEqual({"changelog", "README.md", "single headers", "vcpkg port", "package files"} - tree.failed,
                             set(), tree.said)
            self.assertIn("tree", tree.passed)
            before = tree.state()
            self.assertEqual(tree.release("--yes"), 1)
            self.assertEqual(tree.state(), before)

    def test_no_word_is_no_release(self):
        with Tree() as tree:
            before = tree.state()
            self.assertEqual(tree.release(), 1)
            self.assertIn("usage:", tree.said)
            self.assertEqual(tree.state(), before)


unittest.main()
