"""Calls in a process of their own: one that crashes or hangs costs its process and nothing else.

Decoders are native code that reads whatever lies in a file. A crash would take the loader's worker with it, a hang
would stop training for ever. So that code runs in a child that its caller can end. The child is forked, not started
afresh: it is there within milliseconds instead of seconds, shares the memory of its parent, and may be forked from the
daemonic workers of a `DataLoader`, which may start no process by `multiprocessing`.
"""

import contextlib
import copy
import os
import pickle
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.util import Finalize
from typing import Any

from videossl.data.isolation_child import mapped, serve
from videossl.errors import WorkError

SECONDS_TO_START = 30.0
SECONDS_TO_DIE = 2.0  # a process that waits for a dead disk cannot be ended: leave it
SECONDS_BETWEEN_LOOKS = 1.0
TIMES_TO_START = 3
HUNG = 1000  # beside numbers of signals (from 1) and exit codes (from 256)
# Memory is short, somebody cleans up, or the child's own clock ran on while owner and child were stopped.
SENT_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM}

_forking = threading.Lock()  # so that no child holds a half made connection of another
os.register_at_fork(after_in_child=_forking._at_fork_reinit)  # type: ignore[attr-defined]  # as threading does itself


class ChildDiedError(WorkError):
    """The process of an isolated call crashed, or was ended at its deadline.

    Attributes:
        code: `HUNG`, the number of the signal that ended it, or 256 + its exit code.
    """

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"the process of an isolated call {how_it_died(code)}")


def how_it_died(code: int) -> str:
    """What a `ChildDiedError.code` means: "crashed (SIGSEGV)"."""
    if code == HUNG:
        return "hung"
    if code >= 256:
        return f"ended itself (exit code {code - 256})"
    try:
        return f"crashed ({signal.Signals(code).name})"
    except ValueError:
        return f"crashed (signal {code})"


class Isolated:
    """A function whose calls run in another process, one at a time.

    The process is forked at the first call and again after it died; it ends with its owner. A fork of the owner, or a
    copy that was pickled, forks a process of its own. Ctrl-C does not reach it: its owner is told, and ends it.
    Arguments are pickled; arrays in the result come through shared memory.

    Args:
        function: What is called. It need not be picklable unless this object is pickled.
        deadline_seconds: A call that takes longer is given up; None: none is. Time in which the owner itself was
            stopped (Ctrl-Z) does not count.
    """

    def __init__(self, function: Callable[..., Any], *, deadline_seconds: float | None) -> None:
        self.function = function
        self.deadline_seconds = deadline_seconds
        self._forget()

    def __call__(self, *arguments: Any, times_longer: int = 1) -> Any:
        """`function(*arguments)`; what it raises is raised here.

        Args:
            *arguments: Of the function.
            times_longer: This call may take so many times the deadline.

        Raises:
            ChildDiedError: The call crashed its process, or took longer than the deadline.
            WorkError: No process can be forked.
        """
        return self.use(copy.deepcopy, *arguments, times_longer=times_longer)

    def use(self, then: Callable[[Any], Any], *arguments: Any, times_longer: int = 1) -> Any:
        """`then(function(*arguments))`, where arrays are not copied on their way to `then`, which must not keep them.

        Raises:
            ChildDiedError, WorkError: As for a call.
        """
        if self._owner != os.getpid():
            self._forget()  # the process of our parent is not ours to talk to
        with self._calling:
            try:
                return then(self._call(arguments, times_longer))
            except BaseException as error:
                if not isinstance(error, Exception):
                    self._end()  # Ctrl-C came in the middle: its answer would be taken for that of the next call
                raise

    def close(self) -> None:
        """End the process. The next call forks another."""
        if self._owner == os.getpid():
            self._end()

    def __getstate__(self) -> dict[str, Any]:
        return {"function": self.function, "deadline_seconds": self.deadline_seconds}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def _forget(self) -> None:
        self._owner = os.getpid()
        self._calling = threading.Lock()
        self._child: _Child | None = None

    def _call(self, arguments: tuple[Any, ...], times_longer: int) -> Any:
        deadline = None if self.deadline_seconds is None else times_longer * self.deadline_seconds
        message = pickle.dumps((deadline, arguments), protocol=5)
        for is_last in (False, True):
            child = self._live_child()
            try:
                child.connection.send_bytes(message)
            except OSError:
                self._end()  # died before it heard of this call
                continue
            if not child.answers_within(deadline):
                self._end()
                raise ChildDiedError(HUNG)
            try:
                succeeded, result = child.receive()
            except (EOFError, OSError):
                code = self._end()
                if code in SENT_FROM_OUTSIDE and not is_last:
                    continue  # not the fault of the call, as far as once can tell
                raise ChildDiedError(code) from None
            if succeeded:
                return result
            raise result
        raise WorkError("the process to decode in died twice before it was asked for anything: is memory short?")

    def _live_child(self) -> "_Child":
        if self._child is not None and self._child.has_ended():
            self._end()  # between two calls: nobody's fault
        if self._child is None:
            self._child = _start(self.function)
        return self._child

    def _end(self) -> int:
        child, self._child = self._child, None
        return 0 if child is None else child.end()


class _Child:
    """The other process, as its owner sees it."""

    def __init__(self, pid: int, connection: Connection, memory: int) -> None:
        self.pid = pid
        self.connection = connection
        self.memory = memory
        self._status: int | None = None
        self._shared = memoryview(b"")
        # Also when a worker of multiprocessing ends, which does not run what is registered with atexit.
        self._finalizer = Finalize(self, _end_process, (pid, connection, memory), exitpriority=10)

    def answers_within(self, seconds: float | None) -> bool:
        remaining = float("inf") if seconds is None else seconds
        while remaining > 0:
            look = min(SECONDS_BETWEEN_LOOKS, remaining)
            if self.connection.poll(look):
                return True
            remaining -= look  # not by the clock, which runs on while this process is stopped
        return False

    def receive(self) -> tuple[bool, Any]:
        succeeded, payload, places = pickle.loads(self.connection.recv_bytes())
        self._shared = mapped(self.memory, self._shared, sum(places[-1]) if places else 0)
        return succeeded, pickle.loads(payload, buffers=[self._shared[start : start + size] for start, size in places])

    def has_ended(self) -> bool:
        if self._status is None:
            self._status = _wait(self.pid, seconds=0.0)
        return self._status is not None

    def end(self) -> int:
        """End it if it lives; how it died."""
        if self._status is None:  # closed its end: it is dying of what we want to know
            self._status = _wait(self.pid, seconds=0.5 if self.connection.poll(0) else 0.0)
        status = self._status
        if status is not None:
            self._finalizer.cancel()
            self.connection.close()
            os.close(self.memory)
        else:
            status = self._finalizer()
        if status is None or os.WIFSIGNALED(status):
            return signal.SIGKILL if status is None else os.WTERMSIG(status)
        return 256 + os.WEXITSTATUS(status)


def _start(function: Callable[..., Any]) -> _Child:
    for _ in range(TIMES_TO_START):
        with _forking:
            ours, theirs = Pipe()
            memory = _shared_memory()
            try:
                pid = os.fork()
            except OSError as error:
                os.close(memory)
                raise WorkError(
                    f"no process can be started to decode in: {error.strerror}. Lower training.num_workers, or decode "
                    "in the loader's own process with data.isolate: false."
                ) from error
            if pid == 0:
                ours.close()  # or it would never hear that its owner is gone
                serve(function, theirs, memory)
            theirs.close()
        child = _Child(pid, ours, memory)
        try:
            if child.answers_within(SECONDS_TO_START) and ours.recv_bytes() == b"ready":
                return child
        except (EOFError, OSError):
            pass
        child.end()  # forked while another thread held a lock that the child waits for
    raise WorkError(
        f"a process to decode in did not start, {TIMES_TO_START} times in a row. Decode in the loader's own process "
        "with data.isolate: false."
    )


def _shared_memory() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("videossl-isolated")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _wait(pid: int, *, seconds: float) -> int | None:
    """Status of a process that has ended, or ends within this time; it is reaped."""
    until = time.monotonic() + seconds
    while True:
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # somebody else has reaped it
            return 0
        if ended:
            return status
        if time.monotonic() >= until:
            return None
        time.sleep(0.002)


def _end_process(pid: int, connection: Connection, memory: int) -> int | None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    connection.close()
    os.close(memory)
    return _wait(pid, seconds=SECONDS_TO_DIE)
