"""Several sets of videos as one."""

import json
from pathlib import Path

import pytest
import yaml

from videossl.data import find_videos
from videossl.data.sources import Columns, VideoSet, absolute_videos
from videossl.errors import UsageError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a/1.mp4", "a/2.mp4", "a/3.mp4", "b/1.mp4", "c/x/9.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def said(videos: object) -> str:
    with pytest.raises(UsageError) as caught:
        find_videos(videos)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_each_set_gets_its_share_of_the_samples_however_many_videos_it_has(root: Path) -> None:
    found = find_videos([VideoSet(str(root / "a"), weight=2), VideoSet(str(root / "b"), weight=1), str(root / "c")])
    weights = [source.weight for source in found]
    assert sum(weights) == pytest.approx(len(found))
    assert sum(weights[:3]) / sum(weights) == pytest.approx(1 / 2)
    assert weights[3] / sum(weights) == weights[4] / sum(weights) == pytest.approx(1 / 4)
    assert {source.weight for source in find_videos(root / "a")} == {1.0}


def test_weights_of_a_table_divide_the_share_of_its_set_and_the_unusable_have_none(root: Path) -> None:
    (root / "t.csv").write_text("path,weight\na/1.mp4,3\na/2.mp4,1\ngone.mp4,5\n")
    found = find_videos([str(root / "t.csv"), str(root / "b")])
    assert [source.weight for source in found] == pytest.approx([1.125, 0.375, 0, 1.5])
    (root / "t.csv").write_text("path,weight\na/1.mp4,0\n")
    assert "have the weight 0" in said(root / "t.csv")


def test_sets_with_equal_names_have_their_own_name_put_before_them(root: Path) -> None:
    found = find_videos(
        [VideoSet(str(root / "a"), name="first"), VideoSet(str(root / "b"), name="second"), str(root / "c")]
    )
    assert [source.name for source in found] == ["first/1.mp4", "first/2.mp4", "first/3.mp4", "second/1.mp4", "x/9.mp4"]
    assert [source.group for source in found][:2] == ["first/1.mp4", "first/2.mp4"]
    found = find_videos([str(root / "a"), str(root / "b")])
    assert found[3].name == f"{root}/b/1.mp4"
    assert "both called one" in said([VideoSet(str(root / "a"), name="one"), VideoSet(str(root / "b"), name="one")])


def test_a_video_in_two_sets_is_refused(root: Path) -> None:
    assert "is in the sets 2 times" in said([str(root / "a"), str(root / "a" / "1.mp4")])


def test_a_mix_file_has_paths_relative_to_its_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [{"videos": "a", "weight": 3}, {"videos": "b", "name": "other"}, "c"]
    (root / "mix.yaml").write_text(yaml.safe_dump(sets))
    (root / "mix.json").write_text(json.dumps(sets))
    monkeypatch.chdir(root / "a")
    found = find_videos("../mix.yaml")
    assert found == find_videos(root / "mix.json")
    assert [source.name for source in found] == ["a/1.mp4", "a/2.mp4", "a/3.mp4", "other/1.mp4", "x/9.mp4"]
    assert found[0].media.path == str(root / "a" / "1.mp4")
    assert found[0].weight * 3 == pytest.approx(5 * 3 / 5)
    (root / "mix.yaml").write_text("- mix.json\n")
    assert "names another mix file" in said(root / "mix.yaml")
    (root / "mix.yaml").write_text("videos: a\n")
    assert "is no mix of videos: expected a list" in said(root / "mix.yaml")
    (root / "mix.yaml").write_text("[a\n")
    assert "cannot be read as a mix" in said(root / "mix.yaml")
    assert "give it alone" in said([root / "mix.json", root / "a"])


def test_wrong_sets_are_refused_with_their_key(root: Path) -> None:
    assert "with the keys videos, weight, name" in said([{"videos": "a", "wieght": 2}])
    assert "expected a weight above 0" in said([{"videos": "a", "weight": 0}])
    assert "got an empty list" in said([])
    assert "unexpected keyword argument 'lable'" in said([{"videos": "a", "columns": {"lable": "x"}}])


def test_videos_of_a_config_are_made_absolute(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    assert absolute_videos("a") == str(root / "a")
    assert absolute_videos(Path("a")) == str(root / "a")
    assert absolute_videos("memory://b/a") == "memory://b/a"
    given = [VideoSet("a", weight=2, columns=Columns(label="verb")), "b"]
    plain = absolute_videos(given)
    assert plain == [
        {
            "videos": str(root / "a"),
            "weight": 2,
            "name": "a",
            "columns": {
                "path": "path",
                "label": "verb",
                "start_seconds": "start_seconds",
                "end_seconds": "end_seconds",
                "name": "name",
                "weight": "weight",
            },
        },
        {"videos": str(root / "b"), "name": "b"},
    ]
    assert find_videos(absolute_videos(["a", "b"])) == find_videos(["a", "b"])
    assert absolute_videos(VideoSet("t.csv", weight=2)) == [{"videos": str(root / "t.csv"), "weight": 2}]
