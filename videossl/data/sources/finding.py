"""Find the videos that a user means."""

from dataclasses import replace
from pathlib import PurePosixPath

from videossl.data.media import Media
from videossl.data.places import Found, LocalPlace, Place, place_of, why_no_file
from videossl.data.sources.base import (
    IMAGE_SUFFIXES,
    SUFFIXES,
    Columns,
    Source,
    VideoSet,
    check_names,
    escaped,
    has_suffix,
)
from videossl.data.sources.folder import in_folder, nothing_found
from videossl.data.sources.frames import in_frame_folders, in_picture_folder
from videossl.data.sources.lerobot import in_lerobot, is_lerobot
from videossl.data.sources.mixing import MIX_SUFFIXES, Videos, mixed, read_mix, video_sets
from videossl.data.sources.patterns import is_pattern, shards_of
from videossl.data.sources.table import in_table, read_csv, read_parquet
from videossl.data.sources.text_list import in_list
from videossl.data.sources.webdataset import in_shards, is_shard
from videossl.errors import UsageError

STORE_MARKER = "store.json"


def find_videos(videos: Videos) -> list[Source]:
    """The videos of any source; none of them is opened.

    *Folder*: what `videossl cache` wrote if it has `store.json`; a LeRobot data set of version 3 if it has
    `meta/info.json`; else all files in it, at any depth, with the suffix of a video (`SUFFIXES`, in any case); if there
    are none, its tar shards; if there are none, its folders of pictures (jpg, png), each one video. With `images`, its
    pictures, each a video of one frame. Sorted by name. Names that begin with a dot are left out: they are what other
    programs left behind. If the files lie in two or more folders, the folder in which a file lies is its label. Links
    are followed within the folder; a link out of it, a fifo, a device, a socket is found with an error and not opened.

    *File*: one with the suffix of a video, or of a picture (a video of one frame); one tar shard; a CSV or Parquet
    table with named columns (`in_table`); a YAML or JSON list of sets (`read_mix`); any other file is a text list of
    `path label` lines (`in_list`).

    *Pattern* of tar shards: 'shards/train-{000000..000099}.tar', 'shards/*.tar'.

    *URL* of any of these (s3://, hf://, ...; not of frame folders), read through fsspec.

    *Several*: a list of such paths or of `VideoSet`s, mixed by weight (`mixed`).

    Raises:
        UsageError: There is no such source, no video in it, or none that may be opened; an option for another form.
    """
    sets = video_sets(videos)
    if len(sets) == 1 and has_suffix(sets[0].videos, MIX_SUFFIXES):
        sets = read_mix(place_of(sets[0].videos))
    parts = []
    for one in sets:
        sources = [_in_utf8(source) for source in _in_set(one)]
        usable = [source for source in sources if source.error is None]
        if not usable:
            first = sources[0]
            raise UsageError(
                f"none of the {len(sources)} videos of {one.videos} can be used; the first, {first.name}, {first.error}"
            )
        parts.append((one, sources))
    return mixed(parts)


def _in_set(one: VideoSet) -> list[Source]:
    place = place_of(one.videos)
    if is_pattern(one.videos) and place.kind() is None:
        form, sources = "tar shards", in_shards(shards_of(one.videos))
        check_names(sources, f"the shards of {one.videos}")
    else:
        kind = place.kind()
        if kind is None:
            what = why_no_file(place.path) if isinstance(place, LocalPlace) and place.path.exists() else None
            if what is not None:
                raise UsageError(f"{one.videos} {what}")
            raise UsageError(
                f"no such folder or file of videos: {one.videos}. Give a folder, a video or a list of `path label`."
            )
        form, sources = _in_folder(place, one) if kind == "folder" else _in_file(place, one)
    _check_options(one, form, sources)
    return sources


def _in_utf8(source: Source) -> Source:
    """Refuse a name that is not UTF-8: no table holds it, not every terminal prints it. Its odd bytes are escaped."""
    try:
        f"{source.name}{source.media.path}{source.label}{source.group}".encode()
    except UnicodeEncodeError:
        path, name, group = (escaped(text) for text in (source.media.path, source.name, source.group))
        label = None if source.label is None else escaped(source.label)
        error = source.error or "has a name that is not UTF-8. Rename it."
        return replace(source, media=replace(source.media, path=path), name=name, label=label, group=group, error=error)
    return source


def _in_folder(root: Place, one: VideoSet) -> tuple[str, list[Source]]:
    if root.at(STORE_MARKER).kind() == "file" and isinstance(root, LocalPlace):
        from videossl.data.stored import store_videos  # it makes sources itself

        return "store of decoded frames", store_videos(root.path)
    if is_lerobot(root):
        return "LeRobot data set", in_lerobot(root, one.cameras)
    files = list(root.files())
    if one.images:
        return "folder of pictures", in_picture_folder(root, files)
    if any(has_suffix(file.address, SUFFIXES) for file in files):
        return "folder", in_folder(files)
    shards = [file for file in files if is_shard(file.address)]
    if shards:
        return "tar shards", in_shards(shards)
    if any(has_suffix(file.address, IMAGE_SUFFIXES) for file in files):
        if not isinstance(root, LocalPlace):
            raise UsageError(f"{root.address} holds frame folders, which are read from this machine only. Copy them.")
        return "frame folders", in_frame_folders(root, files, one.frames_per_second)
    links = in_folder(files)
    if links:  # nothing but links to folders elsewhere
        return "folder", links
    raise nothing_found(root, files)


def _in_file(place: Place, one: VideoSet) -> tuple[str, list[Source]]:
    suffix = place.name.lower().rpartition(".")[2]
    if has_suffix(place.name, SUFFIXES | IMAGE_SUFFIXES):
        return "file", [Source(Media(place.address), place.name)]
    if is_shard(place.name):
        return "tar shards", in_shards([Found(PurePosixPath(place.name), place.address)])
    if suffix in ("yaml", "yml", "json"):
        raise UsageError(f"{place.address} is a mix of videos; give it alone, or the sets that it names.")
    rows = None
    if suffix == "parquet":
        rows = read_parquet(place, one.columns)
    elif suffix in ("csv", "tsv"):
        rows = read_csv(place, one.columns)
    if rows is not None:
        return "table", in_table(place, rows, one.columns, one.frames_per_second)
    return "list", in_list(place, one.frames_per_second)


def _check_options(one: VideoSet, form: str, sources: list[Source]) -> None:
    """An option of another form of source would be passed over in silence."""
    wrong = None
    if one.cameras is not None and form != "LeRobot data set":
        wrong = "cameras belong to a LeRobot data set"
    elif one.images and form != "folder of pictures":
        wrong = "images belongs to a folder of pictures"
    elif one.columns != Columns() and form != "table":
        wrong = "columns belong to a table (.csv with a header, .parquet)"
    elif one.frames_per_second is not None and not any(source.media.is_frame_folder for source in sources):
        wrong = "frames_per_second belongs to frame folders (a video file knows its own)"
    if wrong is not None:
        raise UsageError(f"{wrong}, and {one.videos} is a {form}. Leave it out.")
