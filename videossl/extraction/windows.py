"""Cut a video of any length into clips of the length that the encoder was trained on. Integers only, no pixels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload


@dataclass(frozen=True)
class Window:
    """One clip of a video that is cut into clips; positions count the sampled frames of the video.

    Attributes:
        start: Position of the first frame.
        new: First position that no earlier window covers, >= start.
        positions: Position of every frame. After the end of the video the last one is repeated.
        rows: (index in time of the tubelet in this window, position of its first frame) of every tubelet that begins
            at `new` or later: what this window adds to the rows of frames.
    """

    start: int
    new: int
    positions: tuple[int, ...]
    rows: tuple[tuple[int, int], ...]

    @property
    def num_new(self) -> int:
        """How many frames this window covers that no earlier one does."""
        return self.positions[-1] + 1 - self.new

    @property
    def num_repeated(self) -> int:
        """How many frames stand in for frames after the end of the video."""
        return self.start + len(self.positions) - 1 - self.positions[-1]


class Windows(Sequence[Window]):
    """The windows that cover a video; each is made when it is asked for, so that hours of video take no memory.

    Window k begins `k * step_frames` after the first frame. Each frame belongs to the first window that covers it, so
    that behind the first window every frame has at least `clip_frames - step_frames` frames before it in its window.

    The last window is moved back until it ends with the video, so that its frames are seen with as much around them as
    the others; it adds only what the windows before it have not covered. It is moved by whole tubelets, and what is
    then still missing (less than a tubelet) is filled by repeating the last frame. A video shorter than one clip is
    filled in the same way. With `fill_end` nothing is moved, and all that is missing at the end is filled: under an
    encoder that is causal in time the vector of a frame then depends on no frame after its tubelet, and neither on how
    long the video is. Each frame is in exactly one of the `rows`, unless the steps leave frames out.

    Args:
        num_frames: Sampled frames of the video, >= 1.
        clip_frames: Frames T of a window, >= 1.
        tubelet_frames: Frames that the encoder joins to one time step, >= 1. A clip that is no multiple of it is filled
            up by the encoder; its windows cannot be moved by tubelets, so the last one is filled instead.
        step_frames: Frames from the start of a window to the start of the next, >= 1. None: `clip_frames`, so that
            windows follow each other without overlap. A longer step leaves frames out.
        fill_end: Fill the last window up instead of moving it back.
    """

    def __init__(
        self,
        num_frames: int,
        *,
        clip_frames: int,
        tubelet_frames: int,
        step_frames: int | None = None,
        fill_end: bool = False,
    ) -> None:
        step = clip_frames if step_frames is None else step_frames
        if min(num_frames, clip_frames, tubelet_frames, step) < 1:
            raise ValueError(
                "expected num_frames, clip_frames, tubelet_frames and step_frames of at least 1, "
                f"got {num_frames}, {clip_frames}, {tubelet_frames} and {step}."
            )
        self.num_frames = num_frames
        self.clip_frames = clip_frames
        self.tubelet_frames = tubelet_frames
        self.step_frames = step
        grid = tubelet_frames if clip_frames % tubelet_frames == 0 else clip_frames
        end = -(-num_frames // grid) * grid
        self._last_start = num_frames if fill_end else max(0, end - clip_frames)

    def __len__(self) -> int:
        if self.step_frames > self.clip_frames:
            return -(-self.num_frames // self.step_frames)
        return 1 + max(0, -(-(self.num_frames - self.clip_frames) // self.step_frames))

    def start(self, number: int) -> int:
        """Position of the first frame of window `number`."""
        return min(number * self.step_frames, self._last_start)

    @overload
    def __getitem__(self, number: int) -> Window: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Window]: ...
    def __getitem__(self, number: int | slice) -> Window | Sequence[Window]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        if number < 0:
            number += len(self)
        if not 0 <= number < len(self):
            raise IndexError(f"there are {len(self)} windows, and no window {number}")
        start = self.start(number)
        covered = (number - 1) * self.step_frames + self.clip_frames if number > 0 else 0
        new = max(start, covered)
        positions = tuple(min(start + i, self.num_frames - 1) for i in range(self.clip_frames))
        firsts = enumerate(range(start, start + self.clip_frames, self.tubelet_frames))
        rows = tuple((time, first) for time, first in firsts if new <= first < self.num_frames)
        return Window(start, new, positions, rows)

    def __iter__(self) -> Iterator[Window]:
        return (self[number] for number in range(len(self)))
