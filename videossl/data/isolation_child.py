"""The other side of `isolation`: the process in which isolated calls run."""

import faulthandler
import gc
import mmap
import os
import pickle
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from videossl.errors import WorkError

SECONDS_OF_GRACE = 5.0
ALIGNMENT = 64


def serve(function: Callable[..., Any], connection: Connection, memory: int) -> NoReturn:
    """Answer calls until the owner is gone; see `Isolated` for the arguments. Does not return."""
    try:
        _be_a_child()
        owner = os.getppid()
        shared = memoryview(b"")
        connection.send_bytes(b"ready")
        while True:
            while not connection.poll(SECONDS_OF_GRACE):
                if os.getppid() != owner:
                    os._exit(0)
            deadline_seconds, arguments = pickle.loads(connection.recv_bytes())
            if deadline_seconds is not None:  # in case the owner is killed while this hangs: nobody else would end it
                signal.setitimer(signal.ITIMER_REAL, deadline_seconds + SECONDS_OF_GRACE)
            try:
                succeeded, result = True, function(*arguments)
            except Exception as error:
                succeeded, result = False, error
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            shared = _answer(connection, memory, shared, succeeded, result)
            del arguments, result
    except (EOFError, OSError):  # the owner has closed its end
        os._exit(0)
    finally:
        os._exit(1)  # never back into the code of the owner, nor through its exit handlers


def _be_a_child() -> None:
    faulthandler.disable()  # its report would look as if training had crashed
    for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT):
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()  # what belongs to the owner is not collected here
    import torch

    torch.set_num_threads(1)  # the threads of the owner were not forked, and OpenMP would wait for them


def _answer(connection: Connection, memory: int, shared: memoryview, succeeded: bool, result: Any) -> memoryview:
    buffers: list[pickle.PickleBuffer] = []
    try:
        payload = pickle.dumps(result, protocol=5, buffer_callback=buffers.append)
    except Exception as error:
        reason = f"{type(result).__name__} cannot be sent between processes: {result} ({error})"
        succeeded, payload, buffers = False, pickle.dumps(WorkError(reason)), []
    raws = [buffer.raw() for buffer in buffers]
    places, used = [], 0
    for raw in raws:
        places.append((used, raw.nbytes))
        used += -(-raw.nbytes // ALIGNMENT) * ALIGNMENT
    shared = mapped(memory, shared, used)
    for (start, size), raw in zip(places, raws, strict=True):
        shared[start : start + size] = raw
    connection.send_bytes(pickle.dumps((succeeded, payload, places), protocol=5))
    return shared


def mapped(memory: int, shared: memoryview, num_bytes: int) -> memoryview:
    """Shared memory of at least so many bytes: what is mapped already if it is enough, for new pages are slow."""
    if len(shared) >= num_bytes:
        return shared
    if os.fstat(memory).st_size < num_bytes:
        os.ftruncate(memory, num_bytes)
    return memoryview(mmap.mmap(memory, num_bytes))
