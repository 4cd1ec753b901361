"""A decoder that crashes or hangs costs one video, and neither training nor its workers."""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from videossl.data import ClipPlanner, PyAVReader, VideoIndex, VideoViews, collate
from videossl.data.isolation import HUNG, ChildDiedError, Isolated
from videossl.errors import WorkError
from videossl.types import ViewBatch


def act(what: str, size: int = 1) -> Any:
    if what == "crash":
        ctypes.string_at(0)
    if what == "exit":
        os._exit(3)
    if what == "hang":
        time.sleep(60)
    if what == "abort":
        os.abort()
    if what == "raise":
        raise ValueError("a reason")
    if what == "unpicklable":
        return lambda: None
    if what == "pid":
        return os.getpid()
    return np.full(size, 7, dtype=np.uint8)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def is_gone_soon(pid: int) -> bool:
    until = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    return not is_alive(pid)


@pytest.fixture
def isolated() -> Isolated:
    return Isolated(act, deadline_seconds=0.3)


def test_results_come_back_as_they_are_from_one_process(isolated: Isolated) -> None:
    for size in (1, 0, 5, 3_000_000, 2):
        result = isolated("array", size)
        assert result.shape == (size,)
        assert (result == 7).all()
        result[:] = 1  # it is ours: the next call does not see it
    assert isolated("pid") == isolated("pid") != os.getpid()


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("crash", signal.SIGSEGV, "crashed (SIGSEGV)"),
        ("abort", signal.SIGABRT, "crashed (SIGABRT)"),
        ("exit", 256 + 3, "ended itself (exit code 3)"),
        ("hang", HUNG, "hung"),
    ],
)
def test_a_call_that_dies_costs_its_process_only(isolated: Isolated, what: str, code: int, words: str) -> None:
    first = isolated("pid")
    with pytest.raises(ChildDiedError) as caught:
        isolated(what)
    assert caught.value.code == code
    assert words in str(caught.value)
    assert is_gone_soon(first)
    assert isolated("pid") != first


def test_errors_are_raised_here_and_cost_no_process(isolated: Isolated) -> None:
    first = isolated("pid")
    with pytest.raises(ValueError, match="a reason"):
        isolated("raise")
    with pytest.raises(WorkError, match="cannot be sent between processes"):
        isolated("unpicklable")
    assert isolated("pid") == first


def test_a_process_that_dies_between_calls_is_nobodys_fault(isolated: Isolated) -> None:
    for _ in range(3):
        os.kill(isolated("pid"), signal.SIGKILL)
        assert isolated("array").sum() == 7


def test_a_fork_has_a_process_of_its_own_even_if_daemonic(isolated: Isolated) -> None:
    ours = isolated("pid")
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    worker = context.Process(target=lambda: queue.put((isolated("pid"), isolated("pid"))), daemon=True)
    worker.start()
    first, second = queue.get()
    worker.join(10)
    assert worker.exitcode == 0
    assert first == second != ours
    assert is_gone_soon(first)  # ended with its owner
    assert isolated("pid") == ours


def test_the_process_ends_however_its_owner_ends() -> None:
    code = """
        import os, sys
        from videossl.data.isolation import Isolated
        for end in ("os.kill(os.getpid(), 9)", "os._exit(0)", "raise ValueError", "sys.exit(0)"):
            owner = os.fork()
            if owner == 0:
                isolated = Isolated(os.getpid, deadline_seconds=None)
                print(isolated(), flush=True)
                exec(end)
            os.waitpid(owner, 0)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60)
    pids = [int(line) for line in done.stdout.split()]
    assert len(pids) == 4
    assert all(is_gone_soon(pid) for pid in pids)


def test_ctrl_c_reaches_the_owner_only_and_its_half_answer_is_not_taken_for_the_next(isolated: Isolated) -> None:
    slow = Isolated(act, deadline_seconds=None)
    pid = slow("pid")
    os.kill(pid, signal.SIGINT)
    assert slow("pid") == pid
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            slow("hang")
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert slow("array", 2).tolist() == [7, 7]


def test_closing_leaves_no_process_and_no_descriptor(isolated: Isolated) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    isolated("array")
    isolated.close()
    before = descriptors()
    for _ in range(5):
        pid = isolated("pid")
        isolated.close()
        assert not Path(f"/proc/{pid}").exists()  # not a zombie either
        with pytest.raises(ChildDiedError):
            isolated("exit")
        isolated.close()
    assert descriptors() == before


class BadDecoder(PyAVReader):
    """Crashes on 2.mp4 and hangs on 4.mp4, and leaves a mark each time it hangs."""

    def read(self, frames: Sequence[int], *, size: int | None) -> np.ndarray:
        if self.path.name == "2.mp4":
            ctypes.string_at(0)
        if self.path.name == "4.mp4":
            with (self.path.parent / "hangs").open("a") as marks:
                marks.write("x")
            time.sleep(60)
        return super().read(frames, size=size)


def views_of(folder: Path, **arguments: Any) -> VideoViews:
    index = VideoIndex.build(folder, heldout_share=0, seed=0)
    settings: dict[str, Any] = {"planner": ClipPlanner(num_frames=3), "frame_size": 16, "reader": BadDecoder}
    return VideoViews(index, **(settings | {"deadline_seconds": 0.5} | arguments))


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("cache_gib", [0, 1])
def test_crashes_and_hangs_are_replaced_and_told_with_their_cause(
    folder: Path, num_workers: int, cache_gib: float
) -> None:
    views = views_of(folder, cache_gib=cache_gib)
    loader: DataLoader[Any] = DataLoader(
        views, batch_size=3, sampler=range(12), num_workers=num_workers, collate_fn=collate
    )
    began = time.monotonic()
    batches = list(loader)
    assert time.monotonic() - began < 5
    videos = torch.cat([batch.videos for batch in batches])
    assert videos.tolist() == [0, 1, 3, 3, 5, 5] * 2
    levels = torch.cat([batch.clips for batch in batches]).float().mean(dim=(-3, -2, -1))
    wanted = 20 * torch.cat([batch.frames for batch in batches]) + videos[:, None, None]
    assert (levels - wanted).abs().max() < 4  # label and video keep together
    failures = {failure.video: failure.cause for batch in batches for failure in batch.failures}
    assert failures == {
        "2.mp4": "its decoder crashed (SIGSEGV).",
        "4.mp4": "its decoder hung: no frames within 0.5 s. If it is only slow, raise data.deadline_seconds.",
    }


def test_a_hang_is_waited_for_once_by_all_workers(folder: Path) -> None:
    views = views_of(folder)
    for _ in range(2):  # the second time by new workers
        loader: DataLoader[ViewBatch] = DataLoader(
            views, batch_size=1, sampler=[4] * 4, num_workers=1, collate_fn=collate
        )
        assert [batch.videos.tolist() for batch in loader] == [[5]] * 4
    assert (folder / "hangs").read_text() == "x"


def test_workers_leave_no_decoder_behind(folder: Path) -> None:
    def decoders() -> set[int]:
        return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}

    before = decoders()
    views = views_of(folder, reader=PyAVReader)
    list(DataLoader(views, batch_size=3, num_workers=2, collate_fn=collate))
    mine = {
        pid
        for pid in decoders() - before
        if Path(f"/proc/{pid}/stat").exists() and str(os.getpid()) in Path(f"/proc/{pid}/stat").read_text().split()[:5]
    }
    assert not {pid for pid in mine if not is_gone_soon(pid)}


def test_without_isolation_videos_are_read_in_the_same_process(folder: Path, make_video: Callable[..., Path]) -> None:
    here = views_of(folder, reader=PyAVReader, isolate=False)
    there = views_of(folder, reader=PyAVReader)
    assert all(torch.equal(one.clips, other.clips) for one, other in zip(here, there, strict=True))
