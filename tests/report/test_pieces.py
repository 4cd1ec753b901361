import base64
import io
import math

import numpy as np
import pytest
from PIL import Image
from synthetic_run import CONFIG, metrics, moving_discs

from videossl.report.charts import embedding_map
from videossl.report.curves import curves
from videossl.report.facts import facts
from videossl.report.health import health, steps_of
from videossl.report.numbers import listed, number, score
from videossl.report.probes import probes
from videossl.report.scores import scores
from videossl.report.sources import read_training
from videossl.report.strips import frames_shown, strip
from videossl.wording import counted


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0312, "0.0312"), (0.5, "0.500"), (12.44, "12.4"), (5400, "5,400"), (1.2e-5, "1.2e-05"), (0, "0"),
     (math.nan, "not a number"), (math.inf, "infinite"), (-0.25, "-0.250")],
)  # fmt: skip
def test_numbers_have_about_three_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.934, "0.93"), (0.00326, "0.003"), (0.00002, "0.00"), (-0.0001, "0.00"), (-0.25, "-0.25")]
)
def test_scores_have_two_decimals(value, text):
    assert score(value) == text


def test_words_follow_the_count():
    assert [counted(1, "video"), counted(2, "video"), counted(0, "video")] == ["1 video", "2 videos", "0 videos"]
    assert [listed([]), listed(["a"]), listed(["a", "b", "c"])] == ["", "a", "a, b and c"]


def test_an_empty_cell_was_not_logged_and_nan_was(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train/loss,heldout/loss\n0,19,2.5,\n0,9,3.5,\n0,39,nan,1.5\n")
    columns = read_training(path)
    assert columns["train/loss"][:2] == [(9, 3.5), (19, 2.5)]
    assert math.isnan(columns["train/loss"][2][1])
    assert columns["heldout/loss"] == [(39, 1.5)]


def test_columns_that_no_picture_shows_are_named():
    training = {"train/loss": [(0, 1.0), (1, 0.5)], "train/new": [(0, 1.0)], "lr-AdamW/pg1": [(0, 0.1)]}
    drawn = curves(training, {})
    assert [curve.title for curve in drawn.pictures] == ["Loss", "Learning rate"]
    assert drawn.not_shown == ["train/new"]


def test_a_long_training_is_drawn_with_few_points():
    training = {"train/loss": [(step, math.sin(step)) for step in range(50_000)]}
    assert len(curves(training, {}).pictures[0].picture) < 60_000


def test_each_pair_of_views_gets_its_line_only_if_there_are_several():
    one = {"train/kl_nats_per_pair/0": [(0, 1.0)]}
    several = {f"train/kl_nats_per_pair/{pair}": [(0, 1.0), (1, 2.0)] for pair in range(12)}
    assert curves(one, {}).pictures == []
    assert curves(one, {}).not_shown == []
    assert len(curves(several, {}).pictures) == 1
    assert curves(several, {}).not_shown == []


def test_a_constant_zero_and_a_single_point_can_be_drawn():
    training = {"train/active_units": [(0, 0.0), (1, 0.0)], "train/beta": [(5, 0.1)], "train/loss": [(0, math.nan)]}
    assert len(curves(training, {}).pictures) == 3


def test_facts_of_an_empty_config_are_none():
    assert facts({}) == []
    assert facts({"model": None, "data": {"clips": None}}) == []


def test_facts_say_what_real_configs_ask_for():
    config = CONFIG | {
        "data": CONFIG["data"]
        | {"clips": {"num_views": 3, "num_frames": 16, "target_fps": 8, "mode": "future", "gap_frames": [1, 4]}},
        "beta": {"class_path": "videossl.objectives.FixedBeta", "init_args": {"beta": 0.05, "warmup_steps": 10}},
        "augment": {
            "class_path": "a.Augment",
            "init_args": {"scale": [0.3, 1.0], "flip_probability": 0.5, "shared_crop": False},
        },
    }
    said = {fact.title: fact.text for fact in facts(config)}
    assert "8 frames a second" in said["Clips"]
    assert "after a gap of 1 to 4 frames" in said["Clips"]
    assert "crops of 30% to 100% of the frame (each clip its own) and mirroring (chance 0.5)" in said["Augmentation"]
    assert said["Price of information"] == "FixedBeta: beta = 0.05, after 10 warm-up steps."


def test_facts_say_what_was_fitted_after_the_training():
    of_fit = {
        "max_steps": 2500, "nats": 3.2, "shared": {"max_steps": 500},
        "prior": {"class_path": "videossl.models.MixturePrior", "init_args": {}},
    }  # fmt: skip
    fitted = CONFIG | {"training": CONFIG["training"] | {"refit_transition": of_fit, "refit": {"prior": None}}}
    assert {fact.title: fact.text for fact in facts(fitted)}["After the training"] == (
        "Latent and editor trained on for 2,500 steps, with a budget of 3.2 nats and a MixturePrior of each context as "
        "the prior, after 500 steps with one prior of all contexts; then the prior fitted once more. The encoder "
        "stands still; what is no better on videos kept out is dropped."
    )
    assert "After the training" not in {fact.title for fact in facts(CONFIG)}


@pytest.mark.parametrize(("kl_nats", "state"), [(1.0, "watch"), (2.0, "good"), (6.0, "good"), (9.0, "watch")])
def test_information_is_held_against_the_budgets_of_training_and_fit(kl_nats, state):
    config = CONFIG | {"training": CONFIG["training"] | {"refit_transition": {"nats": 5.5}}}
    signs = {sign.title: sign for sign in health({}, {"kl_nats": kl_nats}, config, has_weights=True).signs}
    assert signs["Information in r (KL)"].state == state
    assert signs["Information in r (KL)"].means.endswith("The budget is 2.4 and then 5.5 nats.")


@pytest.mark.parametrize(
    ("known", "said"), [({"num_codes": 16}, "one of 16 codes (L) that carries"), ({}, "a vector (L) that carries")]
)
def test_what_r_is_made_of_is_said(known, said):
    latent = {"class_path": "a.L", "init_args": known}
    config = CONFIG | {"model": {"init_args": {**CONFIG["model"]["init_args"], "latent": latent}}}
    assert {fact.title: fact.text for fact in facts(config)}["Latent r"].startswith(said)


def test_a_budget_of_a_sparse_r_is_of_gates_and_not_of_nats():
    model = {"init_args": {**CONFIG["model"]["init_args"], "latent": {"class_path": "videossl.models.SparseGate"}}}
    config = CONFIG | {"model": model}
    assert "about 2.4 gates of r are open" in {fact.title: fact.text for fact in facts(config)}["Price of information"]
    signs = {sign.title: sign for sign in health({}, {"kl_nats": 0.5}, config, has_weights=True).signs}
    assert signs["Information in r (KL)"].state == "good"
    assert "budget" not in signs["Information in r (KL)"].means


@pytest.mark.parametrize(
    ("value", "untrained", "state"),
    [(0.02, 0.01, "good"), (0.29, 0.29, "none"), (0.29, 0.01, "bad"), (0.29, None, "bad")],
)
def test_what_an_untrained_model_sees_of_the_kick_is_no_leak(value, untrained, state):
    entry = {
        "target": "kick", "features": "representation", "score": "r2", "value": value, "random_encoder": untrained,
        "chance": 0.0,
    }  # fmt: skip
    assert probes({"probes": [entry]})[0].state == state


def test_of_a_loss_that_was_logged_once_nothing_is_said():
    loss = health({"train/loss": [(19, 1.2)]}, None, {}, has_weights=True).signs[0]
    assert (loss.state, loss.means) == ("none", "It was logged once, so whether it fell is not known.")


def test_a_rising_held_out_loss_is_pointed_at():
    training = {"train/loss": [(0, 4.0), (99, 1.0)], "heldout/loss": [(20, 2.0), (60, 1.5), (99, 1.9)]}
    found = health(training, None, {}, has_weights=True)
    assert found.state == "watch"
    assert "held-out loss" in found.verdict


@pytest.mark.parametrize(("std", "state"), [(0.02, "bad"), (0.2, "watch"), (0.9, "good"), (math.nan, "bad")])
def test_spread_decides_on_collapse(std, state):
    assert health({}, {"embedding_std": std}, {}, has_weights=True).state == state


def test_the_steps_that_were_not_logged_at_the_end_are_counted():
    config = {"training": {"max_steps": 1510, "log_every": 20, "batch_size": 8}}
    assert steps_of({"train/loss": [(1499, 1.0)]}, config) == "1,510 steps of 8 videos"
    assert steps_of({"train/loss": [(99, 1.0)]}, config) == "100 steps of 8 videos"


def test_the_best_of_model_and_controls_is_marked_and_no_oracle():
    found = scores(metrics())
    for metric in found.metrics:
        marked = {key for key, cell in metric.cells.items() if cell.is_best}
        assert marked == {"samples"}, metric.key
    assert {metric.key for metric in found.raw} == {"energy_ratio", "energy_score", "best_of_k"}
    assert not any(cell.is_best for metric in found.raw for cell in metric.cells.values())


def test_energy_by_the_distances_of_a_space_is_compared_only_where_true_motion_is_not_known():
    in_world, in_real = metrics(), metrics(world=False)
    older = metrics()
    for row in older["rows"]:
        del row["metrics"]["energy_px"]
    del older["metric_help"]["energy_px"]
    compared = [[one.title for one in scores(found).comparisons] for found in (in_world, in_real, older)]
    assert compared[0] == ["Branch coverage", "Energy score, px", "Branch precision"]
    assert compared[1] == ["Energy score / climatology", "Hit@1"]
    assert compared[2] == ["Branch coverage", "Energy score / climatology", "Branch precision"]
    assert "energy_ratio" in [metric.key for metric in scores(in_real).metrics]
    assert "energy_ratio" not in [metric.key for metric in scores(in_world).metrics]


def test_every_mark_lies_on_its_track():
    for metric in scores(metrics()).metrics:
        for cell in metric.cells.values():
            assert -1e-9 <= cell.start <= cell.at <= cell.start + cell.length + 1e-9 <= 100 + 1e-6


def test_metrics_and_kinds_that_this_version_does_not_know_are_shown_all_the_same():
    found = metrics()
    found["rows"][0]["metrics"]["sharpness"] = {"value": 0.5, "low": 0.4, "high": 0.6}
    found["rows"][1]["kind"] = "rival"
    shown = scores(found)
    assert "sharpness" in [metric.key for metric in shown.metrics]
    assert "rival" in [title for title, _ in shown.groups]


def test_a_tiny_clip_keeps_its_pixels():
    clip = moving_discs(1)[0]
    made = strip(clip)
    picture = np.array(Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2]))))
    assert made.is_tiny
    assert picture.shape == (48, 4 * 48 + 3, 3)
    assert (picture[:, :48] == clip[0]).all()
    assert (picture[:, -48:] == clip[-1]).all()
    assert made.shown(96) == (2 * 195, 96)


def test_a_large_clip_is_made_small_and_a_long_one_thinned():
    made = strip(np.zeros((16, 240, 320, 3), np.uint8))
    assert not made.is_tiny
    assert made.height == 96
    assert made.width == 6 * 128 + 5
    assert frames_shown(16) == [0, 3, 6, 9, 12, 15]
    assert frames_shown(4) == [0, 1, 2, 3]


@pytest.mark.parametrize("clip", [np.zeros((4, 8, 8), np.uint8), np.zeros((4, 8, 8, 3), np.float32)])
def test_what_is_no_clip_is_refused(clip):
    with pytest.raises(ValueError, match="expected a clip"):
        strip(clip)


def _map(labels, name):
    points = np.random.default_rng(0).normal(size=(len(labels), 2))
    return {"map": points, "map_label": np.array(labels), "map_label_name": np.array(name)}


def test_the_map_names_classes_and_gathers_what_has_no_colour():
    chart = embedding_map(_map([0, 1, 1, -1], "class"), {0: "cat", 1: "dog"})
    assert chart.legend == [("cat", "c0"), ("dog", "c1"), ("no label", "rest")]
    many = embedding_map(_map(list(range(30)) * 2, "class"), {})
    assert len(many.legend) == 11
    assert many.legend[-1] == ("20 other classes", "rest")


def test_the_map_of_hundreds_of_videos_has_one_colour():
    assert embedding_map(_map(list(range(200)), "video"), {}).legend == [("all 200 videos", "rest")]


def test_a_huge_map_is_thinned_and_says_so():
    chart = embedding_map(_map([0] * 9000, "class"), {})
    assert "One of every 3 of the 9,000 points is drawn." in chart.reads


def _compared(difference: float, low: float, high: float, *, better: bool) -> dict:
    found = metrics()
    own = found["rows"][0]["metrics"]["coverage"]
    own.update(value=0.57, low=0.5, high=0.64)  # overlaps with that of the noise, .56
    found["metric_help"]["coverage"]["chance"] = 0.2
    one = {"metric": "coverage", "against": "noise_coverage", "difference": difference, "low": low, "high": high}
    return found | {"comparisons": [one | {"better": better}]}


@pytest.mark.parametrize(
    ("pair", "state", "text"),
    [
        ((0.01, 0.005, 0.02, True), "good", "clearly better by 0.01, context by context"),
        ((0.01, -0.01, 0.03, False), "watch", "better by 0.01"),
        ((-0.01, -0.03, 0.01, False), "bad", "not better: worse by 0.01"),
    ],
)
def test_a_comparison_on_the_same_contexts_goes_before_overlapping_intervals(pair, state, text):
    difference, low, high, better = pair
    coverage = scores(_compared(difference, low, high, better=better)).comparisons[0]
    assert coverage.state == state
    assert text in coverage.text


def test_without_paired_comparisons_intervals_decide():
    found = _compared(0.01, 0.005, 0.02, better=True)
    del found["comparisons"]
    coverage = scores(found).comparisons[0]
    assert coverage.state == "watch"
    assert "the intervals overlap" in coverage.text


def test_where_lower_is_better_the_gain_is_what_the_difference_is_below_zero():
    found = metrics()
    one = {"metric": "energy_px", "against": "noise_energy", "difference": -0.09, "low": -0.12, "high": -0.05}
    energy = scores(found | {"comparisons": [one | {"better": True}]}).comparisons[1]
    assert energy.state == "good"
    assert "better by 0.09, context by context (95 % interval of the gain: 0.05 to 0.12)" in energy.text
