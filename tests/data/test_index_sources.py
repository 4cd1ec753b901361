"""What the index takes over from the sources of the videos, and how it tells that a file has changed."""

import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import videossl.data.index as index_module
from videossl.data import Source, VideoIndex
from videossl.data.fingerprint import Fingerprint, fingerprints
from videossl.data.media import Media
from videossl.data.split import held_out

# What the first version of the index held out of 00.mp4 ... 11.mp4 at a share of 0.25.
SPLIT_OF_SEED_0 = ["03.mp4", "08.mp4", "11.mp4"]
SPLIT_OF_SEED_7 = ["05.mp4", "07.mp4", "08.mp4"]


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Callable[..., VideoIndex]:
    """The index of these sources."""

    def building(sources: Sequence[Source], **options: object) -> VideoIndex:
        monkeypatch.setattr(index_module, "find_videos", lambda videos: list(sources))
        return VideoIndex.build(Path("any"), num_workers=0, **options)  # type: ignore[arg-type]

    return building


def media(folder: Path, number: int, **piece: float) -> Media:
    return Media(str(folder / f"{number}.mp4"), **piece)  # type: ignore[arg-type]


def test_videos_of_a_group_are_in_one_split(folder: Path, build: Callable[..., VideoIndex], tmp_path: Path) -> None:
    sources = [Source(media(folder, n), f"{n}", group="abc"[n // 2], weight=n + 0.5) for n in range(6)]
    for seed in range(4):
        index = build(sources, heldout_share=0.34, seed=seed)
        splits = [row.split for row in index]
        assert splits[::2] == splits[1::2]
        assert splits.count("heldout") == 2
    index.save(tmp_path / "index.parquet")
    again = VideoIndex.build(tmp_path / "index.parquet", heldout_share=0.34, seed=3)
    assert [(row.group, row.weight, row.split) for row in again] == [
        (row.group, row.weight, row.split) for row in index
    ]


def test_the_split_is_the_one_of_the_first_version() -> None:
    names = [f"{n:02d}.mp4" for n in range(12)]
    assert sorted(held_out(names, share=0.25, seed=0)) == SPLIT_OF_SEED_0
    assert sorted(held_out(names, share=0.25, seed=7)) == SPLIT_OF_SEED_7


def test_what_must_not_be_opened_is_not(folder: Path, build: Callable[..., VideoIndex]) -> None:
    index = build([Source(media(folder, 0), "0"), Source(Media("/dev/zero"), "zero", error="is a device, not a file.")])
    assert [row.error for row in index] == [None, "is a device, not a file."]
    assert (index.changes.new, index.changes.unreadable) == (2, 1)


def test_another_number_of_frames_than_promised_is_an_error(folder: Path, build: Callable[..., VideoIndex]) -> None:
    index = build([Source(media(folder, 0), "0", num_frames=8), Source(media(folder, 1), "1", num_frames=9)])
    assert [row.error for row in index] == [None, "has 8 frames where its data set promises 9."]


def test_pieces_and_stretches_keep_their_address(
    folder: Path, build: Callable[..., VideoIndex], tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        shard.add(folder / "0.mp4", "0.mp4")
        shard.add(folder / "1.mp4", "1.mp4")
    with tarfile.open(tmp_path / "shard.tar") as shard:
        members = [Media(str(tmp_path / "shard.tar"), one.offset_data, one.size) for one in shard.getmembers()]
    sources = [Source(one, f"member {n}") for n, one in enumerate(members)]
    sources += [Source(media(folder, 2, start_seconds=0.2, end_seconds=0.5), "stretch")]
    index = build(sources)
    assert [(row.num_frames, row.error) for row in index] == [(8, None), (8, None), (3, None)]
    index.save(tmp_path / "index.parquet")
    assert [row.media for row in VideoIndex.load(tmp_path / "index.parquet")] == [one.media for one in sources]
    assert build(sources, known=tmp_path / "index.parquet").changes.is_none


def test_a_name_that_is_no_utf8_is_a_row_with_a_cause(
    folder: Path, build: Callable[..., VideoIndex], tmp_path: Path
) -> None:
    index = build([Source(media(folder, 0), "0"), Source(Media(str(folder / "\udcff.mp4")), "\udcff.mp4")])
    assert index[1].error == "has a name that is not UTF-8."
    index.save(tmp_path / "index.parquet")
    assert VideoIndex.load(tmp_path / "index.parquet")[1].name == "\\udcff.mp4"


def test_a_folder_of_frames_changes_with_its_files(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"12345")
    (before,) = fingerprints([Media(str(tmp_path), frames_per_second=5)])
    (tmp_path / "0.png").write_bytes(b"123456")
    (after,) = fingerprints([Media(str(tmp_path), frames_per_second=5)])
    assert before is not None
    assert after is not None
    assert (before.file_bytes, after.file_bytes) == (5, 6)


def test_a_file_behind_a_url_has_the_fingerprint_that_its_store_tells(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    url = f"memory://{tmp_path.name}/a.mp4"
    found: list[Fingerprint | None] = []
    for content in (b"one", b"four"):
        with fsspec.open(url, "wb") as file:
            file.write(content)
        found += fingerprints([Media(url)]) * 2
    assert found[0] == found[1] != found[2] == found[3]
    assert found[0] is not None
    assert (found[0].file_bytes, found[0].file_mtime_ns) == (3, None)
    assert fingerprints([Media(f"memory://{tmp_path.name}/none.mp4"), Media("/none.mp4")]) == [None, None]
