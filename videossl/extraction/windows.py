"""Cut a video of any length into clips of the length that the encoder was trained on. Integers only, no pixels."""

from dataclasses import dataclass


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


def cut(num_frames: int, *, clip_frames: int, tubelet_frames: int) -> list[Window]:
    """Cover every frame of a video.

    Windows follow each other without overlap. The last one is moved back until it ends with the video, so that its
    frames are seen with as much around them as the others; it adds only what the windows before it have not covered.
    It is moved by whole tubelets, and what is then still missing (less than a tubelet) is filled by repeating the last
    frame. A video shorter than one clip is filled in the same way. Each frame is in exactly one of the `rows`.

    Args:
        num_frames: Sampled frames of the video, >= 1.
        clip_frames: Frames T of a window, >= 1.
        tubelet_frames: Frames that the encoder joins to one time step. A clip that is no multiple of it is filled up by
            the encoder; its windows cannot be moved by tubelets, so the last one is filled instead.
    """
    if min(num_frames, clip_frames, tubelet_frames) < 1:
        raise ValueError(
            "expected num_frames, clip_frames and tubelet_frames of at least 1, "
            f"got {num_frames}, {clip_frames} and {tubelet_frames}."
        )
    step = tubelet_frames if clip_frames % tubelet_frames == 0 else clip_frames
    end = -(-num_frames // step) * step
    windows = []
    for new in range(0, num_frames, clip_frames):
        start = max(0, min(new, end - clip_frames))
        positions = tuple(min(start + i, num_frames - 1) for i in range(clip_frames))
        firsts = enumerate(range(start, start + clip_frames, tubelet_frames))
        rows = tuple((time, first) for time, first in firsts if new <= first < num_frames)
        windows.append(Window(start, new, positions, rows))
    return windows
