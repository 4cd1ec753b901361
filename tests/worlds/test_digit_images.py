"""MNIST-like IDX files are read, plain and packed, and refused in one line when they are broken."""

import gzip

import numpy as np
import pytest

from videossl.errors import UsageError
from videossl.worlds import Digits
from videossl.worlds.digit_images import idx_digits, read_idx, scikit_learn_digits


@pytest.fixture
def pictures():
    pictures = np.zeros((5, 28, 28), np.uint8)
    for number, picture in enumerate(pictures):
        picture[4:24, 4 + 4 * number : 8 + 4 * number] = 200
    return pictures


@pytest.fixture(params=["", ".gz"])
def files(request, pictures, tmp_path, idx_bytes):
    paths = tmp_path / f"images-idx3-ubyte{request.param}", tmp_path / f"labels-idx1-ubyte{request.param}"
    for path, values in zip(paths, (pictures, np.arange(5, dtype=np.uint8)), strict=True):
        path.write_bytes(gzip.compress(idx_bytes(values)) if request.param else idx_bytes(values))
    return paths


def test_idx_files_are_read_plain_and_packed(files, pictures):
    np.testing.assert_array_equal(read_idx(files[0], "idx_images"), pictures)
    images = idx_digits(*files, side=28)
    np.testing.assert_allclose(images.pictures, pictures / 200 * 255, atol=1e-3)
    np.testing.assert_array_equal(images.classes, np.arange(5))


def test_a_world_shows_the_pictures_of_the_idx_files(files):
    clips, truth = Digits(idx_images=files[0], idx_labels=files[1], digit_size=14).sample(50, seed=0)
    np.testing.assert_array_equal(truth.classes, truth.exemplars)
    assert set(truth.classes.flatten()) == set(range(5))
    frame = clips[0, 0, 0].numpy()
    ink_x = (frame.sum(axis=0) * (np.arange(48) + 0.5)).sum() / frame.sum()
    bar = (6 + 4 * truth.classes[0, 0]) / 2 - 7  # where the bar of this class is, from the centre of the picture
    assert abs(ink_x - truth.positions[0, 0, 0, 0] - bar) < 0.2


def test_scikit_learn_digits_fill_the_grey_scale():
    images = scikit_learn_digits(16)
    assert images.pictures.shape == (1797, 16, 16)
    np.testing.assert_allclose(images.pictures.max(axis=(1, 2)), 255)
    assert images.pictures.min() >= 0


def test_broken_idx_files_are_refused_in_one_line(tmp_path, pictures, idx_bytes):
    whole = idx_bytes(pictures)
    broken = {
        "is none. Give an MNIST IDX file": b"hello, this is text",
        "announces 3920 values and holds 3910": whole[:-10],
        "ends within its header": whole[:9],
        "broken gzip file": gzip.compress(whole)[:40],
    }
    for message, content in broken.items():
        path = tmp_path / "broken"
        path.write_bytes(content)
        with pytest.raises(UsageError, match=message) as caught:
            read_idx(path, "idx_images")
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=r"idx_images needs a file, got .*nowhere"):
        read_idx(tmp_path / "nowhere", "idx_images")


def test_images_and_labels_must_belong_together(files, tmp_path, idx_bytes):
    with pytest.raises(UsageError, match="idx_images and idx_labels together, got only one"):
        Digits(idx_images=files[0])
    with pytest.raises(UsageError, match=r"idx_images needs pictures .* got \(5,\)"):
        Digits(idx_images=files[1], idx_labels=files[1])
    few = tmp_path / "few"
    few.write_bytes(idx_bytes(np.zeros(3, np.uint8)))
    with pytest.raises(UsageError, match="one label for each of 5 images"):
        Digits(idx_images=files[0], idx_labels=few)
