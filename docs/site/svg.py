"""SVG that is readable in light and in dark: as an image by the reader's preference, on the site by its switch."""
import html
import re
import subprocess

# Every colour is one of these; style.css of the site sets them once more, for its own switch.
STYLE = """<style>
svg.sansocket { --ink: #1f2430; --line: #5c6370; --box: #eef0fa; --edge: #4051b5; --mark: #4051b5; --other: #b26a00; --third: #00796b; --grid: #d0d4de; }
@media (prefers-color-scheme: dark) { svg.sansocket { --ink: #e4e6ef; --line: #a0a6b8; --box: #2c3044; --edge: #8c9eff; --mark: #8c9eff; --other: #ffb74d; --third: #4db6ac; --grid: #434860; } }
svg.sansocket { max-width: 100%; height: auto; }
svg.sansocket text { fill: var(--ink); font-family: ui-sans-serif, "Helvetica Neue", Arial, sans-serif; }
svg.sansocket .node polygon, svg.sansocket .node path, svg.sansocket .node ellipse { fill: var(--box); stroke: var(--edge); }
svg.sansocket .point ellipse { fill: var(--edge); }
svg.sansocket .edge path { fill: none; stroke: var(--line); }
svg.sansocket .edge polygon { fill: var(--line); stroke: var(--line); }
</style>"""


def opening(width, height, title, description=""):
    desc = f"<desc>{html.escape(description, quote=False)}</desc>" if description else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="sansocket" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">\n<title>{html.escape(title, quote=False)}</title>{desc}\n{STYLE}\n'
    )


def description(svg):
    """The text that `opening` was given."""
    found = re.search(r"<desc>(.*?)</desc>", svg, re.DOTALL)
    return html.unescape(found[1]) if found else ""


def drawn(dot, title, text):
    """A graph, drawn by Graphviz. Fonts are measured by it and replaced by the reader's, of about their width."""
    run = subprocess.run(["dot", "-Tsvg"], input=dot, capture_output=True, text=True, check=True, timeout=60)
    svg = run.stdout
    width, height = (
        round(float(x)) for x in re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', svg).groups()
    )
    body = svg[svg.index("<g id=") : svg.index("</svg>")]
    body = re.sub(r"<!--.*?-->\n|<title>.*?</title>\n", "", body, flags=re.DOTALL)
    body = re.sub(r'<polygon fill="(?:white|none)" stroke="transparent"[^>]*/>\n', "", body, count=1)
    body = re.sub(r' (?:fill|stroke|font-family)="[^"]*"', "", body)
    body = re.sub(r' id="[^"]*"', "", body)
    return opening(width, height, title, text) + body + "</svg>\n"


GRAPH = """digraph {
    bgcolor=transparent; ranksep=0.45; nodesep=0.35;
    node [shape=box, style=rounded, fontname="Helvetica", fontsize=13, height=0.4];
    edge [fontname="Helvetica", fontsize=11, arrowsize=0.7];
"""


def state_diagram(mermaid, title):
    """A stateDiagram-v2 of Mermaid's, which the site would have to fetch a program for."""
    lines = []
    for line in mermaid.strip().splitlines()[1:]:
        arrow = re.fullmatch(r"\s*(\S+) --> (\S+?)(?:: (.*))?", line)
        if not arrow:
            raise SystemExit(f"no state diagram: {line}")
        ends = [{"[*]": end}.get(name, name) for name, end in zip(arrow.groups(), ("begins", "ends"))]
        lines.append(f'    "{ends[0]}" -> "{ends[1]}" [label=" {arrow[3] or ""} "];\n')
    dots = ""
    for name, width in (("begins", 0.15), ("ends", 0.2)):
        if any(f'"{name}"' in line for line in lines):
            dots += f'    {name} [shape=circle, label="", width={width}, height={width}, class=point];\n'
    return drawn(GRAPH + dots + "".join(lines) + "}\n", title, mermaid)
