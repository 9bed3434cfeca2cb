"""Every link of a site that was built leads somewhere, anchors too, and nothing is fetched from other hosts.

usage: check_site.py FOLDER
"""
import html.parser
import pathlib
import posixpath
import sys
from urllib.parse import unquote, urlsplit

FETCHED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("object", "data")}


class Page(html.parser.HTMLParser):
    """The anchors and links of a page, and what it fetches."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.fetched = [], set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.append(value)
            elif (tag, name) in FETCHED or (
                tag == "link"
                and name == "href"
                and dict(attributes).get("rel") in ("stylesheet", "icon", "preconnect")
            ):
                self.fetched.add(value)
            elif tag == "a" and name == "href":
                self.links.add(value)


def problems_of(folder):
    folder = pathlib.Path(folder)
    pages = {
        file.relative_to(folder).as_posix(): Page(file.read_text(encoding="utf-8"))
        for file in folder.rglob("*.html")
    }
    found = []
    for name, page in sorted(pages.items()):
        twice = {
            anchor
            for anchor in page.anchors
            if page.anchors.count(anchor) > 1 and not anchor.startswith("__")
        }
        found += [f"{name}: two anchors {anchor}" for anchor in sorted(twice)]
        for link in sorted(page.fetched | page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.fetched:
                    found.append(f"{name}: fetches {link}")
                continue
            base = "" if parts.path.startswith("/") else posixpath.dirname(name)
            target = (
                posixpath.normpath(posixpath.join(base, unquote(parts.path).lstrip("/")))
                if parts.path
                else name
            )
            if (folder / target).is_dir():
                target = posixpath.normpath(posixpath.join(target, "index.html"))
            if not (folder / target).exists():
                found.append(f"{name}: leads to {link}, which is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{name}: leads to {link}, an anchor that is not there")
    return found


def main():
    problems = problems_of(sys.argv[1])
    print("\n".join(problems))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
