"""Random changes to training images: off in the paper's settings."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from firstorder.messages import one_of

AugmentationName = Literal["flip", "crop", "colour"]
Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # luma of red, green, blue (ITU-R BT.601)


def flip(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror half of the images left to right.

    Args:
        images: (n, C, H, W) uint8, as for every augmentation.
        rng: the source of randomness.
    """
    chosen = rng.random(len(images)) < 0.5
    return np.where(chosen[:, None, None, None], images[..., ::-1], images)


def crop(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift every image by up to an eighth of its size; what comes in at an edge is mirrored there."""
    n, _, height, width = images.shape
    down, across = height // 8, width // 8
    padded = np.pad(images, ((0, 0), (0, 0), (down, down), (across, across)), mode="reflect")
    tops = rng.integers(2 * down, size=n, endpoint=True)
    lefts = rng.integers(2 * across, size=n, endpoint=True)
    cut = [
        image[:, top : top + height, left : left + width]
        for image, top, left in zip(padded, tops, lefts, strict=True)
    ]
    return np.stack(cut) if cut else images


def colour(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change brightness, contrast and saturation of every image by up to 40 %."""
    n, channels = images.shape[:2]
    brightness, contrast, saturation = rng.uniform(0.6, 1.4, (3, n, 1, 1, 1)).astype(np.float32)
    pixels = images * brightness
    mean = pixels.mean(axis=(1, 2, 3), keepdims=True)
    pixels = mean + (pixels - mean) * contrast
    if channels == 3:
        grey = np.tensordot(GREY, pixels, axes=(0, 1))[:, None]
        pixels = grey + (pixels - grey) * saturation
    return pixels.clip(0, 255).astype(np.uint8)


AUGMENTATIONS: dict[str, Augmentation] = {"flip": flip, "crop": crop, "colour": colour}


def augmentation(name: str) -> Augmentation:
    """Return the augmentation of that name.

    Raises:
        ValueError: there is none.
    """
    one_of("data.source.augment", name, AUGMENTATIONS)
    return AUGMENTATIONS[name]
