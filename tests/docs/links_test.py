"""Links of the pages lead to their place on the site, and names in code to the reference."""
import json
import pathlib
import sys
import tempfile
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "docs/site"))
import build  # noqa: E402
import hooks  # noqa: E402

NAMES = [
    ["one::box", "class", "reference/one/box.md", "box"],
    ["one::box::get", "function", "reference/one/box.md", "box.get"],
    ["one::box::open_it", "function", "reference/one/box.md", "box.open_it"],
    ["one::box::value", "function", "reference/one/box.md", "box.value"],
    ["one::jar", "class", "reference/one/jar.md", "jar"],
    ["one::jar::get", "function", "reference/one/jar.md", "jar.get"],
    ["one::jar::size", "function", "reference/one/jar.md", "jar.size"],
    ["sansocket_asio::websocket", "class", "reference/ws.md", "websocket"],
    ["sansocket_asio::websocket::get", "function", "reference/ws.md", "websocket.get"],
    ["one::jar::close_it", "function", "reference/one/jar.md", "jar.close_it"],
    ["one::lid::close_it", "function", "reference/one/jar.md", "lid.close_it"],
    ["one::colour::red", "enumvalue", "reference/one/jar.md", "colour.red"],
]


class Links(unittest.TestCase):
    def setUp(self):
        self.places, self.problems = build.staged(), []

    def leads(self, page, link):
        return build.target_of(page, link, self.places, self.problems)

    def test_pages(self):
        self.assertEqual(
            self.leads("docs/guide/README.md", "../closing.md#cancelling"), "../closing.md#cancelling"
        )
        self.assertEqual(self.leads("docs/closing.md", "guide/README.md"), "guide/index.md")
        self.assertEqual(self.leads("CONTRIBUTING.md", "docs/rfc6455.md"), "rfc6455.md")
        self.assertEqual(self.leads("docs/architecture.md", "decisions"), "decisions/index.md")
        self.assertEqual(self.leads("docs/closing.md", "#destroying"), "#destroying")
        self.assertEqual(self.leads("docs/closing.md", "https://example.com/"), "https://example.com/")
        self.assertEqual(self.problems, [])

    def test_what_is_only_in_the_repository(self):
        self.assertEqual(
            self.leads("docs/closing.md", "../tests/lifecycle"),
            build.REPOSITORY + "/tree/main/tests/lifecycle",
        )
        self.assertEqual(
            self.leads("docs/guide/server.md", "../../README.md"), build.REPOSITORY + "/blob/main/README.md"
        )

    def test_what_is_not_there(self):
        self.leads("docs/closing.md", "../tests/nothing")
        self.assertEqual(self.problems, ["docs/closing.md: leads to ../tests/nothing, which is not there"])

    def test_every_page_is_in_the_navigation(self):
        with tempfile.TemporaryDirectory() as folder:
            pages, build.PAGES = build.PAGES, pathlib.Path(folder)
            self.addCleanup(setattr, build, "PAGES", pages)
            for place in [*self.places.values(), "decisions/index.md"]:
                file = build.PAGES / place
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("# Title\n", encoding="utf-8")
            shown = json.dumps(build.navigation(self.places, []))
        for place in self.places.values():
            self.assertTrue(not place.endswith(".md") or f'"{place}"' in shown, place)


class Names(unittest.TestCase):
    def setUp(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "names.json").write_text(json.dumps(NAMES), encoding="utf-8")
            hooks.on_config({"docs_dir": folder + "/pages"})

    def found(self, text, page="guide/one.md", parameters=()):
        place = hooks.find(text, page, set(parameters))
        return place and place[0]

    def test_types_and_qualified_names(self):
        self.assertEqual(self.found("box"), "one::box")
        self.assertEqual(self.found("one::box<int>"), "one::box")
        self.assertEqual(self.found("jar::get"), "one::jar::get")
        self.assertEqual(self.found("colour::red"), "one::colour::red")
        self.assertIsNone(self.found("nothing::get"))

    def test_one_word_is_a_member_only_where_it_can_be_nothing_else(self):
        self.assertIsNone(self.found("size"))
        self.assertEqual(self.found("size()"), "one::jar::size")
        self.assertEqual(self.found("open_it"), "one::box::open_it")
        self.assertIsNone(self.found("red"))

    def test_several_of_a_name(self):
        self.assertEqual(self.found("get()"), "sansocket_asio::websocket::get")  # in a program's hands
        self.assertEqual(self.found("get()", "reference/one/jar.md"), "one::jar::get")  # the page's own

        self.assertIsNone(self.found("close_it()", "reference/one/jar.md"))  # which of the two?

    def test_a_parameter_is_no_name(self):
        self.assertEqual(self.found("value", "reference/one/box.md"), "one::box::value")
        self.assertIsNone(self.found("value", "reference/one/box.md", ["value"]))

    def test_html(self):
        class File(types.SimpleNamespace):
            def url_relative_to(self, _):
                return "../box/"

        page = types.SimpleNamespace(file=types.SimpleNamespace(src_path="guide/one.md"))
        files = types.SimpleNamespace(get_file_from_path=lambda _: File())
        out = hooks.on_page_content(
            '<p><code>box</code> <a href="x"><code>box</code></a></p>', page, {}, files
        )
        self.assertEqual(
            out,
            '<p><a class="name" href="../box/#box"><code>box</code></a> <a href="x"><code>box</code></a></p>',
        )


unittest.main()
