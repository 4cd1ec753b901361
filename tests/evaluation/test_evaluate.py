"""The whole evaluation on a world so small that the right values are known."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_models import STEPS, KnowingModel, M, little_world, real_video, twin, unit

from videossl.errors import UsageError
from videossl.evaluation import evaluate, headlines, oracles, table
from videossl.evaluation.predictors import NUM_DRAWS
from videossl.types import Failure

K = 16


@pytest.fixture(scope="module")
def metrics():
    return evaluate(KnowingModel(), twin(), little_world(), num_samples=K, seed=0, run="runs/little")


def row(metrics, key):
    return next(row for row in metrics["rows"] if row["key"] == key)


def value(metrics, key, metric):
    return row(metrics, key)["metrics"][metric]["value"]


def test_rows_stand_in_order_and_of_their_kind(metrics):
    assert [(row["key"], row["kind"]) for row in metrics["rows"]] == [
        ("samples", "model"),
        ("mean", "control"),
        ("twin", "control"),
        ("noise_coverage", "control"),
        ("noise_energy", "control"),
        ("copy", "control"),
        ("random", "control"),
        ("posterior", "oracle"),
        ("truth", "oracle"),
    ]


def test_a_model_that_knows_the_truth_reaches_the_oracle_in_every_metric(metrics):
    for metric, tolerance in (
        ("coverage", 0.05),
        ("precision", 0.001),
        ("calibration", 0.03),
        ("energy_score", 0.01),
        ("energy_px", 0.3),  # the reading of motion errs
        ("best_of_k", 0.02),
        ("mrr", 0.05),
    ):
        assert value(metrics, "samples", metric) == pytest.approx(value(metrics, "truth", metric), abs=tolerance)


def test_a_model_that_knows_the_truth_beats_every_control(metrics):
    controls = [row["key"] for row in metrics["rows"] if row["kind"] == "control"]
    assert len(controls) == 6
    for control in controls:
        assert value(metrics, "samples", "energy_ratio") < value(metrics, control, "energy_ratio")
        assert value(metrics, "samples", "energy_px") < value(metrics, control, "energy_px")
        assert value(metrics, "samples", "coverage") > value(metrics, control, "coverage")


def test_the_truth_row_holds_the_exact_oracle_values(metrics):
    probabilities = torch.tensor([[0.4, 0.3, 0.2, 0.1]])
    coverage = oracles.expected_coverage(probabilities, K).item()
    calibration = oracles.expected_total_variation(probabilities, NUM_DRAWS).item()
    assert value(metrics, "truth", "coverage") == pytest.approx(coverage)
    assert value(metrics, "truth", "calibration") == pytest.approx(calibration)
    assert value(metrics, "truth", "precision") == 1


def test_one_answer_covers_one_branch_at_most(metrics):
    for control in ("mean", "twin", "copy"):
        assert value(metrics, control, "coverage") <= 1 / M
        assert value(metrics, control, "spread_skill") == 0


def test_values_lie_within_their_intervals(metrics):
    for found in metrics["rows"]:
        for interval in found["metrics"].values():
            assert interval["low"] - 1e-6 <= interval["value"] <= interval["high"] + 1e-6


def test_no_context_is_both_tuned_on_and_scored(metrics):
    held_out = little_world()
    tuning, scored = held_out.tuning_split(0)
    assert not set(held_out.videos[tuning].tolist()) & set(held_out.videos[scored].tolist())
    assert (metrics["num_tuning_contexts"], metrics["num_contexts"]) == (len(tuning), len(scored)) == (16, 48)


def test_every_metric_shown_has_help(metrics):
    used = {name for row in metrics["rows"] for name in row["metrics"]}
    assert used == set(metrics["metric_help"])
    assert metrics["metric_help"]["precision"]["chance"] == pytest.approx(4 / 7)


def test_best_of_k_curve_ends_at_the_value_in_the_table(metrics):
    for key, curve in metrics["best_of_k_curve"].items():
        assert [k for k, _ in curve] == list(range(1, K + 1))
        assert curve[-1][1] == pytest.approx(value(metrics, key, "best_of_k_ratio"), rel=1e-5)


def test_branch_frequencies_of_a_knowing_model_are_the_true_ones(metrics):
    frequencies = metrics["branch_frequencies"]
    assert frequencies["true"] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert frequencies["sampled"] == pytest.approx(frequencies["true"], abs=0.06)
    assert frequencies["total_variation"] < 0.06


def test_health_sees_a_latent_that_lives(metrics):
    health = metrics["health"]
    assert health["warnings"] == []
    assert health["posterior_branch_accuracy"] == 1
    assert health["posterior_prior_gap"] == pytest.approx(1)
    assert health["active_units"] >= M


def test_the_kick_is_read_from_the_latent_and_not_from_the_context(metrics):
    found = {(entry["target"], entry["features"]): entry for entry in metrics["probes"]}
    assert found["kick", "innovation"]["value"] > 0.5
    assert found["kick", "representation"]["value"] < 0.1
    assert found["position", "representation"]["value"] > 0.9
    assert "kl_nats" in found["kick", "latent sample"]


def test_the_kick_is_read_from_both_clips_of_a_model_without_a_latent_too():
    model = KnowingModel()
    model.latent = None
    metrics = evaluate(model, None, little_world(), num_samples=4, seed=0)
    found = {(entry["target"], entry["features"]): entry for entry in metrics["probes"]}
    assert found["kick", "both clips"]["value"] > 0.9 > 0.1 > found["kick", "representation"]["value"]
    assert found["kick", "both clips"]["random_encoder"] is not None
    assert headlines(metrics)["kick_r2_pair"] == found["kick", "both clips"]["value"]
    assert "Read from context and future together by a weighted sum" in " ".join(table(metrics).split())
    assert ("position", "both clips") not in found


def test_the_same_seed_gives_the_same_numbers(metrics):
    again = evaluate(KnowingModel(), twin(), little_world(), num_samples=K, seed=0, run="runs/little")
    assert again == metrics


def test_every_clip_is_embedded_once_for_each_model():
    held_out = replace(little_world(), probe=None)
    model, other = KnowingModel(), twin()
    evaluate(model, other, held_out, num_samples=2, seed=0)
    assert model.num_embedded == other.num_embedded == 64 * (1 + 1 + 4 + 3)


def test_what_is_written_is_what_is_returned(tmp_path):
    metrics = evaluate(KnowingModel(), None, little_world(), num_samples=4, seed=0, out=tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text()) == json.loads(json.dumps(metrics))
    assert "the row `twin`: no deterministic twin of this run was trained or given" in metrics["skipped"]
    with np.load(tmp_path / "gallery.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {
            "context", "observed", "nearest", "nearest_kind", "branches", "branch_hits", "map", "map_label",
            "map_label_name", "names", "latent_sample", "latent_innovation", "latent_kick",
        }  # fmt: skip


def test_noise_goes_around_the_models_own_mean_where_there_is_no_twin():
    metrics = evaluate(KnowingModel(), None, little_world(), num_samples=4, seed=0)
    assert row(metrics, "noise_energy")["space"] == "run"


def test_real_video_has_no_branch_metrics_and_says_so():
    metrics = evaluate(KnowingModel(), twin(), real_video(), num_samples=4, seed=0)
    assert [row["key"] for row in metrics["rows"]] == [
        "samples", "mean", "twin", "noise_energy", "copy", "random", "posterior",
    ]  # fmt: skip
    assert not {"coverage", "energy_px"} & set(metrics["metric_help"])
    assert metrics["branch_frequencies"] is None
    assert any("no world with known branches" in reason for reason in metrics["skipped"])
    assert any(reason.startswith("probes: nothing is known") for reason in metrics["skipped"])


def test_a_continuous_world_has_an_energy_oracle_and_no_branches_to_count():
    held_out = little_world()
    held_out = replace(held_out, taken=torch.full((64,), -1), branch_probabilities=torch.full((64, M), 1 / M))
    metrics = evaluate(KnowingModel(), twin(), held_out, num_samples=4, seed=0)
    assert set(row(metrics, "truth")["metrics"]) >= {"energy_score", "energy_ratio", "energy_px", "mrr"}
    assert value(metrics, "truth", "energy_px") < min(
        value(metrics, row["key"], "energy_px") for row in metrics["rows"] if row["kind"] != "oracle"
    )
    assert all("coverage" not in row["metrics"] for row in metrics["rows"])
    assert any("continuous" in reason for reason in metrics["skipped"])


def test_without_decoys_no_row_has_a_precision_and_it_is_said():
    metrics = evaluate(KnowingModel(), None, replace(little_world(), decoys=None), num_samples=4, seed=0)
    assert "coverage" in metrics["metric_help"]
    assert not any("precision" in row["metrics"] for row in metrics["rows"])
    assert "branch precision: without decoys every sample lands on a branch" in metrics["skipped"]
    assert "precision together" not in " ".join(table(metrics).split())


def test_a_deterministic_model_can_be_evaluated_too():
    metrics = evaluate(twin(), None, little_world(), num_samples=4, seed=0)
    assert "posterior" not in [row["key"] for row in metrics["rows"]]
    assert metrics["health"]["kl_nats"] is None
    assert value(metrics, "samples", "energy_score") == pytest.approx(value(metrics, "mean", "energy_score"))


def test_one_sample_is_enough_for_all_but_the_spread():
    metrics = evaluate(KnowingModel(), None, little_world(), num_samples=1, seed=0)
    assert "spread_skill" not in row(metrics, "samples")["metrics"]
    assert any(reason.startswith("spread and rank histogram") for reason in metrics["skipped"])


def test_a_collapsed_model_is_warned_of_and_gets_no_credit():
    model = KnowingModel()
    model.scramble.data = torch.zeros_like(model.scramble)
    model.scramble.data[:, 0] = 0.0
    metrics = evaluate(model, None, little_world(), num_samples=4, seed=0)
    assert metrics["health"]["warnings"][0].startswith("The embeddings have collapsed")
    assert value(metrics, "copy", "hit_at_1") == 0
    for key in ("samples", "mean", "noise_energy", "copy", "posterior"):
        assert value(metrics, key, "energy_px") > metrics["metric_help"]["energy_px"]["chance"]
    json.dumps(metrics, allow_nan=False)


def test_unreadable_videos_are_counted_and_named():
    held_out = replace(little_world(), failures=(Failure("a.mp4", "no frames"), Failure("b.mp4", "not a video")))
    metrics = evaluate(KnowingModel(), None, held_out, num_samples=2, seed=0)
    assert "2 held-out video(s) that could not be read: a.mp4: no frames; b.mp4: not a video" in metrics["skipped"]


@pytest.mark.parametrize("num_samples", [0, -3])
def test_no_samples_is_wrong_use(num_samples):
    with pytest.raises(UsageError, match=rf"num_samples >= 1 .* got {num_samples}"):
        evaluate(KnowingModel(), None, little_world(), num_samples=num_samples, seed=0)


def test_too_few_contexts_are_wrong_use():
    with pytest.raises(UsageError, match=r"at least 8 held-out contexts, got 3 from 3 held-out video.*heldout_share"):
        evaluate(KnowingModel(), None, little_world(3), num_samples=4, seed=0)


@pytest.mark.parametrize("held_out", [little_world(), real_video()])
def test_the_table_fits_a_terminal_of_a_hundred_columns(held_out):
    lines = table(evaluate(KnowingModel(), twin(), held_out, num_samples=4, seed=0)).splitlines()
    assert max(len(line) for line in lines) <= 100
    order = [next(i for i, line in enumerate(lines) if line.startswith(start)) for start in (
        "samples of this model", "-- controls", "deterministic twin", "-- oracles", "chance", "Compare the first row",
    )]  # fmt: skip
    assert order == sorted(order)


@pytest.mark.parametrize(("number", "shown"), [(0.5, ".50±.25"), (43.94, "43.9±22.0"), (439.4, "439±220")])
def test_neighbours_in_the_table_do_not_touch(metrics, number, shown):
    changed = copy.deepcopy(metrics)
    row(changed, "samples")["metrics"]["energy_px"] = {"value": number, "low": 0.5 * number, "high": 1.5 * number}
    row(changed, "samples")["metrics"]["best_of_k_ratio"] = {"value": number, "low": 0.5 * number, "high": 1.5 * number}
    line = next(line for line in table(changed).splitlines() if line.startswith("samples of this model"))
    assert line.split()[7:9] == [shown, shown]


def test_the_table_shows_energy_in_pixels_where_true_motion_is_known(metrics):
    in_world, in_real = (
        table(found).splitlines()[2].split()
        for found in (metrics, evaluate(KnowingModel(), None, real_video(), num_samples=4, seed=0))
    )
    assert in_world[3:5] == ["energy", "px"]
    assert in_real[:2] == ["energy", "best"]
    assert "energy_ratio" in row(metrics, "samples")["metrics"]
    assert metrics["metric_help"]["energy_px"]["chance"] > value(metrics, "truth", "energy_px")


class FlatTwin(KnowingModel):
    """Its space throws away nearly all of what the steps change."""

    def __init__(self) -> None:
        super().__init__()
        self.latent = None
        self.scramble.data[:M] *= 0.05

    def mean_future(self, frames):
        return unit(frames + 0.05 * STEPS.mean(dim=0))


def test_a_twin_whose_space_throws_away_what_varies_is_not_flattered_in_pixels():
    metrics = evaluate(KnowingModel(), FlatTwin(), little_world(), num_samples=K, seed=0)
    assert value(metrics, "twin", "energy_ratio") < value(metrics, "samples", "energy_ratio")
    assert value(metrics, "twin", "energy_px") > value(metrics, "samples", "energy_px") + 0.5


def test_the_model_is_compared_with_every_control_on_the_same_contexts(metrics):
    found = metrics["comparisons"]
    controls = [row["key"] for row in metrics["rows"] if row["kind"] == "control"]
    assert [(one["metric"], one["against"]) for one in found] == [
        (metric, key) for metric in ("coverage", "energy_px") for key in controls
    ]
    for one in found:
        gap = value(metrics, "samples", one["metric"]) - value(metrics, one["against"], one["metric"])
        assert one["difference"] == pytest.approx(gap, abs=1e-5)
        assert one["low"] <= one["difference"] <= one["high"]
        assert (one["difference"] > 0) == (one["metric"] == "coverage")
        assert one["better"] == (one["low"] > 0 or one["high"] < 0)
    # eight dimensions are so few that noise covers the branches nearly as well; in pixels it pays for it
    assert all(one["better"] for one in found if one["metric"] == "energy_px")


def test_on_real_video_energy_is_compared_within_the_models_own_space():
    found = evaluate(KnowingModel(), twin(), real_video(), num_samples=4, seed=0)
    assert found["readouts"] == {}
    compared = {metric: [] for metric in ("energy_score", "hit_at_1")}
    for one in found["comparisons"]:
        compared[one["metric"]].append(one["against"])
    assert compared["energy_score"] == ["mean", "copy"]
    assert compared["hit_at_1"] == ["mean", "twin", "noise_energy", "copy", "random"]


def test_a_deterministic_model_is_not_compared_with_its_own_mean():
    found = evaluate(twin(), None, little_world(), num_samples=4, seed=0)
    assert "mean" not in {one["against"] for one in found["comparisons"]}
    assert not all(one["better"] for one in found["comparisons"])
    assert "better" in table(found)


def test_the_table_says_by_how_much_the_best_control_is_beaten_and_how_well_motion_is_read(metrics):
    text = " ".join(table(metrics).split())
    assert "coverage: " in text
    assert "energy px: " in text
    assert text.count("of the best control (noise tuned for") >= 1
    assert f"errs by {metrics['readouts']['run']['error_px']:.2f} px in this model's space" in text
    assert set(metrics["readouts"]) == {"run", "twin", "random"}
