from itertools import islice

import numpy as np

from firstorder.data.glyphs import SPLITS, Glyphs


def test_a_class_is_20_variants_of_28x28(glyphs: Glyphs) -> None:
    cache = glyphs._opened()
    assert cache.pixels.shape[1:] == Glyphs().input_shape == (1, 28, 28)
    assert set(np.diff(cache.offsets).tolist()) == {20}


def test_every_split_has_classes_for_20_ways(glyphs: Glyphs) -> None:
    assert all(glyphs.classes[split] >= ways for split, ways in (("train", 500), ("test", 100)))
    assert glyphs.classes["val"] >= 40


def test_no_script_is_in_two_splits(glyphs: Glyphs) -> None:
    names = glyphs._opened().names
    split = glyphs.split(names)
    assert sorted(name for part in split.values() for name in part) == sorted(names)
    scripts = [{name.split()[0] for name in split[part]} for part in SPLITS]
    assert scripts == [set(part) for part in SPLITS.values()]


def test_letters_that_look_alike_are_one_class(glyphs: Glyphs) -> None:
    names = glyphs._opened().names
    assert "LATIN CAPITAL LETTER A" in names
    for twin in ("GREEK CAPITAL LETTER ALPHA", "CYRILLIC CAPITAL LETTER A", "LATIN SMALL LETTER O"):
        assert twin not in names
    assert not any(name.startswith("ARMENIAN SMALL LETTER OH") for name in names)


def test_paper_is_white_and_ink_is_black_in_every_image(glyphs: Glyphs) -> None:
    pixels = glyphs._opened().pixels
    corners = pixels[:, 0, ::27, ::27]
    assert corners.mean() > 250
    assert pixels.min(axis=(1, 2, 3)).max() < 128


def test_variants_of_a_class_differ(glyphs: Glyphs) -> None:
    pixels = glyphs._opened().pixels.reshape(-1, 20, 28 * 28)
    assert all(len(np.unique(images, axis=0)) == 20 for images in pixels[::25])


def test_drawing_is_deterministic_and_leaves_the_global_generator_alone() -> None:
    state = repr(np.random.get_state())
    first, second = ([read().pixels for _, read in islice(Glyphs().read(), 3)] for _ in range(2))
    assert np.array_equal(first, second)
    assert repr(np.random.get_state()) == state
