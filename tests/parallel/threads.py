"""Ranks that are threads of this process, for tests where MPI is absent: what an op or a bucket does is seen without any transport."""
from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tinygradconv.parallel import Group


class ThreadGroup(Group):
    """One of several threads. Sums are added in the order of the ranks; a large one is made when it is waited for."""

    def __init__(self, rank, size, board, barrier):
        self.rank, self.size, self._board, self._barrier = rank, size, board, barrier

    def exchange(self, value):
        self._board[self.rank] = value
        self._barrier.wait()
        every = list(self._board)
        self._barrier.wait()
        return every

    def gather(self, array):
        return np.stack(self.exchange(np.array(array)))

    def sum(self, array):
        total, *others = self.gather(array)
        for other in others:
            total = total + other
        array[...] = total

    def start_sum(self, array):
        return _Later(self, array)

    def broadcast(self, data):
        return self.exchange(data)[0]

    def largest(self, number):
        return max(self.exchange(number))

    def barrier(self):
        self.exchange(None)


class _Later:
    def __init__(self, group, array):
        self._group, self._array = group, array

    def done(self):
        return False

    def wait(self):
        self._group.sum(self._array)


def together(size, work):
    """[work(group) of each rank]; an error of one is raised here, and breaks the others off."""
    board, barrier = [None] * size, threading.Barrier(size, timeout=60)

    def run(rank):
        try:
            return work(ThreadGroup(rank, size, board, barrier))
        except BaseException:
            barrier.abort()
            raise
    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(run, rank) for rank in range(size)]
    errors = [f.exception() for f in futures if f.exception() is not None]
    for error in errors:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    if errors:
        raise errors[0]
    return [f.result() for f in futures]
