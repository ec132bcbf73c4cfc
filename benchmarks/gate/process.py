"""Questions to a worker process, and its answers."""
from __future__ import annotations

import json
import subprocess
from types import TracebackType
from typing import Any

from .build import ROOT, Commit, GateError


class Worker:
    """A running `worker.py` of one commit; ask it, and close it or leave its `with` block. `prefix` is put before its command."""

    def __init__(self, commit: Commit, *, threads: int = 1, prefix: tuple[str, ...] = ()) -> None:
        self.commit = commit
        self._process = subprocess.Popen([*prefix, *commit.python("benchmarks.gate.worker")], cwd=ROOT, env=commit.environment(threads),
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ask(self, do: str, **request: Any) -> Any:
        """The answer to one request; GateError, with the process's last words, where it has died."""
        try:
            self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            words = "\n".join(self._process.communicate()[1].splitlines()[-15:])
            raise GateError(f"the process of commit {self.commit.name[:10]} ended at {do} {request.get('work', '')}:\n{words}")
        return json.loads(line)

    def close(self) -> None:
        """End the process and wait for it."""
        if self._process.poll() is None:
            self._process.communicate()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            stream.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
