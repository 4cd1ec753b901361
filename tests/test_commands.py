"""Every verb, run as a user runs it; and wrong use, which gives one line and an exit code."""

import csv
import hashlib
import json
import shutil

import pandas as pd
import pytest
import torch
import yaml
from command_line import REPOSITORY, SMALL, videossl

import videossl as package
import videossl.data as package_data
from videossl.cli.dispatch import verb_parser
from videossl.option_parser import _as_yaml

QUICKSTART = REPOSITORY / "configs/pretrain/quickstart.yaml"
FOLDER = REPOSITORY / "configs/pretrain/folder.yaml"
REAL = REPOSITORY / "tests/data/real"


def test_pretrain_leaves_a_complete_run_directory(small_run):
    for name in ("config.yaml", "environment.json", "index.parquet", "metrics.csv", "weights.safetensors"):
        assert (small_run / name).stat().st_size > 0
    assert {path.name for path in (small_run / "checkpoints").iterdir()} >= {"last.ckpt", "best.ckpt", "step-3.ckpt"}
    with (small_run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    losses = [float(row["train/loss"]) for row in rows if row["train/loss"]]
    assert len(losses) == 3
    assert {"train/kl_nats", "train/embedding_std", "train/effective_rank", "train/clips_per_second"} <= rows[0].keys()
    assert any(row["heldout/loss"] for row in rows)
    assert list((small_run / "tensorboard").glob("events*"))
    command = json.loads((small_run / "environment.json").read_text())["command"]
    assert command.startswith("python -m videossl.cli pretrain --config")


def test_a_training_shorter_than_from_look_to_look_looks_at_its_end_and_goes_on(small_world, tmp_path):
    options = [option for option in SMALL if not option.startswith("--training.heldout_every")]
    done = videossl(
        "pretrain", "--config", QUICKSTART, *options, "--data.videos", small_world, "--out", tmp_path / "run"
    )
    with (tmp_path / "run" / "metrics.csv").open() as file:
        (look,) = [row for row in csv.DictReader(file) if row["heldout/loss"]]
    assert look["step"] == "5"
    assert "step 6/6  loss" in done.stderr
    assert f"held-out {float(look['heldout/loss']):.3f}" in done.stderr
    assert (tmp_path / "run/checkpoints/best.ckpt").is_file()
    longer = ("--training.max_steps", 8, "--ckpt", "last")
    done = videossl("pretrain", "--config", tmp_path / "run" / "config.yaml", *longer)
    assert done.returncode == 0, done.stderr
    assert "callbacks used to create the checkpoint" not in done.stderr


def test_a_run_is_loaded_and_used_from_python(small_run):
    model = package.load(small_run)
    frames = torch.randint(0, 256, (2, 4, 3, 48, 48), dtype=torch.uint8)
    assert model.embed(frames).representation.shape == (2, 48)
    assert model.sample_futures(frames, num_samples=5, horizon=3, seed=0).shape == (2, 5, 3, 64)
    assert not model.training


def test_evaluate_extract_and_report_of_a_run_with_its_twin(small_run, small_twin, small_world, tmp_path):
    done = videossl("evaluate", "--run", small_run, "--twin", small_twin, "--num_contexts", 20, "--num_samples", 8)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((small_run / "evaluation/metrics.json").read_text())
    assert {row["key"] for row in metrics["rows"]} >= {"samples", "twin", "copy", "random", "posterior", "truth"}
    assert metrics["weights_sha256"] == hashlib.sha256((small_run / "weights.safetensors").read_bytes()).hexdigest()
    assert "overage" in done.stdout
    done = videossl("extract", "--run", small_run, "--videos", small_world, "--out", tmp_path / "e")
    assert done.returncode == 0, done.stderr
    table = pd.read_parquet(tmp_path / "e")
    assert list(table.columns)[:5] == ["video", "frame", "seconds", "label", "embedding"]
    assert table.video.nunique() == 48
    done = videossl("report", "--run", small_run)
    assert done.returncode == 0, done.stderr
    assert (small_run / "report.html").read_text().count("<h2") > 3


@pytest.mark.parametrize("level", ["clip", "video"])
def test_extract_at_other_levels(small_run, small_world, tmp_path, level):
    done = videossl("extract", "--run", small_run, "--videos", small_world, "--out", tmp_path / "e", "--level", level)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_parquet(tmp_path / "e")) == {"clip": 96, "video": 48}[level]


def test_the_three_jobs_on_a_real_video(tmp_path):
    run, folder = tmp_path / "run", tmp_path / "videos"
    folder.mkdir()
    for copy in range(4):
        for path in REAL.glob("*.mp4"):
            shutil.copy(path, folder / f"{copy}-{path.name}")
    done = videossl(
        "pretrain", "--config", FOLDER, "--data.videos", folder, "--out", run, *SMALL,
        "--data.frame_size=48", "--augment.size=48", "--training.num_workers=2", "--training.batch_size=2",
        "--data.clips.num_frames=4",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = videossl("evaluate", "--run", run, "--num_contexts", 8, "--num_samples", 4)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((run / "evaluation/metrics.json").read_text())
    assert metrics["world"] is None
    assert "hit_at_1" in metrics["rows"][0]["metrics"]
    assert any("branch" in line for line in metrics["skipped"])
    done = videossl("extract", "--run", run, "--videos", folder, "--out", tmp_path / "e")
    assert done.returncode == 0, done.stderr
    assert videossl("report", "--run", run).returncode == 0


def test_training_goes_on_where_it_stopped(small_run, small_world, tmp_path):
    out = tmp_path / "run"
    small = [option for option in SMALL if "max_steps" not in option]
    common = ("pretrain", "--config", QUICKSTART, "--data.videos", small_world, "--out", out, *small)
    assert videossl(*common, "--training.max_steps=3").returncode == 0
    done = videossl("pretrain", "--config", out / "config.yaml", "--training.max_steps=6", "--ckpt", "last")
    assert done.returncode == 0, done.stderr
    with (out / "metrics.csv").open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert steps == sorted(set(steps)) == [1, 3, 5]
    checkpoints = {path.name for path in (out / "checkpoints").glob("*.ckpt")}
    assert not any("-v" in name for name in checkpoints), checkpoints
    assert torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 6


def test_the_same_seed_gives_the_same_weights(small_run, small_world, tmp_path):
    done = videossl("pretrain", "--config", small_run / "config.yaml", "--out", tmp_path / "again")
    assert done.returncode == 0, done.stderr
    first, again = (package.load(run).state_dict() for run in (small_run, tmp_path / "again"))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_an_unreadable_video_is_listed_and_training_goes_on(small_world, tmp_path):
    videos = tmp_path / "videos"
    shutil.copytree(small_world / "videos", videos)
    (videos / "broken.mp4").write_bytes(b"no video at all")
    out = tmp_path / "run"
    done = videossl("pretrain", "--config", QUICKSTART, "--data.videos", videos, "--out", out, *SMALL)
    assert done.returncode == 0, done.stderr
    assert "1 videos could not be read" in done.stdout
    assert "broken.mp4" in (out / "unreadable.csv").read_text()


def test_too_many_unreadable_videos_stop_the_run(small_world, tmp_path):
    videos = tmp_path / "videos"
    shutil.copytree(small_world / "videos", videos)
    for number in range(20):
        (videos / f"broken{number}.mp4").write_bytes(b"no video at all")
    done = videossl("pretrain", "--config", QUICKSTART, "--data.videos", videos, "--out", tmp_path / "run", *SMALL)
    one_line(done, 1, "20 of 68 videos are unreadable")


def one_line(done, code, *says):
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("videossl")]
    assert len(lines) == 1, done.stderr
    for part in says:
        assert part in lines[0]


def test_print_config_gives_a_config_that_runs():
    done = videossl("pretrain", "--config", QUICKSTART, "--print_config")
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["training"]["batch_size"] > 1


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (["--model.latent.prior", "null"], "GaussianLatent"),
        (["--model.latent", "SparseGate", "--model.latent.prior=null"], "SparseGate"),
        (["--model.latent.init_args", '{"latent_dim": 8, "prior": null}'], "GaussianLatent"),
    ],
)
def test_null_can_be_said_of_an_option_within_a_part_of_the_model(options, kind):
    config = ["--config", str(REPOSITORY / "configs/pretrain/futures.yaml")]
    latent = verb_parser("pretrain").parse_args([*config, *options]).model.init_args.latent
    assert latent.class_path.endswith(kind)
    assert (latent.init_args.latent_dim, latent.init_args.prior) == (8, None)


def test_words_within_a_part_of_the_model_stay_what_they_are():
    assert _as_yaml("--names=[None, 'a 😀 b']") == '--names=[null, "a 😀 b"]'
    for text in ("--x={{}}", "--x=[{1}]", "--x=videossl.models.MixturePrior", "--x=1.5", "--x"):
        assert _as_yaml(text) == text


@pytest.mark.parametrize(
    "verb",
    [
        "world",
        "index",
        "cache",
        "pretrain",
        "evaluate",
        "extract",
        "export",
        "probe",
        "search",
        "events",
        "duplicates",
        "report",
        "bench",
    ],
)
def test_every_verb_has_help(verb):
    done = videossl(verb, "--help")
    assert done.returncode == 0
    assert len(done.stdout) > 100
    assert verb in videossl("--help").stdout


def test_help_of_a_prior_names_priors_and_not_the_modules_of_torch():
    said = videossl("refit-prior", "--help").stdout
    assert "MixturePrior" in said
    assert "torch.nn" not in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--data.videos", "no/such/folder"], "no/such/folder"),
        (["--training.max_stps", "3"], "max_stps"),
        (["--nonsense", "3"], "nonsense"),
        (["--training.max_step", "3"], "max_step"),
        (["--model.encoder.widht", "3"], "widht"),
        (["--training.max_steps", "many"], "max_steps"),
        (["--training.batch_size", "1"], "batch_size"),
        (["--objective", "videossl.objectives.NoSuch"], "NoSuch"),
        (["--ckpt", "no/such.ckpt"], "no/such.ckpt"),
    ],
)
def test_wrong_options_of_pretrain_give_one_line(options, says, small_world, tmp_path):
    common = ["pretrain", "--config", QUICKSTART, "--data.videos", small_world, "--out", tmp_path / "run", *SMALL]
    one_line(videossl(*common, *options), 2, says)
    assert not (tmp_path / "run" / "weights.safetensors").exists()


def test_folders_without_videos_are_refused(tmp_path):
    empty, texts = tmp_path / "empty", tmp_path / "texts"
    empty.mkdir()
    texts.mkdir()
    (texts / "notes.txt").write_text("no video")
    for folder in (empty, texts):
        done = videossl("pretrain", "--config", QUICKSTART, "--data.videos", folder, "--out", tmp_path / "run")
        one_line(done, 2, str(folder))


def test_videos_shorter_than_the_clip_are_refused_with_a_remedy(small_world, tmp_path):
    common = ["pretrain", "--config", QUICKSTART, "--data.videos", small_world, "--out", tmp_path / "run", *SMALL]
    one_line(videossl(*common, "--data.clips.num_frames", 100), 2, "pad")


def test_a_run_directory_that_exists_is_not_overwritten(small_run, small_world):
    before = (small_run / "weights.safetensors").stat().st_mtime_ns
    done = videossl("pretrain", "--config", QUICKSTART, "--data.videos", small_world, "--out", small_run, *SMALL)
    one_line(done, 2, "exists", "--overwrite true", "--ckpt last")
    assert (small_run / "weights.safetensors").stat().st_mtime_ns == before


def test_a_folder_that_is_no_run_is_never_deleted(small_world, tmp_path):
    (tmp_path / "thesis.txt").write_text("ten years of work")
    common = ["pretrain", "--config", QUICKSTART, "--data.videos", small_world, "--out", tmp_path, *SMALL]
    one_line(videossl(*common, "--overwrite", "true"), 2, "not what this command writes")
    assert (tmp_path / "thesis.txt").exists()


def test_a_checkpoint_that_is_not_one_is_refused(small_run, small_world, tmp_path):
    fake = tmp_path / "fake.ckpt"
    fake.write_bytes(b"not a checkpoint")
    common = ["pretrain", "--config", QUICKSTART, "--data.videos", small_world, "--out", tmp_path / "run", *SMALL]
    one_line(videossl(*common, "--ckpt", fake), 2, "is not a checkpoint")
    broken = tmp_path / "broken"
    shutil.copytree(small_run, broken)
    (broken / "weights.safetensors").write_bytes(b"not safetensors")
    one_line(videossl("evaluate", "--run", broken), 2, "safetensors")


@pytest.mark.parametrize("verb", ["evaluate", "report"])
def test_no_run_directory_is_one_line(verb, tmp_path):
    one_line(videossl(verb, "--run", tmp_path / "none"), 2, "no such run directory")
    one_line(videossl(verb, "--run", tmp_path), 2, "is not a run directory")


def test_a_model_without_its_videos_is_not_evaluated(small_run, tmp_path):
    for name in ("config.yaml", "weights.safetensors"):
        shutil.copy(small_run / name, tmp_path)
    one_line(videossl("evaluate", "--run", tmp_path), 2, "which videos were held out")


def test_zero_samples_are_refused(small_run):
    one_line(videossl("evaluate", "--run", small_run, "--num_samples", 0), 2, "num_samples")


def test_an_unknown_verb_suggests_the_nearest():
    one_line(videossl("pretrian"), 2, "Did you mean pretrain?")


def small_pretrain(videos, out, *options):
    return videossl("pretrain", "--config", QUICKSTART, "--data.videos", videos, "--out", out, *SMALL, *options)


def test_a_diverged_training_saves_no_weights(small_world, tmp_path):
    done = small_pretrain(small_world, tmp_path / "run", "--training.learning_rate=1e30", "--training.log_every=20")
    one_line(done, 1, "Lower training.learning_rate")
    assert not (tmp_path / "run/weights.safetensors").exists()
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def test_a_refused_start_leaves_the_earlier_run_as_it_was(small_run, small_world, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    changed = ("pretrain", "--config", run / "config.yaml", "--out", run, "--training.max_steps=9")
    one_line(videossl(*changed, "--ckpt", "last", "--model.encoder.init_args.width=48"), 2, "is of another model")
    one_line(videossl(*changed, "--ckpt", "last", "--data.heldout_share=0.3"), 2, "videos are not as they were")
    one_line(videossl(*changed, "--overwrite", "true", "--data.clips.num_frames=50"), 2, "too short")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_checkpoint_of_elsewhere_does_not_open_a_foreign_folder(small_run, small_world, tmp_path):
    (tmp_path / "thesis.txt").write_text("ten years of work")
    checkpoint = small_run / "checkpoints/last.ckpt"
    done = small_pretrain(small_world, tmp_path, "--training.max_steps=9", "--ckpt", checkpoint)
    one_line(done, 2, "not what this command writes")


def test_a_twin_of_other_videos_is_refused(small_run, tmp_path):
    config = REPOSITORY / "configs/world/quickstart.yaml"
    videossl("world", "digits", "--config", config, "--out", tmp_path / "other", "--num_videos", 48, "--seed", 9)
    twin = tmp_path / "twin"
    done = videossl(
        "pretrain", "--config", REPOSITORY / "configs/pretrain/quickstart_twin.yaml", "--out", twin, *SMALL,
        "--data.videos", tmp_path / "other",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one_line(videossl("evaluate", "--run", small_run, "--twin", twin), 2, "not trained on the videos of this run")
    one_line(videossl("evaluate", "--run", small_run, "--twin", small_run), 2, "no deterministic twin")


def test_a_run_is_evaluated_alike_from_any_folder(small_run, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    done = videossl("evaluate", "--run", small_run, "--num_contexts", 20, "--num_samples", 4, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "world Digits" in done.stdout


def test_a_device_that_is_not_there_is_one_line(small_run):
    one_line(videossl("evaluate", "--run", small_run, "--device", "nonsense"), 2, "--device nonsense cannot be used")


def test_decord_reads_the_digits_as_pyav_does(small_world):
    decord = pytest.importorskip("decord")
    assert decord
    path = small_world / "videos/000000.mp4"
    with package_data.PyAVReader(path) as first, package_data.DecordReader(path) as second:
        pictures = [reader.read([0, 3, 7], size=None).astype(float) for reader in (first, second)]
    assert abs(pictures[0] - pictures[1]).mean() < 1


def test_a_mistyped_extraction_leaves_the_embeddings_that_it_was_to_replace(small_run, small_world, tmp_path):
    out = tmp_path / "embeddings"
    common = ("extract", "--run", small_run, "--out", out)
    assert videossl(*common, "--videos", small_world / "videos").returncode == 0
    before = (out / "part-00000.parquet").read_bytes()
    one_line(videossl(*common, "--videos", tmp_path / "typo", "--overwrite", "true"), 2, "typo")
    assert (out / "part-00000.parquet").read_bytes() == before
    assert videossl(*common, "--videos", small_world / "videos", "--overwrite", "true").returncode == 0
