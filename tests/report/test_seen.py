"""Sampled futures that move, the fan, the plane of r and surprise over time, on the page of a synthetic run."""

import base64
import io
import json

import numpy as np
import pytest
from page_reader import Page
from PIL import Image
from synthetic_run import K, M, make_run, moving_discs

from videossl.report import write_report
from videossl.report.moving import moving
from videossl.report.plane import plane
from videossl.report.seen import FAN_WIDTH, seen
from videossl.report.surprise import films

GREEN, BLUE = (33, 150, 83), (29, 95, 209)


def frames_of(uri: str) -> list[np.ndarray]:
    assert uri.startswith("data:image/webp;base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    shown = []
    for number in range(picture.n_frames):
        picture.seek(number)
        shown.append(np.array(picture.convert("RGBA")))
    return shown


def arrays_with_decoded(num_contexts: int = 3, num_samples: int = 8) -> dict[str, np.ndarray]:
    def clips(*shape: int, seed: int) -> np.ndarray:
        discs = moving_discs(int(np.prod(shape)), seed=seed)
        return discs.reshape(*shape, *discs.shape[1:])

    shares = np.tile(np.array([0.5, 0.0, *[0.3 / (M - 2)] * (M - 2)], np.float32), (num_contexts, 1))
    rng = np.random.default_rng(0)
    return {
        "names": np.array([f"{number}.mp4" for number in range(num_contexts)]),
        "context": clips(num_contexts, seed=1),
        "observed": clips(num_contexts, seed=2),
        "nearest": clips(num_contexts, num_samples, seed=3),
        "nearest_kind": np.zeros((num_contexts, num_samples), np.int8),
        "branches": clips(num_contexts, M, seed=4),
        "decoded_observed": clips(num_contexts, seed=5),
        "decoded_samples": clips(num_contexts, num_samples, seed=6),
        "decoder_explained": np.array(0.62),
        "branch_chances": np.full((num_contexts, M), 1 / M, np.float32),
        "branch_shares": shares,
        "decoded_branches": clips(num_contexts, M, seed=7),
        "latent_kick": rng.normal(size=(50, 2)).astype(np.float32),
        "latent_sample": rng.normal(size=(50, 2)).astype(np.float32),
        "latent_innovation": rng.normal(size=(50, 2)).astype(np.float32),
        "surprise_before": clips(1, seed=8)[:, :3],
        "surprise_after": clips(1, seed=9)[:, :3],
    }


def film(**changes: object) -> dict[str, object]:
    seconds = np.arange(4, 60) / 10
    entry = {
        "video": "a film.mp4", "seconds": seconds.tolist(), "nats": np.sin(seconds).tolist(),
        "change": np.abs(np.cos(seconds)).tolist(), "cuts": [1.6], "peaks": [1.6, 3.0, 5.0], "cuts_found": 1,
    }  # fmt: skip
    return {**entry, **changes}


def test_all_panels_play_the_lead_first_and_then_each_its_own_clip():
    first, second, lead = moving_discs(3, size=32)
    made = moving([[first, second], [None, second]], [BLUE, GREEN], side=32, lead=lead)
    shown = frames_of(made.uri)
    assert len(shown) == 8
    top_left, top_right = (slice(4, 36), slice(0, 32)), (slice(4, 36), slice(34, 66))
    np.testing.assert_allclose(shown[3][top_left][..., :3].astype(int), lead[3].astype(int), atol=60)
    assert np.abs(shown[7][top_left][..., :3].astype(int) - first[3]).mean() < 8
    assert np.abs(shown[7][top_right][..., :3].astype(int) - second[3]).mean() < 8
    assert (shown[7][42:, :30, 3] < 8).all()  # nothing in the empty place


def test_grey_clips_are_kept_exactly_and_the_bars_have_their_colours():
    clip = np.repeat(moving_discs(1, size=32)[0][..., :1], 3, axis=-1)
    shown = frames_of(moving([[clip]], [GREEN], side=32).uri)
    assert tuple(shown[0][0, 0, :3]) == GREEN
    np.testing.assert_array_equal(shown[2][4:, :, :3], clip[2])


def test_without_a_decoder_nothing_moves():
    arrays = arrays_with_decoded()
    assert seen({name: value for name, value in arrays.items() if not name.startswith("decoded")}) is None


def test_the_fan_has_a_row_for_every_possible_future_the_likeliest_first():
    arrays = arrays_with_decoded()
    arrays["branch_chances"][0] = [0.0, 0.4, *[0.6 / (M - 2)] * (M - 2)]
    fan = seen(arrays).fans[0]
    assert len(fan.rows) == M - 1  # the first cannot happen here
    assert (fan.rows[0].chance_text, fan.rows[0].share_text, fan.rows[0].drawn) == ("40%", "0%", None)
    assert all(row.drawn is not None for row in fan.rows[1:])
    assert fan.nowhere == "70%"
    assert fan.lines.count("<path") == 2 * (M - 1) - 1
    assert f'width="{FAN_WIDTH}"' in fan.lines


def test_kicks_are_coloured_alike_in_all_three_pictures():
    arrays = arrays_with_decoded()
    made = plane(arrays)
    assert [title for title, _, _ in made.pictures] == ["The true kicks", "r, sampled", "What r adds to its prior"]
    assert plane({"map": arrays["names"]}) is None


def test_surprise_says_how_many_cuts_lie_at_the_peaks():
    (shown,) = films({"surprise": [film()]}, arrays_with_decoded())
    assert shown.sums_up == "1 of 1 cut lie at the 1 highest peak of surprise."
    assert [when for when, _ in shown.moments] == ["1: at 1.6 s", "2: at 3.0 s", "3: at 5.0 s"]
    (without,) = films({"surprise": [film(cuts=[], cuts_found=0)]}, {})
    assert without.sums_up.startswith("This video has no cut")
    assert films({}, {}) == []


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("runs") / "seen")
    path = run / "evaluation" / "gallery.npz"
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files} | arrays_with_decoded()
    np.savez_compressed(path, **arrays)
    metrics_path = run / "evaluation" / "metrics.json"
    metrics = json.loads(metrics_path.read_text())
    interval = {"value": 0.8, "low": 0.7, "high": 0.9}
    row = {"key": "samples", "name": "samples of this model", "kind": "model", "metrics": {"coverage": interval}}
    horizon = {
        "steps": 3,
        "frames": 12,
        "num_branches": 64,
        "num_possible": 21.5,
        "num_samples": 16,
        "num_contexts": 96,
    }
    steering = {"rate": interval, "own": interval, "unsteered": interval, "chance": 0.04, "num_contexts": 192}
    steering["free"] = {**steering, "num_contexts": 61}
    added = {"surprise": [film()], "num_samples": K, "horizons": [{**horizon, "rows": [row]}], "steering": steering}
    metrics_path.write_text(json.dumps({**metrics, **added}))
    return Page(write_report(run))


def test_the_page_shows_them_all_and_still_loads_and_runs_nothing(page):
    assert page.unbalanced == []
    assert page.loaded() == []
    assert len(page.ids()) == len(set(page.ids()))
    for words in (
        "Sampled futures, moving", "draws 62 % of what varies", "All that could have happened, fanned out",
        "3 steps (12 frames): 21.5 of 64 futures can happen", "0.80 0.70 to 0.90", "r of another video",
        "where nothing bounces, in 61 contexts",
        "20% of the samples land on none of these", "What surprises it", "Does r know the kick?",
    ):  # fmt: skip
        assert words in page.text, words
    for place in ("seen", "surprise", "plane"):
        assert place in page.ids()


def test_a_run_without_them_has_no_empty_sections(tmp_path):
    page = Page(write_report(make_run(tmp_path / "run")))
    assert not {"seen", "surprise", "plane"} & set(page.ids())
