"""What is asked of clips of a world."""

import numpy as np

from videossl.worlds import Digits, clip_targets, preset


def test_targets_are_those_of_the_last_frame_of_the_clip():
    truth = Digits().truth(6, 0)
    targets = clip_targets(truth, 3)
    np.testing.assert_array_equal(targets["position"], truth.positions[:, 3, 0])
    np.testing.assert_array_equal(targets["velocity"], truth.velocities[:, 3, 0])
    np.testing.assert_array_equal(targets["class"], truth.classes[:, 0])


def test_clips_of_one_world_may_end_at_different_frames():
    truth = Digits().truth(3, 0)
    targets = clip_targets(truth[[0, 0, 2]], np.array([3, 7, 5]))
    expected = [truth.positions[0, 3, 0], truth.positions[0, 7, 0], truth.positions[2, 5, 0]]
    np.testing.assert_array_equal(targets["position"], expected)


def test_of_several_objects_the_class_is_not_asked():
    truth = Digits(num_digits=2, num_branches=8).truth(5, 0)
    targets = clip_targets(truth, 3)
    assert "class" not in targets
    np.testing.assert_allclose(targets["kick"], truth.kick.sum(axis=1))


def test_of_several_objects_each_is_asked_for_by_its_place_from_the_left():
    truth = preset("digits", "two-16").made().truth(50, 0)
    found = clip_targets(truth, 3)
    left, rows = truth.positions[:, 3, :, 0].argmin(axis=1), np.arange(50)
    assert found["kick of each object"].shape == (50, 4)
    np.testing.assert_array_equal(found["kick of each object"][:, :2], truth.kick[rows, left])
    np.testing.assert_array_equal(found["class of object 1 of 2 from the left"], truth.classes[rows, left])
