import hashlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from page_reader import Page
from synthetic_run import (
    CONFIG,
    make_run,
    metrics,
    write_config,
    write_gallery,
    write_index,
    write_json,
    write_training,
)

from videossl.errors import UsageError
from videossl.report import write_report

MEGABYTES = 1_000_000


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return Page(write_report(make_run(tmp_path_factory.mktemp("runs") / "full")))


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


def test_the_page_is_well_formed_and_loads_and_runs_nothing(full):
    assert full.unbalanced == []
    assert full.loaded() == []
    assert len(full.ids()) == len(set(full.ids()))


def test_every_place_that_the_page_points_to_is_on_it(full):
    targets = {value[1:] for _, attributes in full.tags for name, value in attributes.items() if name == "href"}
    uses = {attributes["xlink:href"][1:] for tag, attributes in full.tags if tag == "use"}
    assert targets
    assert uses
    assert targets | uses <= set(full.ids())


def test_a_healthy_run_reads_as_one(full):
    for words in (
        "540 videos", "1,500 steps of 128 videos", "60 held out (never trained on), 0 unreadable",
        "Nothing is wrong: the loss is sound and the embeddings have not collapsed, and the latent carries",
        "The model clearly beats every control in branch coverage and energy score.",
        "0.93 against 0.56 of the best control (noise tuned for coverage): clearly better.",
        "3.52 against 3.61 of the best control (noise tuned for energy score): clearly better. "
        "Blind guessing reaches 3.80.", "Distances in each model's own space",
        "2 clips a video, each of 4 frames", "which follows at once", "AdaSSL on MVInfoNCE", "deterministic twin",
        "rightly not there", "budget: 2.4 nats", "chance: ln 128 = 4.85", "Coloured by digit class", "Total variation",
    ):  # fmt: skip
        assert words in full.text, words


def test_every_metric_comes_with_its_sentence(full):
    for entry in metrics()["metric_help"].values():
        assert entry["title"] in full.text
    assert full.text.count(metrics()["metric_help"]["mrr"]["reads"]) == len(metrics()["metric_help"])


def test_no_picture_keeps_a_colour_that_only_suits_a_light_page(full):
    assert "var(--model)" in full.source
    for stand_in in ("#000002", "#000003", "#000004", "#000010"):
        assert stand_in not in full.source
    assert "prefers-color-scheme: dark" in full.source


def test_the_same_files_give_the_same_page(run):
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first


def test_nothing_but_the_page_is_written(run):
    before = set(run.rglob("*"))
    write_report(run)
    assert set(run.rglob("*")) - before == {run / "report.html"}


def test_a_run_without_evaluation_says_how_to_get_one(run):
    shutil.rmtree(run / "evaluation")
    page = Page(write_report(run))
    assert page.text.count(f"videossl evaluate --run {run}") >= 3
    assert "Nothing is wrong" in page.text
    assert "the last training batches, as logged" in page.text


def test_real_video_without_branches_and_twin_is_judged_by_what_there_is(tmp_path):
    run = make_run(tmp_path / "real", world=False)
    write_json(run / "evaluation" / "metrics.json", metrics(world=False, twin=False))
    page = Page(write_report(run))
    assert "The model clearly beats every control in energy score and hit@1." in page.text
    assert "No deterministic twin was there to compare with." in page.text
    assert "what really happened after this context" in page.text
    assert "Branch coverage" not in page.text
    assert "The evaluation holds no probes." in page.text
    assert "come from no world with known branches" in page.text


def test_a_diverged_collapsed_unfinished_run_is_called_one(run):
    write_training(run, broken_from=700, collapsed=True, steps=760)
    (run / "weights.safetensors").unlink()
    shutil.rmtree(run / "evaluation")
    page = Page(write_report(run))
    assert "The loss is not a number from step 719 on" in page.text
    assert "Collapsed: all videos get nearly the same embedding." in page.text
    assert "The latent is dead" in page.text
    assert "step 760 of 1,500" in page.text
    assert "there is no weights.safetensors" in page.text


def test_scores_of_other_weights_than_the_run_has_are_called_that(run):
    (run / "weights.safetensors").write_bytes(b"of the training")
    found = metrics() | {"weights_sha256": hashlib.sha256(b"of the training").hexdigest(), "prior": "MixturePrior"}
    write_json(run / "evaluation" / "metrics.json", found)
    page = Page(write_report(run))
    assert "of other weights" not in page.text
    assert "with r drawn from a MixturePrior" in page.text
    (run / "weights.safetensors").write_bytes(b"trained on")
    text = Page(write_report(run)).text
    assert "Not known any more" in text
    assert "is of other weights than the run has now: it was trained on, or its prior was fitted again" in text
    assert "measured on the last training batches, as logged" in text  # and not by that evaluation
    assert f"videossl evaluate --run {run}" in text


def test_a_model_that_loses_to_a_control_is_not_praised(run):
    found = metrics()
    own = found["rows"][0]["metrics"]
    own["coverage"].update(value=0.4, low=0.38, high=0.42)
    own["energy_px"].update(value=3.9, low=3.88, high=3.92)
    write_json(run / "evaluation" / "metrics.json", found)
    text = Page(write_report(run)).text
    assert "The model does not beat its best control in branch coverage or in energy score." in text


def test_a_gain_within_the_intervals_is_not_called_clear(run):
    found = metrics()
    found["rows"][0]["metrics"]["coverage"].update(value=0.58, low=0.53, high=0.8)
    found["metric_help"]["coverage"]["chance"] = 0.2
    write_json(run / "evaluation" / "metrics.json", found)
    text = Page(write_report(run)).text
    assert "better, but the intervals overlap" in text
    assert "but in branch coverage not beyond doubt" in text


def test_the_warnings_of_the_evaluation_are_repeated_word_for_word(run):
    found = metrics()
    found["health"]["warnings"] = ["The embeddings have collapsed (spread 0.02 of 1)."]
    write_json(run / "evaluation" / "metrics.json", found)
    text = Page(write_report(run)).text
    assert "The embeddings have collapsed (spread 0.02 of 1)." in text
    assert "Not to be trusted" in text


def test_a_deterministic_model_is_not_asked_to_beat_its_own_mean(run):
    model = {"class_path": "a.WorldModel", "init_args": CONFIG["model"]["init_args"] | {"latent": None}}
    write_config(run, CONFIG | {"model": model, "beta": None})
    found = metrics(twin=False)
    found["health"] |= {"latent_dim": 0, "kl_nats": None, "active_units": None}
    for name, interval in found["rows"][0]["metrics"].items():  # its samples are copies of its mean
        found["rows"][1]["metrics"][name] = interval
    write_json(run / "evaluation" / "metrics.json", found)
    text = Page(write_report(run)).text
    assert "it gives one answer for every context" in text
    assert "there is no r that could die" in text
    assert "clearly beats every control" in text


def test_every_unreadable_video_is_listed_with_its_cause(run):
    write_index(run, num_videos=100, unreadable=40)
    (run / "unreadable.csv").write_text('video,cause\nvideos/000050.mp4,"went bad, later"\n')
    text = Page(write_report(run)).text
    assert "41 videos could not be read" in text
    assert "went bad, later" in text
    assert all(f"videos/{number:06d}.mp4" in text for number in range(40))
    assert "100 found: 53 trained on, 6 held out (never trained on), 41 unreadable" in text.replace("  ", " ")


def test_replaced_samples_are_counted(run):
    assert "Samples replaced" not in Page(write_report(run)).text
    log = run / "metrics.csv"
    header, *rows = log.read_text().splitlines()
    rows = [f"{row},{1200 if number == len(rows) - 1 else ''}" for number, row in enumerate(rows)]
    log.write_text("\n".join([f"{header},train/replaced_samples", *rows]) + "\n")
    assert "Samples replaced 1,200: their videos could not be read" in " ".join(Page(write_report(run)).text.split())


def test_a_long_list_of_classes_is_complete(run):
    write_index(run, num_videos=800, labels=[f"class number {number}" for number in range(400)])
    text = Page(write_report(run)).text
    assert "All 400 classes" in text
    assert all(f"class number {number} (2)" in text for number in range(400))


EVIL = '<script>alert("1")</script><img src=x onerror=alert(2)>'


def test_names_from_outside_are_text_and_nothing_else(run):
    write_index(run, names=[f"{EVIL}/{number}.mp4" for number in range(20)], labels=[EVIL, "$x^"], unreadable=3)
    write_gallery(run, world=False, name=EVIL)
    write_config(run, CONFIG | {"data": CONFIG["data"] | {"videos": EVIL}, EVIL: EVIL})
    found = metrics(world=False)
    found["rows"][0] |= {"name": EVIL, "note": EVIL}
    found["skipped"] = [EVIL]
    found["metric_help"]["energy_ratio"] |= {"title": EVIL, "reads": EVIL}
    found["health"]["warnings"] = [EVIL]
    write_json(run / "evaluation" / "metrics.json", found)
    page = Page(write_report(run))
    assert page.loaded() == []
    assert page.unbalanced == []
    assert EVIL in page.text
    assert "<script" not in page.source


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.yaml", "model: [}", "config.yaml cannot be read"),
        ("config.yaml", "- 1", "config.yaml cannot be read"),
        ("config.yaml", "model: 3\ndata: [1]\ntraining: x", "What was trained on what"),
        ("environment.json", "[]", "environment.json cannot be read"),
        ("metrics.csv", "a,b\n1,2\n", "metrics.csv cannot be read (ValueError: it has no column `step`)"),
        ("metrics.csv", "", "metrics.csv cannot be read"),
        ("index.parquet", "not parquet", "index.parquet cannot be read"),
        ("unreadable.csv", "a,b\n1,2\n", "unreadable.csv cannot be read"),
        ("evaluation/metrics.json", '{"rows": ', "metrics.json cannot be read"),
        ("evaluation/metrics.json", '{"rows": [{"name": "a"}]}', "evaluation/metrics.json is not as expected"),
        ("evaluation/metrics.json", '{"rows": []}', "the evaluation holds none"),
        ("evaluation/gallery.npz", "PK", "gallery.npz cannot be read (ValueError: it is not an npz archive"),
    ],
)
def test_a_broken_file_is_said_in_its_place_and_spares_the_rest(run, name, content, said):
    (run / name).write_text(content)
    page = Page(write_report(run))
    assert said in page.text
    assert page.unbalanced == []
    assert "Training curves" in page.text
    if name != "index.parquet":
        assert "540 videos" in page.text
    if not name.startswith("evaluation"):
        assert "hit@1" in page.text.lower()


def test_a_gallery_without_its_arrays_is_said_in_its_place(run):
    np.savez(run / "evaluation" / "gallery.npz", context=np.zeros((1, 4, 48, 48, 3), np.uint8))
    assert Page(write_report(run)).text.count("evaluation/gallery.npz is not as expected (KeyError") == 2


def test_a_gallery_of_objects_is_not_unpickled(run):
    np.savez(run / "evaluation" / "gallery.npz", context=np.array([print], dtype=object))
    assert "gallery.npz cannot be read" in Page(write_report(run)).text


def test_a_bare_run_directory_gives_a_page_of_reasons(tmp_path):
    (tmp_path / "config.yaml").write_text("model: {}\n")
    page = Page(write_report(tmp_path))
    for words in ("no index.parquet", "no metrics.csv", "No evaluation yet", "no environment.json"):
        assert words in page.text


def test_large_pictures_leave_the_page_small_and_what_is_left_out_is_said(run):
    rng = np.random.default_rng(0)
    write_gallery(run, num_contexts=6, size=96, frames=16)
    arrays = dict(np.load(run / "evaluation" / "gallery.npz"))
    noise = {name: rng.integers(0, 256, arrays[name].shape, dtype=np.uint8) for name in ("nearest", "branches")}
    np.savez(run / "evaluation" / "gallery.npz", **(arrays | noise))
    page = write_report(run)
    assert page.stat().st_size < 5 * MEGABYTES
    text = Page(page).text
    assert "left out, to keep the page small" in text
    assert "6 of the 16 frames of each clip are shown" in text


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("x")])
def test_what_is_no_run_directory_is_refused_in_one_line(tmp_path, make):
    make(tmp_path / "run")
    with pytest.raises(UsageError) as error:
        write_report(tmp_path / "run")
    assert "\n" not in str(error.value)
    assert list(tmp_path.rglob("report.html")) == []


def test_the_report_needs_no_pyplot_and_no_model():
    code = (
        "import sys; from videossl.report import write_report; "
        "print(*sorted({'matplotlib.pyplot', 'lightning', 'av', 'sklearn', 'videossl.models'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
