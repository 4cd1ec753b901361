"""Several sets of videos as one, with the share of the samples that comes from each."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import yaml

from videossl.data.places import Place, place_of
from videossl.data.sources.base import Columns, Source, VideoSet
from videossl.errors import UsageError

Videos = Path | str | VideoSet | Mapping[str, Any] | Sequence[Any]
MIX_SUFFIXES = frozenset({".json", ".yaml", ".yml"})


def video_sets(videos: Videos) -> list[VideoSet]:
    """The sets that a user names: one path, one set, several of either.

    Raises:
        UsageError: None at all, or keys that a set does not have.
    """
    if isinstance(videos, str | Path | VideoSet | Mapping):
        return [_video_set(videos)]
    if not videos:
        raise UsageError("expected videos: a path, or a list of {videos: path, weight: 1.0}; got an empty list.")
    return [_video_set(one) for one in videos]


def _video_set(given: Any) -> VideoSet:
    if isinstance(given, VideoSet):
        return given
    if isinstance(given, str | Path):
        return VideoSet(str(given))
    keys = [entry.name for entry in fields(VideoSet)]
    if not isinstance(given, Mapping) or "videos" not in given or not set(given) <= set(keys):
        raise UsageError(f"expected a path or a set of videos with the keys {', '.join(keys)}; got {given}.")
    values = dict(given)
    try:
        if isinstance(values.get("columns"), Mapping):
            values["columns"] = Columns(**values["columns"])
        values["videos"] = str(values["videos"])
        return VideoSet(**values)
    except TypeError as error:
        raise UsageError(f"a set of videos cannot be {given}: {error}.") from error


def read_mix(place: Place) -> list[VideoSet]:
    """The sets of a YAML or JSON file: a list of {videos, weight, name, ...}; paths are relative to its folder.

    Raises:
        UsageError: It is no such file, or one of its sets is a mix file too.
    """
    try:
        with place.open() as file:
            text = file.read().decode("utf-8-sig")
        content = json.loads(text) if place.name.lower().endswith(".json") else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(
            f"{place.address} cannot be read as a mix of videos: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(content, list):
        raise UsageError(f"{place.address} is no mix of videos: expected a list of {{videos: path, weight: 1.0}}.")
    sets = video_sets(content)
    if any(Path(one.videos).suffix.lower() in MIX_SUFFIXES for one in sets):
        raise UsageError(f"{place.address} names another mix file; put all sets into one.")
    return [replace(one, videos=place.parent.at(one.videos).address, name=one.name or one.videos) for one in sets]


def mixed(parts: Sequence[tuple[VideoSet, Sequence[Source]]]) -> list[Source]:
    """The videos of all sets, in order, with their weights.

    Set k gets the share weight[k] / sum(weights) of the samples, however many videos it has; within a set the weights
    of its table divide that share. The mean weight of all videos without an error is 1. Sets in which a video has the
    name of one in another set have their own name put before all names.

    Raises:
        UsageError: Two sets that cannot be told apart, or one video in two sets.
    """
    names = Counter(name for _, sources in parts for name in {source.name for source in sources})
    prefixes = [
        f"{one.name or one.videos.rstrip('/')}/" if any(names[source.name] > 1 for source in sources) else ""
        for one, sources in parts
    ]
    doubled = [prefix for prefix, times in Counter(prefixes).items() if prefix and times > 1]
    if doubled:
        raise UsageError(f"two sets of videos are both called {doubled[0][:-1]}: give each a name.")
    total_weight = sum(one.weight for one, _ in parts)
    num_usable = sum(source.error is None for _, sources in parts for source in sources)
    result = []
    for (one, sources), prefix in zip(parts, prefixes, strict=True):
        within = sum(source.weight for source in sources if source.error is None)
        if within == 0:
            raise UsageError(f"all videos of {one.videos} have the weight 0.")
        share = num_usable * (one.weight / total_weight)
        result += [
            replace(
                source,
                name=prefix + source.name,
                group=prefix + source.group,
                weight=0.0 if source.error is not None else source.weight * share / within,
            )
            for source in sources
        ]
    places = Counter(source.media for source in result if source.error is None)
    media, times = places.most_common(1)[0]
    if times > 1:
        raise UsageError(
            f"{media} is in the sets {times} times; expected every video once. Use weight to see it often."
        )
    return result


def absolute_videos(videos: Videos) -> str | list[dict[str, Any]]:
    """The same videos with absolute paths, as plain values for a config that is used from another folder."""
    given = video_sets(videos)
    sets = [
        replace(one, videos=_absolute(one.videos), name=one.name or (one.videos if len(given) > 1 else None))
        for one in given
    ]
    if len(sets) == 1 and sets[0] == VideoSet(sets[0].videos):
        return sets[0].videos
    plain = VideoSet("")
    return [
        {key: value for key, value in asdict(one).items() if key == "videos" or value != asdict(plain)[key]}
        for one in sets
    ]


def _absolute(videos: str) -> str:
    return videos if "://" in videos else place_of(videos).address
