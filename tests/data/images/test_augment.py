import numpy as np
import pytest

from firstorder.data.images.augment import AUGMENTATIONS, augmentation, colour, crop, flip
from tests.data.images.test_source import opened

IMAGES = np.random.default_rng(0).integers(256, size=(64, 3, 16, 16)).astype(np.uint8)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentations_keep_shape_and_type_and_follow_the_generator(name: str) -> None:
    change = augmentation(name)
    before = IMAGES.copy()
    first, second = (change(IMAGES, np.random.default_rng(1)) for _ in range(2))
    assert first.shape == IMAGES.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)
    assert not np.array_equal(first, IMAGES)
    assert np.array_equal(IMAGES, before)


def test_flip_mirrors_about_half_of_the_images() -> None:
    flipped = flip(IMAGES, np.random.default_rng(0))
    mirrored = [np.array_equal(a, b[..., ::-1]) for a, b in zip(flipped, IMAGES, strict=True)]
    kept = [np.array_equal(a, b) for a, b in zip(flipped, IMAGES, strict=True)]
    assert sum(mirrored) + sum(kept) == 64
    assert 20 < sum(mirrored) < 44


def test_crop_shifts_by_an_eighth_at_most() -> None:
    for image, cropped in zip(IMAGES, crop(IMAGES, np.random.default_rng(0)), strict=True):
        inside = cropped[:, 4:12, 4:12]
        shifts = [
            (y, x)
            for y in range(-2, 3)
            for x in range(-2, 3)
            if np.array_equal(inside, image[:, 4 + y : 12 + y, 4 + x : 12 + x])
        ]
        assert len(shifts) == 1


def test_colour_leaves_grey_images_grey() -> None:
    grey = np.repeat(IMAGES[:, :1], 3, axis=1)
    changed = colour(grey, np.random.default_rng(0)).astype(int)
    assert abs(changed - changed[:, :1]).max() <= 1


def test_augmentations_touch_training_tasks_alone() -> None:
    plain, augmented = opened(), opened(augment=["flip", "crop", "colour"])
    for split, same in (("train", False), ("val", True), ("test", True)):
        tasks = [s.draw(split, np.random.default_rng(0), 2, 3, 1) for s in (plain, augmented)]
        assert np.array_equal(tasks[0].support_x, tasks[1].support_x) == same


def test_an_unknown_augmentation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data.source.augment=flap .*flip"):
        augmentation("flap")
