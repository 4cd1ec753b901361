"""`videossl probe`: labels from everywhere, parts by video, and the scores of a report made again."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from command_line import videossl
from tables import videos, write_table

from videossl import load
from videossl.data import ClipPlanner
from videossl.errors import UsageError
from videossl.evaluation.held_out import ProbeClips
from videossl.evaluation.probes import probes
from videossl.evaluation.world_clips import PROBE_SEED, branching_plan, probe_clips
from videossl.tables import EmbeddingTable, ProbeSettings, probe_embeddings, read_labels
from videossl.worlds import load_world, write_world

LINEAR = ProbeSettings(methods=("linear",))


def scores(path):
    return {
        (entry["target"], entry["method"], entry.get("shots")): entry
        for entry in json.loads(path.read_text())["probes"]
    }


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """100 videos of 5 rows: a video's class is in its first numbers, the frame's height in another; and their truth."""
    rng = np.random.default_rng(0)
    columns, kinds = videos(100, 5), rng.integers(0, 4, 100)
    heights = rng.normal(size=500)
    vectors = rng.normal(size=(500, 12))
    vectors[:, :4] += 2 * np.eye(4)[kinds.repeat(5)]
    vectors[:, 4] += 3 * heights
    folder = write_table(tmp_path_factory.mktemp("table") / "e", columns, vectors)
    return folder, [f"kind {kind}" for kind in kinds], heights


def of_videos(frames, **more):
    _, kinds, _ = frames
    return pd.DataFrame({"video": [f"{n:03d}.mp4" for n in range(100)], "kind": kinds, **more})


def test_classes_of_videos_are_read_by_every_method(frames, tmp_path):
    of_videos(frames).to_csv(tmp_path / "labels.csv", index=False)
    out = tmp_path / "scores.json"
    few = ("--methods", "[linear, knn, few_shot]", "--draws", 3)
    done = videossl("probe", "--embeddings", frames[0], "--labels", tmp_path / "labels.csv", "--out", out, *few)
    assert "Warning" not in done.stderr
    assert done.returncode == 0, done.stderr
    found = scores(out)
    assert found.keys() == {("kind", "linear", None), ("kind", "knn", None)} | {
        ("kind", "few_shot", shots) for shots in (1, 5, 10)
    }
    for key, entry in found.items():
        assert 0 <= entry["low"] <= entry["value"] <= entry["high"] <= 1
        assert entry["num_test_videos"] == 30
        assert str(round(entry["value"], 3)) in done.stdout or f"{entry['value']:.3f}" in done.stdout
        assert entry["value"] > entry["chance"], key
    assert found["kind", "linear", None]["num_test"] == 150
    assert "No video is on two sides" in done.stdout


def test_quantities_of_frames_are_read_and_further_columns_can_be_left_out(frames, tmp_path):
    columns = videos(100, 5)
    table = pd.DataFrame({"video": columns["video"], "frame": columns["frame"], "height": frames[2], "noise": 1.5})
    table["direction"] = [np.array([height, -height]) for height in frames[2]]
    table.sample(frac=1, random_state=0).to_parquet(tmp_path / "labels.parquet")
    probe_embeddings(
        frames[0],
        labels=str(tmp_path / "labels.parquet"),
        targets=["height", "direction"],
        settings=ProbeSettings(methods=("linear", "attentive")),
        out=tmp_path / "scores.json",
    )
    found = scores(tmp_path / "scores.json")
    assert found.keys() == {("height", "linear", None), ("direction", "linear", None)}
    assert found["height", "linear", None]["value"] > 0.85
    assert found["direction", "linear", None]["value"] == pytest.approx(found["height", "linear", None]["value"])
    assert any("attentive" in note for note in json.loads((tmp_path / "scores.json").read_text())["notes"])


def test_what_is_the_same_everywhere_is_not_probed(frames, tmp_path):
    of_videos(frames, rate=25.5, one="a", tiny=[1e-9 * n for n in range(100)]).to_csv(tmp_path / "l.csv", index=False)
    out = tmp_path / "scores.json"
    said = probe_embeddings(
        frames[0], labels=str(tmp_path / "l.csv"), settings=ProbeSettings(methods=("linear", "knn")), out=out
    )
    assert {target for target, _, _ in scores(out)} == {"kind", "tiny"}
    assert "left out: rate: it is 25.5 in all rows for fitting" in said
    assert "left out: one: all its rows for fitting are of one class (a)" in said
    assert scores(out)["tiny", "linear", None]["value"] < 0.1  # the features know nothing of it


def test_lists_of_which_one_number_never_changes_are_not_probed(frames, tmp_path):
    numbers = [[float(n % 7), 2.0] for n in range(100)]
    of_videos(frames, place=numbers).to_parquet(tmp_path / "l.parquet")
    said = probe_embeddings(frames[0], labels=str(tmp_path / "l.parquet"), settings=LINEAR)
    assert "left out: place: number 2 of 2 is 2 in all rows for fitting" in said


def test_labels_of_frames_at_which_no_row_begins_are_counted(tmp_path):
    rng = np.random.default_rng(0)
    columns = videos(40, 6)
    columns["frame"] = [4 * frame for frame in columns["frame"]]
    heights = rng.normal(size=(40, 24))
    vectors = rng.normal(size=(240, 4))
    vectors[:, 0] = heights[:, ::4].reshape(-1)
    folder = write_table(tmp_path / "e", columns, vectors)
    labels = pd.DataFrame(
        {"video": np.repeat([f"{n:03d}.mp4" for n in range(40)], 24), "frame": list(range(24)) * 40}
    ).assign(height=heights.reshape(-1))
    labels.to_csv(tmp_path / "l.csv", index=False)
    said = probe_embeddings(folder, labels=str(tmp_path / "l.csv"), settings=LINEAR, out=tmp_path / "scores.json")
    assert scores(tmp_path / "scores.json")["height", "linear", None]["value"] > 0.9
    assert (
        "left out: 720 of 960 labels: they are of frames at which no row begins (rows begin at frames 0, 4, 8, ...)"
        in said
    )
    labels[labels["frame"] != 8].to_csv(tmp_path / "l.csv", index=False)
    said = probe_embeddings(folder, labels=str(tmp_path / "l.csv"), settings=LINEAR)
    assert f"left out: 40 of 240 rows: {tmp_path / 'l.csv'} names their video, but not their frame" in said
    labels[labels["frame"] % 4 > 0].to_csv(tmp_path / "l.csv", index=False)
    with pytest.raises(UsageError, match=r"has frame 1, and rows begin at frames 0, 4, 8, \.\.\.\. Give"):
        probe_embeddings(folder, labels=str(tmp_path / "l.csv"), settings=LINEAR)
    labels.assign(frame="first").drop_duplicates("video").to_csv(tmp_path / "l.csv", index=False)
    with pytest.raises(UsageError, match=r"expected numbers in the column frame of .*, got first"):
        probe_embeddings(folder, labels=str(tmp_path / "l.csv"), settings=LINEAR)


def test_a_given_split_is_used(frames, tmp_path):
    split = ["train"] * 40 + ["validation"] * 20 + ["test"] * 30 + [""] * 10
    of_videos(frames, split=split).to_csv(tmp_path / "labels.csv", index=False)
    probe_embeddings(
        frames[0], labels=str(tmp_path / "labels.csv"), settings=LINEAR, out=tmp_path / "scores.json", rows_per_video=2
    )
    entry = scores(tmp_path / "scores.json")["kind", "linear", None]
    assert (entry["num_fit"], entry["num_choose"], entry["num_test"]) == (80, 40, 60)


def test_a_split_with_a_video_on_both_sides_is_refused(frames, tmp_path):
    columns = videos(100, 5)
    split = ["train" if frame < 3 else "test" for frame in columns["frame"]]
    pd.DataFrame({"video": columns["video"], "frame": columns["frame"], "split": split, "height": frames[2]}).to_csv(
        tmp_path / "labels.csv", index=False
    )
    with pytest.raises(UsageError, match=r"000.mp4 in test and train"):
        probe_embeddings(frames[0], labels=str(tmp_path / "labels.csv"), settings=LINEAR)


def test_a_split_without_validation_gets_one_of_other_videos_and_says_so(frames, tmp_path):
    of_videos(frames, split=["train"] * 70 + ["heldout"] * 30).to_csv(tmp_path / "labels.csv", index=False)
    said = probe_embeddings(
        frames[0], labels=str(tmp_path / "labels.csv"), settings=LINEAR, out=tmp_path / "scores.json"
    )
    entry = scores(tmp_path / "scores.json")["kind", "linear", None]
    assert (entry["num_fit"], entry["num_choose"], entry["num_test"]) == (250, 100, 150)
    assert "validation: the split has none" in said


def test_videos_without_a_label_are_left_out_and_counted(frames, tmp_path):
    of_videos(frames)[:60].to_csv(tmp_path / "labels.csv", index=False)
    said = probe_embeddings(
        frames[0], labels=str(tmp_path / "labels.csv"), settings=LINEAR, out=tmp_path / "scores.json"
    )
    entry = scores(tmp_path / "scores.json")["kind", "linear", None]
    assert entry["num_fit"] + entry["num_choose"] + entry["num_test"] == 300
    assert "left out: 40 of 100 videos" in said


def test_missing_and_infinite_labels_are_counted(frames, tmp_path):
    heights = [None] * 3 + [float("inf")] * 2 + [float(n % 9) for n in range(95)]
    of_videos(frames, height=heights)[:90].to_csv(tmp_path / "l.csv", index=False)
    said = probe_embeddings(frames[0], labels=str(tmp_path / "l.csv"), settings=LINEAR)
    assert "left out: height: it is missing in 15 and infinite in 10 of 450 rows that have labels" in said
    assert "left out: kind" not in said
    said = probe_embeddings(frames[0], labels=str(tmp_path / "l.csv"), targets=["kind"], settings=LINEAR)
    assert "height" not in said


def test_each_target_says_how_many_videos_test_it(frames, tmp_path):
    of_videos(frames, height=[float(n % 9) if n % 2 else None for n in range(100)]).to_csv(
        tmp_path / "l.csv", index=False
    )
    out = tmp_path / "scores.json"
    said = probe_embeddings(frames[0], labels=str(tmp_path / "l.csv"), settings=LINEAR, out=out).splitlines()
    num_videos = scores(out)["height", "linear", None]["num_test_videos"]
    assert [line.split()[-2:] for line in said[:3]] == [
        ["rows", "videos"], ["150", "30"], [str(5 * num_videos), str(num_videos)],
    ]  # fmt: skip
    assert num_videos < 30


def test_row_numbers_and_names_of_videos_are_no_targets(frames, tmp_path):
    of_videos(frames, title=[f"film {n}" for n in range(100)], number=range(100)).to_csv(tmp_path / "l.csv")
    out = tmp_path / "scores.json"
    said = probe_embeddings(frames[0], labels=str(tmp_path / "l.csv"), settings=LINEAR, out=out)
    assert {target for target, _, _ in scores(out)} == {"kind"}
    assert "left out: the label column Unnamed: 0: it has no name" in said
    strangers = "it has 100 classes in 100 videos, and 150 of 150 rows in the test are of classes that are nowhere else"
    assert f"left out: title: {strangers}\n" in said
    assert f"left out: number: {strangers}; if it is a quantity, write it as 1.0, 2.0" in said


def test_nothing_to_probe_says_why(frames, tmp_path):
    of_videos(frames, height=[float(n) for n in range(100)]).to_csv(tmp_path / "l.csv", index=False)
    few = ProbeSettings(methods=("few_shot",))
    with pytest.raises(UsageError, match="nothing could be probed: few labels of a class: height is a quantity"):
        probe_embeddings(frames[0], labels=str(tmp_path / "l.csv"), targets=["height"], settings=few)
    with pytest.raises(UsageError, match="at least one of --targets: kind, height"):
        probe_embeddings(frames[0], labels=str(tmp_path / "l.csv"), targets=[], settings=few)


def test_labels_name_videos_by_longer_paths_too(frames, tmp_path):
    labels = of_videos(frames).assign(video=lambda table: "/somewhere/" + table["video"])
    labels.to_csv(tmp_path / "labels.csv", index=False)
    table = EmbeddingTable(frames[0])
    assert read_labels(table, table.read(), str(tmp_path / "labels.csv")).targets[0].known.all()


def test_kinds_of_labels_are_told_apart(frames, tmp_path):
    table = EmbeddingTable(frames[0])
    of_videos(
        frames, yes=[n % 2 == 0 for n in range(100)], number=range(100), many=[1.0 * n for n in range(100)],
        gaps=pd.array([None if n < 3 else n % 5 for n in range(100)], dtype="Int64"),
    ).to_csv(tmp_path / "labels.csv", index=False)  # fmt: skip
    found = {target.name: target for target in read_labels(table, table.read(), str(tmp_path / "labels.csv")).targets}
    assert {name: target.is_class for name, target in found.items()} == {
        "kind": True, "yes": True, "number": True, "many": False, "gaps": True,
    }  # fmt: skip
    assert found["yes"].classes == ("False", "True")
    assert found["gaps"].classes == ("0", "1", "2", "3", "4")
    assert found["gaps"].known.sum() == 97 * 5


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ("video,kind\nx.mp4,a\n", "names none of the videos of this table: it has x.mp4, the table 000.mp4"),
        ("file,kind\n000.mp4,a\n", "expected a column `video`"),
        ("video,kind\n", "no rows"),
        ("video,kind\n000.mp4,a\n000.mp4,b\n", "several rows of 000.mp4"),
        ("video,kind\n000.mp4,a\n001.mp4,b\n", "nothing could be probed"),
        ("video,split,kind\n000.mp4,training,a\n", "train, validation and test, got training"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(frames, tmp_path, labels, says):
    (tmp_path / "labels.csv").write_text(labels)
    with pytest.raises(UsageError, match=says):
        probe_embeddings(frames[0], labels=str(tmp_path / "labels.csv"), settings=LINEAR)


def test_scores_are_written_as_json_only(frames, tmp_path):
    with pytest.raises(UsageError, match=r"to end in \.json"):
        probe_embeddings(frames[0], labels=None, settings=LINEAR, out=tmp_path / "boundaries.csv")


def test_scores_that_are_there_are_not_replaced_unasked(frames, tmp_path):
    out = tmp_path / "scores.json"
    out.write_text("mine")
    with pytest.raises(UsageError, match="replace it with --overwrite true"):
        probe_embeddings(frames[0], labels=None, settings=LINEAR, out=out)
    assert out.read_text() == "mine"


def test_labels_in_the_table_are_the_default_and_missed_where_there_are_none(frames, tmp_path):
    columns = videos(60, 2) | {"label": [f"{n % 2}" for n in range(60) for _ in range(2)]}
    vectors = np.random.default_rng(0).normal(size=(120, 3)) + np.arange(60).repeat(2)[:, None] % 2
    folder = write_table(tmp_path / "e", columns, vectors)
    probe_embeddings(folder, labels=None, settings=LINEAR, out=tmp_path / "scores.json")
    assert scores(tmp_path / "scores.json")["label", "linear", None]["value"] > 0.7
    with pytest.raises(UsageError, match="no labels in its column"):
        probe_embeddings(frames[0], labels=None, settings=LINEAR)


def test_tokens_are_read_by_their_mean_and_by_attention(tmp_path):
    rng = np.random.default_rng(0)
    columns = {name: list(np.repeat(values, 4)) for name, values in videos(80, 2).items()}
    columns |= {"token_row": [0, 0, 1, 1] * 160, "token_column": [0, 1, 0, 1] * 160}
    kinds = rng.integers(0, 2, 80)
    vectors = rng.normal(size=(640, 6))
    vectors[:, 0] += 2 * kinds.repeat(8) * (rng.integers(0, 4, 160)[:, None] == np.arange(4)).reshape(-1)
    folder = write_table(tmp_path / "e", columns, vectors, level="token")
    pd.DataFrame({"video": [f"{n:03d}.mp4" for n in range(80)], "kind": kinds}).to_csv(tmp_path / "l.csv", index=False)
    probe_embeddings(
        folder,
        labels=str(tmp_path / "l.csv"),
        settings=ProbeSettings(methods=("linear", "attentive")),
        out=tmp_path / "scores.json",
    )
    found = scores(tmp_path / "scores.json")
    assert found["kind", "linear", None]["num_test"] == 48  # two times of each of 24 videos
    assert found["kind", "attentive", None]["num_test"] == 24


NUM_FRESH = 240


@pytest.fixture(scope="module")
def report_and_table(small_run, small_world, tmp_path_factory):
    """The probes of an evaluation on fresh videos of the world, and the same videos as files, extracted."""
    model = load(small_run)
    world, truth = load_world(small_world)
    planner = ClipPlanner(num_views=2, num_frames=4, mode="future").in_order(2)
    plan = branching_plan(world, planner, np.arange(8) / 8)
    clips = probe_clips(world, truth, plan, frame_size=48, num_clips=NUM_FRESH, seed=0)
    assert isinstance(clips, ProbeClips)
    entries, _ = probes(model, model.reinitialised(0), clips, seed=0)
    folder = tmp_path_factory.mktemp("fresh")
    write_world(world, folder / "world", num_videos=NUM_FRESH, seed=PROBE_SEED)
    done = videossl(
        "extract", "--run", small_run, "--videos", folder / "world", "--out", folder / "e", "--level", "clip"
    )
    assert done.returncode == 0, done.stderr
    with torch.inference_mode():
        representation = model.embed(clips.contexts).representation.numpy()
    return entries, folder, representation


def of_report(entries):
    return {entry["target"]: entry for entry in entries if entry["features"] == "representation"}


def test_a_probe_of_the_same_features_gives_the_figures_of_the_report(report_and_table, tmp_path):
    entries, folder, representation = report_and_table
    columns = {"video": [f"videos/{n:06d}.mp4" for n in range(NUM_FRESH)], "frame": [0] * NUM_FRESH}
    table = write_table(
        tmp_path / "e", columns | {"seconds": [0.0] * NUM_FRESH}, representation, level="clip", clip_frames=4,
        frame_stride=1,
    )  # fmt: skip
    probe_embeddings(table, labels=str(folder / "world"), settings=LINEAR, out=tmp_path / "scores.json")
    found = scores(tmp_path / "scores.json")
    for target, entry in of_report(entries).items():
        again = found[target, "linear", None]
        for name in ("value", "low", "high", "chance", "num_test"):
            assert again[name] == pytest.approx(entry[name], abs=1e-6), (target, name)


def test_a_probe_of_extracted_embeddings_reproduces_the_report(report_and_table, tmp_path):
    entries, folder, _ = report_and_table
    probe_embeddings(folder / "e", labels=str(folder / "world"), frame=0, settings=LINEAR, out=tmp_path / "scores.json")
    found = scores(tmp_path / "scores.json")
    for target, entry in of_report(entries).items():
        again = found[target, "linear", None]
        # The files are compressed, ever so little; and of 72 test videos one is 0.014.
        assert again["value"] == pytest.approx(entry["value"], abs=0.05), target
        assert (again["chance"], again["num_test"]) == (entry["chance"], entry["num_test"])
