"""The picture as Mermaid flowchart text, which GitHub draws (up to 500 edges): scopes are subgraphs."""
from __future__ import annotations

from .measure import lines
from .palette import FAMILIES
from .picture import Box, Item, Row, Side, boxes, edges

SPECIAL = {character: f"#{ord(character)};" for character in "\"#&<>`|;[]{}()\\"}


def write(row: Row, start: Box, *, vertical: bool) -> str:
    """Mermaid text of `row`, which `start` flows into."""
    every = [start, *boxes(row)]
    names = {id(box): f"n{number}" for number, box in enumerate(every)}
    text = ["flowchart TB" if vertical else "flowchart LR", *_nodes(Row([start, *row.items]), names, "  ", [0])]
    text += [f"  {names[id(source)]} {'-.->' if dashed else '-->'} {names[id(target)]}" for source, target, dashed in edges(row, start)]
    for family, (_, colours) in FAMILIES.items():
        members = [names[id(box)] for box in every if box.family == family]
        if members:
            text.append(f"  classDef {family} fill:{colours.fill},stroke:{colours.line},color:#111418")
            text.append(f"  class {','.join(members)} {family}")
    return "\n".join(text) + "\n"


def _nodes(item: Item, names: dict[int, str], indent: str, frames: list[int]) -> list[str]:
    """The lines that declare the boxes of an item, those of a frame in a subgraph; `frames` counts subgraphs."""
    if isinstance(item, Box):
        words = "<br/>".join(_said(line.text) for line in lines(item, vertical=True))
        opening, closing = ("([", "])") if item.family in ("join", "input") else ("[", "]")
        return [f'{indent}{names[id(item)]}{opening}"{words}"{closing}']
    if isinstance(item, Side):
        return _nodes(item.head, names, indent, frames)
    if not isinstance(item, Row):
        branches = [line for branch in item.branches for line in _nodes(branch, names, indent, frames)]
        return branches + _nodes(item.join, names, indent, frames)
    inside = indent + "  " if item.framed else indent
    opening = f'{indent}subgraph g{frames[0]}["{_said(item.heading)}"]'
    frames[0] += item.framed
    held = [line for inner in item.items for line in _nodes(inner, names, inside, frames)]
    return [opening, *held, f"{indent}end"] if item.framed and held else held


def _said(text: str) -> str:
    """Text between quotes, with Mermaid's own codes for what it would read as markup."""
    return "".join(SPECIAL.get(character, character if character >= " " else " ") for character in text)
