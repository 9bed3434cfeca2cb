"""Builds the site into build/docs/site: the pages of docs/, and the reference from the headers.

usage: build.py     tools/docs calls it, with everything installed
"""
import json
import os
import pathlib
import posixpath
import re
import shutil
import subprocess
import sys

import check_site
import reference
import svg

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "docs/site"
OUT = ROOT / "build/docs"
PAGES = OUT / "pages"
REPOSITORY = "https://github.com/sansocket/sansocket"
# Where files of the repository stand on the site; what is in docs/ stays where it is.
ELSEWHERE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "docs/guide/README.md": "guide/index.md",
    "docs/site/index.md": "index.md",
}
FENCE = re.compile(r"(^[ \t]*```.*?^[ \t]*```[ \t]*$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?\[(?:[^\]\[]|\[[^\]]*\])*\])\(([^)\s]+)\)")
MERMAID = re.compile(r"^```mermaid\n(stateDiagram-v2\n.*?)^```$", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
GUIDE = ("client", "server", "sending", "cancellation", "tls", "threads", "closing")
BEHIND = ("architecture", "closing", "compression", "simulation", "trace")


def staged():
    """Path in the repository -> path on the site, of each page and drawing."""
    found = dict(ELSEWHERE)
    for file in sorted((ROOT / "docs").rglob("*")):
        name = file.relative_to(ROOT).as_posix()
        if file.suffix in (".md", ".svg") and not name.startswith("docs/site/") and name not in found:
            found[name] = name.removeprefix("docs/")
    return found


def target_of(page, link, places, problems):
    """What a link of a page leads to on the site."""
    if re.match(r"[a-z]+:", link) or link.startswith("#"):
        return link
    path, _, fragment = link.partition("#")
    fragment = "#" + fragment if fragment else ""
    name = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
    here = posixpath.dirname(places[page])
    if name in places:
        return posixpath.relpath(places[name], here or ".") + fragment
    if page.startswith("docs/site/") and (PAGES / path).exists():
        return link  # the site's own page, and one that is made
    if name == "docs/decisions":
        return posixpath.relpath("decisions/index.md", here or ".")
    if not (ROOT / name).exists():
        problems.append(f"{page}: leads to {link}, which is not there")
    header = re.fullmatch(r"include/(.*)\.hpp", name)
    if header and (PAGES / f"reference/{header[1]}.md").exists():
        return posixpath.relpath(f"reference/{header[1]}.md", here or ".") + fragment
    kind = "tree" if (ROOT / name).is_dir() else "blob"
    return f"{REPOSITORY}/{kind}/main/{name}{fragment}"


def figure(text, label):
    text = re.sub(r"\n\s*\n", "\n", text)
    return f'<figure class="drawing" aria-label="{label}">{text}</figure>'


def page_text(page, places, problems):
    """A page's Markdown, with links that lead somewhere on the site, and drawings in it."""
    text = (ROOT / page).read_text(encoding="utf-8")
    text = MERMAID.sub(
        lambda m: figure(svg.state_diagram(m[1], "States and what moves them"), "state diagram"), text
    )

    def link(match):
        target = target_of(page, match[2], places, problems)
        drawing = ROOT / posixpath.join(posixpath.dirname(page), match[2])
        if match[1].startswith("!") and drawing.suffix == ".svg" and drawing.exists():
            return figure(drawing.read_text(encoding="utf-8"), match[1][2:-1])
        return f"{match[1]}({target})"

    parts = FENCE.split(text)
    return "".join(part if i % 2 else LINK.sub(link, part) for i, part in enumerate(parts))


def title_of(page):
    return TITLE.search((PAGES / page).read_text(encoding="utf-8"))[1].replace("`", "")


def navigation(places, reference_nav):
    pages = [place for place in places.values() if place.endswith(".md")]
    guide = ["guide/index.md"] + [f"guide/{name}.md" for name in GUIDE]
    guide += sorted(place for place in pages if place.startswith("guide/") and place not in guide)
    decisions = sorted(place for place in pages if place.startswith("decisions/"))
    rfcs = sorted(place for place in pages if re.fullmatch(r"rfc\d+\.md", place))
    behind = [f"{name}.md" for name in BEHIND]
    taken = set(guide + decisions + rfcs + behind + ["index.md", "changelog.md", "contributing.md"])
    behind += sorted(place for place in pages if place not in taken)
    background = [{title_of(place): place} for place in behind + rfcs]
    background.append(
        {
            "Decisions": ["decisions/index.md"]
            + [{title_of(place): place} for place in decisions if place != "decisions/index.md"]
        }
    )
    # Not as repo_url: for that the theme asks GitHub how many stars there are.
    project = [{"Changelog": "changelog.md"}, {"Contributing": "contributing.md"}, {"Source": REPOSITORY}]
    return [
        {"Home": "index.md"},
        {"Guide": [{title_of(place): place} for place in guide]},
        {"Background": background},
        {"Reference": reference_nav},
        {"Project": project},
    ]


def write_pages():
    places = staged()
    problems = []
    for page, place in places.items():
        if page.endswith(".md"):
            target = PAGES / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(page_text(page, places, problems), encoding="utf-8")
    decisions = sorted(place for place in places.values() if place.startswith("decisions/"))
    (PAGES / "decisions/index.md").write_text(
        "# Decisions\n\nWhat was decided, why, and what else there was.\n\n"
        + "".join(f"- [{title_of(place)}]({posixpath.basename(place)})\n" for place in decisions),
        encoding="utf-8",
    )
    shutil.copy(HERE / "style.css", PAGES / "style.css")
    if problems:
        sys.exit("\n".join(problems))
    return places


def run(*command):
    if subprocess.run(command, check=False, timeout=300).returncode != 0:
        sys.exit(f"{command[0]} has found something, see above")


def main():
    os.chdir(ROOT)
    for folder in (PAGES, OUT / "doxygen", OUT / "site"):
        shutil.rmtree(folder, ignore_errors=True)
    PAGES.mkdir(parents=True)
    run("doxygen", str(HERE / "Doxyfile"))
    reference_nav = reference.write(OUT / "doxygen/xml", PAGES)
    places = write_pages()
    config = {
        "INHERIT": "../../docs/site/mkdocs.yml",
        "docs_dir": "pages",
        "site_dir": "site",
        "hooks": ["../../docs/site/hooks.py"],
        "nav": navigation(places, reference_nav),
    }
    (OUT / "mkdocs.yml").write_text(json.dumps(config, indent=1), encoding="utf-8")  # JSON is YAML
    run("mkdocs", "build", "--strict", "--quiet", "--config-file", str(OUT / "mkdocs.yml"))
    problems = check_site.problems_of(OUT / "site")
    if problems:
        sys.exit("\n".join(problems))
    print(f"build/docs/site/index.html: {len(list((OUT / 'site').rglob('*.html')))} pages")


if __name__ == "__main__":
    main()
