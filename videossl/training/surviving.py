"""A loader that goes on where workers were killed, with the very next batch."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset, Sampler

from videossl.data.dataset import Sample
from videossl.errors import UsageError, WorkError

MOST_DEATHS_IN_A_ROW = 3
SECONDS_TO_DIE = 2.0
BatchesFrom = Callable[[int], Iterator[list[int]]]


class SurvivingLoader:
    """Batches of a `DataLoader`, whatever happens to its workers.

    A worker that is killed (by the system when memory is short, or by hand) takes the batches with it that it was
    making. Batches come in order and are a pure function of their samples, so a new set of workers is started at the
    first batch that is missing, and nobody can tell from the batches that there was a death.

    Args:
        dataset: What is loaded.
        batches: `batches(skip)` yields the sample numbers of every batch after the first `skip` ones.
        num_batches: Length of the whole stream, however many are left.
        num_workers: Processes.
        **settings: Other arguments of `DataLoader`.

    Attributes:
        num_deaths: Times that workers were replaced.
        waited_seconds: Time that whoever reads the batches has spent waiting for them; starting workers included.
    """

    def __init__(
        self, dataset: Dataset[Sample], batches: BatchesFrom, *, num_batches: int, num_workers: int, **settings: Any
    ) -> None:
        self.dataset = dataset
        self.batches = batches
        self.num_batches = num_batches
        self.num_workers = num_workers
        self.settings = settings
        self.num_deaths = 0
        self.waited_seconds = 0.0

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches.

        Raises:
            WorkError: Workers were killed several times at the same batch, or what the data set raises.
        """
        given = deaths_in_a_row = 0
        while True:
            began = time.monotonic()
            loaded = self._workers(given)
            try:
                while True:
                    batch = next(loaded)
                    self.waited_seconds += time.monotonic() - began
                    yield batch
                    began = time.monotonic()
                    given += 1
                    deaths_in_a_row = 0
            except StopIteration:
                return
            except (WorkError, UsageError) as error:
                raise _without_traceback(error) from error
            except Exception as error:
                # What a dead worker had ready cannot be fetched any more, which may be noticed before its death.
                deaths = _deaths(loaded, wait_seconds=SECONDS_TO_DIE if isinstance(error, OSError | EOFError) else 0.0)
                if not deaths:
                    raise
                self.num_deaths += 1
                deaths_in_a_row += 1
                if deaths_in_a_row == MOST_DEATHS_IN_A_ROW:
                    raise WorkError(
                        f"loader workers died {deaths_in_a_row} times in a row at the same batch ({deaths}). If memory "
                        "is short, lower training.num_workers, training.batch_size or data.cache_gib. "
                        "Go on from the last checkpoint with --ckpt last."
                    ) from error
                print(
                    f"warning: a loader worker died ({deaths}); new ones go on with the same batch "
                    f"(death {self.num_deaths} of this training)",
                    file=sys.stderr,
                    flush=True,
                )
            finally:
                _end(loaded)

    def _workers(self, given: int) -> Iterator[Any]:
        loader = DataLoader(
            self.dataset, batch_sampler=_Rest(self.batches, given), num_workers=self.num_workers, **self.settings
        )
        if threading.current_thread() is not threading.main_thread():
            return iter(loader)
        # torch raises from a signal handler when a worker dies, wherever the main thread is: in the middle of a
        # training step. A death is found all the same when its batch does not come.
        before = signal.getsignal(signal.SIGCHLD)
        loaded = iter(loader)
        is_torch = getattr(before, "__module__", "") == "torch.utils.data._utils.signal_handling"
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if is_torch or before is None else before)
        return loaded


class _Rest(Sampler[list[int]]):
    def __init__(self, batches: BatchesFrom, given: int) -> None:
        self.batches = batches
        self.given = given

    def __iter__(self) -> Iterator[list[int]]:
        return self.batches(self.given)


def _deaths(loaded: Iterator[Any], *, wait_seconds: float) -> str:
    """How workers of a loader ended that should not have ended; empty if all live."""
    until = time.monotonic() + wait_seconds
    while True:
        codes = [worker.exitcode for worker in getattr(loaded, "_workers", ())]
        deaths = [code for code in codes if code not in (None, 0)]
        if deaths or time.monotonic() >= until:
            return ", ".join(signal.Signals(-code).name if code < 0 else f"exit code {code}" for code in deaths)
        time.sleep(0.01)


def _end(loaded: Iterator[Any]) -> None:
    shutdown = getattr(loaded, "_shutdown_workers", None)
    if shutdown is not None:
        shutdown()


def _without_traceback(error: Exception) -> Exception:
    """An error that torch has carried out of a worker with the traceback in its message: as it was."""
    if "Traceback (most recent call last)" not in str(error):
        return error
    return type(error)(str(error).rsplit(f"{type(error).__name__}: ", 1)[-1].strip())
