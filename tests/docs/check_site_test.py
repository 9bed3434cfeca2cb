"""check_site.py accepts a site whose links lead somewhere, and finds each way of being wrong."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "docs/site"))
import check_site  # noqa: E402

INDEX = (
    '<html><head><link rel="stylesheet" href="style.css"></head><body><h1 id="top">One</h1>'
    '<a href="two/#part">2</a><a href="#top">top</a><a href="https://example.com/">away</a></body></html>'
)
TWO = (
    '<html><body><h2 id="part">Two</h2><a href="..">back</a><a href="../index.html#top">top</a></body></html>'
)


class CheckSite(unittest.TestCase):
    def problems(self, index=INDEX, two=TWO):
        with tempfile.TemporaryDirectory() as root:
            folder = pathlib.Path(root)
            (folder / "two").mkdir()
            (folder / "index.html").write_text(index, encoding="utf-8")
            (folder / "two/index.html").write_text(two, encoding="utf-8")
            (folder / "style.css").write_text("", encoding="utf-8")
            return check_site.problems_of(folder)

    def finds(self, words, **pages):
        problems = self.problems(**pages)
        self.assertEqual(len(problems), 1, problems)
        self.assertIn(words, problems[0])

    def test_right(self):
        self.assertEqual(self.problems(), [])

    def test_page_that_is_not_there(self):
        self.finds("leads to three/, which is not there", index=INDEX.replace("two/#part", "three/"))

    def test_anchor_that_is_not_there(self):
        self.finds("leads to two/#other, an anchor", index=INDEX.replace("#part", "#other"))

    def test_anchor_of_the_page_itself(self):
        self.finds("leads to #bottom, an anchor", index=INDEX.replace('href="#top"', 'href="#bottom"'))

    def test_anchor_twice(self):
        self.finds("two anchors part", two=TWO.replace("</h2>", '</h2><p id="part">again</p>'))

    def test_style_of_another_host(self):
        self.finds(
            "fetches https://example.com/s.css", index=INDEX.replace("style.css", "https://example.com/s.css")
        )

    def test_script_of_another_host(self):
        self.finds(
            "fetches //example.com/s.js",
            index=INDEX.replace("</body>", '<script src="//example.com/s.js"></script></body>'),
        )


unittest.main()
