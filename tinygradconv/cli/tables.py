"""tinygradconv tables: the lecture's tables, computed."""
from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .writing import add_formats, put, written

ENDINGS = {None: "txt", "csv": "csv", "markdown": "md", "latex": "tex", "json": "json"}


def add(commands: Any) -> None:
    """Its parser."""
    tables = commands.add_parser("tables", help="every table of the lecture, computed",
                                 description="Every table of the lecture, computed, beside what its slides print.")
    tables.add_argument("collection", metavar="lecture", nargs="?", choices=["lecture"], help="whose tables: lecture")
    tables.add_argument("names", metavar="TABLE", nargs="*", help="which of them; default: all")
    tables.add_argument("--list", action="store_true", help="the names of the tables")
    tables.add_argument("--out", metavar="FOLDER", type=Path, help="write each table to a file of its own in this folder")
    add_formats(tables)
    tables.set_defaults(parser=tables, run=run)


def run(asked: argparse.Namespace) -> int:
    """Print the tables; the exit code."""
    from tinygradconv.explain import lecture
    if asked.collection is None and (asked.out is not None or asked.format is not None):
        asked.parser.error("name whose tables to write: lecture")
    if asked.list or asked.collection is None:
        for name, make in lecture.TABLES.items():
            print(f"lecture {name.ljust(max(map(len, lecture.TABLES)))}  {(make.__doc__ or '').splitlines()[0]}")
        return 0
    sheets = [lecture.table(name) for name in asked.names or lecture.TABLES]
    if asked.out is not None:
        from tinygradconv.interop.files import write_whole
        try:
            asked.out.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise ValueError(f"cannot make the folder {asked.out}: {problem.strerror}. Name another one by --out") from None
        for sheet in sheets:
            write_whole(asked.out / f"{sheet.name}.{ENDINGS[asked.format]}", (written(sheet, asked.format).rstrip("\n") + "\n").encode())
        print(f"{len(sheets)} tables in {asked.out}")
    elif asked.format == "json":
        print(json.dumps({"tables": [sheet.as_dict() for sheet in sheets]}))
    elif asked.format == "csv" and len(sheets) > 1:              # a CSV text holds one table: each is announced by a line with its name
        put("\r\n".join(f"{sheet.name}\r\n{sheet.to_csv()}" for sheet in sheets))
    else:
        put("\n\n\n".join(written(sheet, asked.format) for sheet in sheets))
    return 0
