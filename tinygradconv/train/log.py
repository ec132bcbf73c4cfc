"""log.csv: what a run has seen, one row at a time, each row written whole before the snapshot that counts on it."""
from __future__ import annotations

import csv
import io
from pathlib import Path

from tinygradconv.interop.files import append_line, write_whole

COLUMNS = ("epoch", "step", "rate", "loss", "train_accuracy", "accuracy", "seconds")
OLDER = tuple(column for column in COLUMNS if column != "train_accuracy")          # of runs that were begun before it was counted


class Log:
    """The rows of a run: epoch, step (both done so far), rate, mean loss and training accuracy in % since the row before, test accuracy
    in %, seconds.

    A row within an epoch has no test accuracy. Columns that an older log does not have are empty.

    A kill may leave a row half written, or rows that no snapshot counts on yet; `cut(count)` takes both away.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self) -> None:
        """A new file with only the names of the columns."""
        write_whole(self.path, (",".join(COLUMNS) + "\n").encode())

    def add(self, *values: object) -> None:
        """One more row."""
        append_line(self.path, ",".join(map(str, values)))

    def rows(self) -> list[dict[str, str]]:
        """The whole rows, by column. ValueError: the file is not a log of a run."""
        text = self.path.read_bytes().decode("utf-8", "replace")
        lines = text[:text.rfind("\n") + 1]                    # a line that has no end was cut off
        if not lines:
            return []
        if lines.split("\n", 1)[0] not in (",".join(COLUMNS), ",".join(OLDER)):
            raise ValueError(f"{self.path} is not the log of a run: its first line must be {','.join(COLUMNS)!r}")
        whole = [row for row in csv.DictReader(io.StringIO(lines)) if None not in row and None not in row.values()]
        return [{column: row.get(column, "") for column in COLUMNS} for row in whole if row["step"].isdigit()]

    def cut(self, count: int) -> None:
        """Keep the first `count` rows; a log that is gone starts anew."""
        rows = self.rows()[:count] if self.path.exists() else []
        lines = [",".join(COLUMNS), *(",".join(row[column] for column in COLUMNS) for row in rows)]
        data = ("\n".join(lines) + "\n").encode()
        if not self.path.exists() or self.path.read_bytes() != data:
            write_whole(self.path, data)
