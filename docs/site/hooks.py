"""Makes names in code lead to the reference: `like this` in a sentence, and qualified ones in blocks.

A name that may mean several things leads nowhere, but for those that a page's own class or header has,
and for functions of the classes that programs hold in their hands.
"""
import json
import pathlib
import posixpath
import re

CODE = re.compile(
    r"(<a\b[^>]*>.*?</a>|<h[1-6]\b.*?</h[1-6]>|<pre\b.*?</pre>)|<code>([^<]+)</code>", re.DOTALL
)
QUALIFIED = re.compile(
    r'<span class="n">(sansocket\w*)</span><span class="o">::</span><span class="n">(\w+)</span>'
)
# In a declaration: a type, for what a comma, a parenthesis or an initializer follows is a parameter's name.
WORD = re.compile(
    r'(<a\b[^>]*>.*?</a>|<span class="(?:o|p)">(?:::|\.|-&gt;)</span>)?<span class="n">(\w+)</span>'
    r'(?!<span class="p">[,);{]|<span class="w"> </span><span class="o">=)',
    re.DOTALL,
)
PARAMETER = re.compile(
    r'<span class="n">(\w+)</span>(?=<span class="p">[,)]|<span class="w"> </span><span class="o">=)'
)
SPELLED = re.compile(r"(~?[a-z_]\w*(?:::~?\w+)*)(?:<.*>)?(\(.*\))?", re.DOTALL | re.IGNORECASE)
FIRST = (
    "sansocket_asio::websocket",
    "sansocket_asio::websocket_sends",
    "sansocket::connection",
    "sansocket_asio::basic_server",
    "sansocket::options",
)
names = {}


def on_config(config):
    file = pathlib.Path(config["docs_dir"]).parent / "names.json"
    names.clear()
    for qualified, kind, page, anchor in json.loads(file.read_text(encoding="utf-8")):
        parts = qualified.split("::")
        for i in range(len(parts)):
            places = names.setdefault("::".join(parts[i:]), [])
            place = (qualified, kind, page, anchor)
            if not any(other[0] == qualified for other in places):
                places.append(place)
    return config


def find(text, page, parameters):
    """Where a name as it is spelled leads to, or None. `parameters`: what the page's functions are given."""
    spelled = SPELLED.fullmatch(text)
    if not spelled:
        return None
    name, call = spelled[1].removeprefix("asio::"), spelled[2]
    found = names.get(name, [])
    if "::" not in name and not call:
        # One word: of a member only where it can be nothing else.
        found = [
            p
            for p in found
            if name not in parameters and (p[0].count("::") <= 1 or p[2] == page or "_" in name)
        ]
    if len(found) > 1:
        here = [p for p in found if p[2] == page]
        outer = [p for p in found if p[0].count("::") <= 1]
        known = [p for scope in FIRST for p in found if p[0].rpartition("::")[0] == scope]
        for choice in (
            (known, here, outer) if call and not page.startswith("reference/") else (here, outer, known)
        ):
            if choice:
                found = choice if choice is known else choice if len(choice) == 1 else []
                break
        else:
            found = []
    return found[0] if found else None


def on_page_content(html, page, config, files):
    source = page.file.src_path
    parameters = set(PARAMETER.findall(html)) if source.startswith("reference/") else set()

    def url(place):
        target = files.get_file_from_path(place[2])
        at = (
            target.url_relative_to(page.file)
            if hasattr(target, "url_relative_to")
            else posixpath.relpath(target.url, page.url)
        )
        return f"{at}#{place[3]}"

    def link(match):
        place = (
            None
            if match[1]
            else find(
                match[2].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"), source, parameters
            )
        )
        return f'<a class="name" href="{url(place)}">{match[0]}</a>' if place else match[0]

    def link_qualified(match):
        place = next(
            (p for p in names.get(f"{match[1]}::{match[2]}", []) if p[0] == f"{match[1]}::{match[2]}"), None
        )
        return f'<a class="name" href="{url(place)}">{match[0]}</a>' if place else match[0]

    def link_type(match):
        place = (
            None
            if match[1]
            else next(
                (
                    p
                    for p in names.get(match[2], [])
                    if p[0].count("::") == 1
                    and p[1] not in ("function", "variable")
                    and p[0].split("::")[0] in (source.split("/")[1], "sansocket")
                ),
                None,
            )
        )
        return f'<a class="name" href="{url(place)}">{match[0]}</a>' if place else match[0]

    html = QUALIFIED.sub(link_qualified, CODE.sub(link, html))
    if source.startswith("reference/") and source.count("/") > 1:
        html = re.sub(r"<pre\b.*?</pre>", lambda m: WORD.sub(link_type, m[0]), html, flags=re.DOTALL)
    return html
