"""The layout as SVG text: one file that needs nothing else, for light pages and dark ones, with text that can be selected and searched."""
from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

from .layout import Edge, Layout, Placed, Point
from .measure import DETAIL, FRAME_PAD, LINE, PAD, lines
from .palette import FAMILIES
from .picture import Box
from .text import width

MARGIN = 16
ROUND = 8                    # radius of the corners of lines
HEAD = (7.0, 3.5)            # length and half the breadth of an arrow's head
LEGEND = 20                  # height of a line of the legend
NARROWEST = 300              # of the room for the legend
FONT = "system-ui, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif"
FOREIGN = dict.fromkeys([*(code for code in range(32) if chr(code) not in "\t\n\r"), 0xfffe, 0xffff])      # what XML has no place for


def style() -> str:
    """The style sheet: colours of the families on a light page, and in a media query those on a dark one."""
    light = [f".tgc-{name}{{fill:{colours.fill};stroke:{colours.line}}}" for name, (_, colours) in FAMILIES.items()]
    dark = [f".tgc-{name}{{fill:{colours.dark_fill};stroke:{colours.dark_line}}}" for name, (_, colours) in FAMILIES.items()]
    bands = [f".tgc-band-{name}{{fill:{colours.line}}}" for name, (_, colours) in FAMILIES.items()]
    dark += [f".tgc-band-{name}{{fill:{colours.dark_line}}}" for name, (_, colours) in FAMILIES.items()]
    return "\n".join([
        f".tgc-page{{fill:#fff}} .tgc text{{font-family:{FONT};font-size:{DETAIL}px;fill:#3d4248;text-anchor:middle}}",
        ".tgc .tgc-title{font-size:13px;font-weight:600;fill:#111418} .tgc .tgc-left{text-anchor:start}",
        ".tgc-edge{fill:none;stroke:#4a4f55;stroke-width:1.4} .tgc-head{fill:#4a4f55} .tgc-dashed{stroke-dasharray:5 4}",
        ".tgc-frame{fill:#808890;fill-opacity:.07;stroke:#9aa0a6} .tgc .tgc-label{font-weight:600}",
        *light, *bands,
        "@media (prefers-color-scheme:dark){",
        ".tgc-page{fill:#0d1117} .tgc text{fill:#b4bcc6} .tgc .tgc-title{fill:#f0f3f6} .tgc-edge{stroke:#9aa4af} .tgc-head{fill:#9aa4af}",
        *dark, "}"])


def write(layout: Layout, *, title: str, description: str, footer: str) -> str:
    """The SVG text of a layout; `footer` is a line of text below it."""
    legend, legend_height = _legend(layout, footer)
    wide = max(layout.width, NARROWEST, width(footer, DETAIL)) + 2 * MARGIN
    left = (wide - layout.width) / 2
    high = layout.height + legend_height + 2 * MARGIN
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" class="tgc" role="img" width="{_n(wide)}" height="{_n(high)}" '
             f'viewBox="0 0 {_n(wide)} {_n(high)}">',
             f"<title>{_text(title)}</title>", f"<desc>{_text(description)}</desc>", f"<style>\n{style()}\n</style>",
             f'<rect class="tgc-page" width="{_n(wide)}" height="{_n(high)}"/>', f'<g transform="translate({_n(left)} {MARGIN})">']
    for frame in layout.frames:
        parts += _frame(frame)
    parts += map(_edge, layout.edges)
    for placed in layout.boxes:
        parts += _box(placed, vertical=layout.vertical)
    return "\n".join([*parts, "</g>", *legend, "</svg>", ""])


def _text(text: str) -> str:
    return escape(text.translate(FOREIGN).encode("utf-8", "replace").decode())


def _n(number: float) -> str:
    """A number with at most one decimal."""
    return f"{number:.1f}".removesuffix(".0")


def _rect(kind: str, x: float, y: float, w: float, h: float, more: str = "") -> str:
    return f'<rect class="{kind}" x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}"{more}/>'


def _frame(placed: Placed) -> Iterable[str]:
    row, (x, y, w, h) = placed.item, (placed.x, placed.y, placed.width, placed.height)
    kind = "tgc-frame tgc-dashed" if row.dashed else "tgc-frame"
    if row.times > 1:
        yield f'<path class="{kind}" d="M{_n(x + 5)} {_n(y + h + 4)}H{_n(x + w + 4)}V{_n(y + 5)}" style="fill:none"/>'
    yield _rect(kind, x, y, w, h, ' rx="9"')
    yield f'<text class="tgc-label tgc-left" x="{_n(x + PAD)}" y="{_n(y + FRAME_PAD + 5)}">{_text(row.heading)}</text>'


def _box(placed: Placed, *, vertical: bool) -> Iterable[str]:
    box, (x, y, w, h) = placed.item, (placed.x, placed.y, placed.width, placed.height)
    text = lines(box, vertical=vertical)
    corner = min(h / 2, 14) if box.family in ("input", "join") else 5
    yield f'<g data-steps="{" ".join(map(str, box.steps))}">'
    if box.tip:
        yield f"<title>{_text(box.tip)}</title>"
    if box.times > 1:
        yield _rect(f"tgc-shadow tgc-{box.family}", x + 4, y + 4, w, h, f' rx="{_n(corner)}"')
    yield _rect(f"tgc-{box.family}{' tgc-dashed' if box.dashed else ''}", x, y, w, h, f' rx="{_n(corner)}"')
    for i, kind in enumerate(box.also):                # what runs along, as bands in its colours
        room = (w - 16) / len(box.also)
        yield _rect(f"tgc-band-{kind}", x + 8 + i * room, y + h - 4, room, 3)
    at = y + (h - sum(LINE[line.size] for line in text)) / 2 - (2 if box.also else 0)
    for line in text:
        at += LINE[line.size]
        kind = ' class="tgc-title"' if line.bold else ""
        yield f'<text{kind} x="{_n(x + w / 2)}" y="{_n(at - 4)}">{_text(line.text)}</text>'
    yield "</g>"


def _edge(edge: Edge) -> str:
    (x0, y0), (x1, y1) = edge.points[-2:]
    dx, dy = (x1 > x0) - (x1 < x0), (y1 > y0) - (y1 < y0)
    length, half = HEAD
    bx, by = x1 - dx * length, y1 - dy * length
    line = rounded((*edge.points[:-1], (bx, by)))
    kind = "tgc-edge tgc-dashed" if edge.dashed else "tgc-edge"
    return (f'<path class="{kind}" d="{line}"/><path class="tgc-head" d="M{_n(x1)} {_n(y1)}L{_n(bx + dy * half)} {_n(by + dx * half)} '
            f'{_n(bx - dy * half)} {_n(by - dx * half)}Z"/>')


def rounded(points: tuple[Point, ...]) -> str:
    """The path through `points`, its corners rounded."""
    path = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:]):
        radius = min(ROUND, _length(before, corner) / 2, _length(corner, after) / 2)
        (ax, ay), (bx, by) = _towards(corner, before, radius), _towards(corner, after, radius)
        path.append(f"L{_n(ax)} {_n(ay)}Q{_n(corner[0])} {_n(corner[1])} {_n(bx)} {_n(by)}")
    return "".join([*path, f"L{_n(points[-1][0])} {_n(points[-1][1])}"])


def _length(a: Point, b: Point) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _towards(start: Point, end: Point, distance: float) -> Point:
    length = _length(start, end)
    return (start[0] + (end[0] - start[0]) / length * distance, start[1] + (end[1] - start[1]) / length * distance) if length else start


def _legend(layout: Layout, footer: str) -> tuple[list[str], float]:
    """The families that are in the picture, each with a swatch, and the footer; their lines are as long as the page allows."""
    present = {kind for placed in layout.boxes if isinstance(placed.item, Box) for kind in (placed.item.family, *placed.item.also)}
    made, room = [], max(layout.width, NARROWEST, width(footer, DETAIL))
    x, y = 0.0, layout.height + 28
    for name, (words, _) in FAMILIES.items():
        if name in present and name not in ("input", "join"):
            step = 18 + width(words, DETAIL) + 14
            if x and x + step - 14 > room:
                x, y = 0.0, y + LEGEND
            made += [_rect(f"tgc-{name}", MARGIN + x, MARGIN + y - 10, 12, 12, ' rx="3"'),
                     f'<text class="tgc-left" x="{_n(MARGIN + x + 18)}" y="{_n(MARGIN + y)}">{_text(words)}</text>']
            x += step
    if footer:
        y += LEGEND
        made.append(f'<text class="tgc-left" x="{MARGIN}" y="{_n(MARGIN + y)}">{_text(footer)}</text>')
    return made, y - layout.height + 4
