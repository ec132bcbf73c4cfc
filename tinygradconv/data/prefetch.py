"""Work done ahead in the background, in order, a few pieces at a time."""
from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextvars import copy_context
from multiprocessing import get_context
from typing import Any

from tinygradconv.settings import current, settings

AHEAD = 2             # results that wait for being taken, beside those in work: steps are not all equally long


def threads(work: Callable[[Any], Any], pieces: Sequence[Any], workers: int) -> Iterator[Any]:
    """work(piece) for each piece, in order, by this many threads, with the caller's settings; see `_in_order`."""
    def submit(pool: Executor, piece: Any) -> Future:
        return pool.submit(copy_context().run, work, piece)        # settings are of a context, and a new thread has none
    def pool() -> Executor:
        return ThreadPoolExecutor(workers, "tinygradconv-loader", _step_back)
    return _in_order(pool, submit, pieces, workers)


def _step_back() -> None:
    """In a new thread: run where nobody else wants to.

    The kernels use every core, and wait for the last of their threads; a worker that takes its core for a moment stops them all. On two
    cores a step of LeNet-5 went from 5 ms to 8 beside a worker of the usual priority, and stayed at 5 beside one of the lowest.
    """
    if sys.platform == "linux":                # elsewhere a priority is of the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


def processes(arguments: Callable[[Any], tuple], work: Callable[..., Any], pieces: Sequence[Any], workers: int) -> Iterator[Any]:
    """work(*arguments(piece)) for each piece, in order, by this many spawned processes; `arguments` is called here.

    Spawned, because a forked one would inherit OpenMP's threads as if they were alive. `work` and its arguments are pickled.
    """
    def pool() -> Executor:
        return ProcessPoolExecutor(workers, get_context("spawn"), _begin, (dict(current()),))
    return _in_order(pool, lambda pool, piece: pool.submit(work, *arguments(piece)), pieces, workers)


def _begin(values: dict[str, Any]) -> None:
    """In a new process: the settings of the one that started it; Ctrl-C is that one's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings(**values).__enter__()


def _in_order(make_pool: Callable[[], Executor], submit: Callable[[Executor, Any], Future], pieces: Sequence[Any],
              workers: int) -> Iterator[Any]:
    """The results in order, never more than workers + AHEAD begun and not taken.

    An error of a piece is raised where its result would come. However the iteration ends, by its last piece, an error, Ctrl-C or
    because nobody goes on with it, the pieces that have not begun are dropped and the workers have ended before it is over.
    """
    with make_pool() as pool:
        waiting: deque[Future] = deque()
        try:
            for piece in pieces:
                waiting.append(submit(pool, piece))
                if len(waiting) == workers + AHEAD:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()


def _result(future: Future) -> Any:
    """What the future ends with. Ctrl-C is Ctrl-C, also where it comes while CPython's condition variable holds no lock, which it then
    cannot release (a RuntimeError in its place).
    """
    try:
        return future.result()
    except RuntimeError as problem:
        if isinstance(problem.__context__, KeyboardInterrupt):
            raise problem.__context__ from None
        raise
