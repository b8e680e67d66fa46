import numpy as np

from firstorder.data.images.split import ROTATIONS, Split


def test_rotations_are_those_of_numpy() -> None:
    images = np.random.default_rng(0).integers(256, size=(3, 1, 5, 5))
    for turns, rotate in enumerate(ROTATIONS):
        np.testing.assert_array_equal(rotate(images), np.rot90(images, turns, axes=(2, 3)))


def test_a_class_is_read_from_its_place_and_rotated_by_its_rotation() -> None:
    pixels = np.arange(6 * 4, dtype=np.uint8).reshape(6, 1, 2, 2)
    split = Split(np.array([0, 4]), np.array([4, 2]), np.array([0, 3]))
    task = split.draw(pixels, np.random.default_rng(0), 2, 1, 1)
    for images in (task.support_x, task.query_x):
        upright = [image if image[0, 0, 0] < 16 else np.rot90(image, 1, (1, 2)) for image in images]
        numbers = [int(image[0, 0, 0]) // 4 for image in upright]
        assert sorted(number >= 4 for number in numbers) == [False, True]
        for number, image in zip(numbers, upright, strict=True):
            assert np.array_equal(image, pixels[number])
