"""Look into many videos at once, in processes of their own: a decoder that crashes or hangs costs one row, no more.

`isolation.Isolated` makes one call at a time and waits for its answer. An index looks into thousands of videos a
second: here processes have their next video before they have answered for the last, and give signs of life during a
long check.
"""

import faulthandler
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from videossl.data.looking import Looked, look
from videossl.data.media import Media
from videossl.data.video import Check
from videossl.errors import WorkError

# A worker has its next video when it is done with one: it never waits for us.
VIDEOS_AHEAD = 2
# What the slowest disk reads, and what the slowest decoder decodes.
SLOWEST_BYTES_PER_SECOND = {"fast": 2_000_000, "full": 200_000}
# So often a worker without work asks whether the process that made it still lives.
ORPHAN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Task:
    """A video to be looked into.

    Attributes:
        media: Where it lies.
        num_bytes: Its length, 0 if it is not known.
    """

    media: Media
    num_bytes: int


def look_at_all(
    tasks: Sequence[Task], *, check: Check, num_workers: int, deadline_seconds: float
) -> Generator[tuple[int, Looked], None, None]:
    """Look into videos; see `look`.

    Args:
        tasks: The videos.
        check: How thoroughly.
        num_workers: Processes; 0 looks in this process, without a deadline and without safety from crashes.
        deadline_seconds: A video that gives no sign of life for so long, and a second more for every 2 MB of it (0.2 MB
            in a full check), is given up. In a full check the clock starts again with every few hundred frames.

    Yields:
        (number of the task, what was found), in the order in which they are done.

    Raises:
        WorkError: Processes cannot be started.
        UsageError: See `look`.
    """
    if num_workers == 0:
        yield from ((number, look(task.media, check)) for number, task in enumerate(tasks))
        return
    todo = deque(range(len(tasks)))
    workers = [_Worker(check, deadline_seconds) for _ in range(min(num_workers, len(tasks)))]
    try:
        while todo or any(worker.numbers for worker in workers):
            for worker in workers:
                while todo and len(worker.numbers) < VIDEOS_AHEAD and worker.give(todo[0], tasks[todo[0]]):
                    todo.popleft()
            wait([worker.connection for worker in workers], timeout=min(worker.seconds_left for worker in workers))
            for place, worker in enumerate(workers):
                yield from worker.answers()
                cause = worker.why_to_end()
                if cause is not None:
                    worker.end()
                    workers[place] = _Worker(check, deadline_seconds)
                    if worker.numbers:
                        yield worker.numbers.popleft(), Looked(error=cause)
                        todo.extendleft(reversed(worker.numbers))
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process that looks into videos, and those that it was given and has not answered."""

    def __init__(self, check: Check, deadline_seconds: float) -> None:
        self._deadline_seconds = deadline_seconds
        self._bytes_per_second = SLOWEST_BYTES_PER_SECOND[check]
        # Forked, as the workers of a DataLoader are: quick, and no script needs a guard. Elsewhere spawned.
        has_fork = "fork" in multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context("fork" if has_fork else "spawn")
        self.connection: Connection
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, check, os.getpid()), daemon=True)
        self.process.start()
        theirs.close()
        self.numbers: deque[int] = deque()
        self._allowed: deque[float] = deque()  # seconds for each of them
        self._heard = time.monotonic()
        self._has_started = self._is_dead = False

    def give(self, number: int, task: Task) -> bool:
        """Hand over a video; whether it could be."""
        try:
            self.connection.send(task.media)
        except OSError:
            self._is_dead = True
            return False
        if not self.numbers:
            self._heard = time.monotonic()
        self.numbers.append(number)
        self._allowed.append(self._deadline_seconds + task.num_bytes / self._bytes_per_second)
        return True

    @property
    def seconds_left(self) -> float:
        """Until the video that it looks into is overdue; never below 0."""
        if not self.numbers or not self._has_started:
            return 60.0
        return max(0.0, self._heard + self._allowed[0] - time.monotonic())

    def answers(self) -> Iterator[tuple[int, Looked]]:
        """What it has found since it was asked last."""
        try:
            while self.connection.poll():
                answer = self.connection.recv()
                self._heard, self._has_started = time.monotonic(), True
                if isinstance(answer, Exception):
                    raise answer
                if isinstance(answer, Looked):
                    self._allowed.popleft()
                    yield self.numbers.popleft(), answer
        except (EOFError, ConnectionError):
            self._is_dead = True

    def why_to_end(self) -> str | None:
        """Why another process must take its place; if it was looking into a video, why that is given up."""
        if self._is_dead:
            self.process.join()
            code = self.process.exitcode or 0
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            if not self._has_started:
                raise WorkError(f"a process that looks into videos ended as soon as it was started ({how}).")
            return f"the decoder crashed ({how})."
        if self.numbers and self.seconds_left == 0:
            return f"gave no sign of life for {self._allowed[0]:.0f} s: the decoder hangs, or its disk is very slow."
        return None

    def end(self) -> None:
        """Stop it, whatever it does."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def _work(connection: Connection, check: Check, parent: int) -> None:
    """Life of a worker."""
    import torch

    faulthandler.disable()  # its report would look as if the whole command had crashed
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)  # the threads of the parent were not forked
    connection.send("started")
    try:
        while True:
            while not connection.poll(ORPHAN_SECONDS):
                if os.getppid() != parent:
                    return
            try:
                connection.send(look(connection.recv(), check, alive=lambda: connection.send("alive")))
            except EOFError:
                return
            except Exception as error:
                connection.send(error)
    except OSError:  # nobody listens any more
        return
