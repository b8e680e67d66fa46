"""Images kept in a device's memory: a task holds their indices, which are looked up on the device."""

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from firstorder.data.images.source import ImageSource
from firstorder.data.images.split import TURNS
from firstorder.data.source import Task, TaskSource
from firstorder.task.episode import Episode

logger = logging.getLogger(__name__)

OnDevice = Literal["auto", "always", "never"]
SHARE = 0.25  # of a GPU's free memory: the most that "auto" takes


@dataclass(frozen=True)
class Places:
    """Draw a source's tasks as places of images."""

    source: ImageSource

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        return self.source.draw_places(split, rng, ways, shots, query_shots)


class ResidentImages:
    """All images of a data set, as they are, on a device.

    Args:
        source: the data set, opened.
        device: where its images are copied to.
    """

    def __init__(self, source: ImageSource, device: torch.device) -> None:
        self.places = Places(source)
        self.pixels = torch.tensor(source.pixels, device=device)  # (images, C, H, W) uint8
        self._turns = range(1, TURNS) if source.rotations else range(0)

    def look_up(self, tasks: Episode) -> Episode:
        """Put images in the place of places, on their device."""
        return tasks._replace(
            support_x=self._read(tasks.support_x), query_x=self._read(tasks.query_x)
        )

    def _read(self, places: Tensor) -> Tensor:
        """Return the images at places of any shape, (..., C, H, W) uint8, turned counter-clockwise."""
        images, turned = self.pixels[places // TURNS], (places % TURNS)[..., None, None, None]
        for turns in self._turns:  # no image is turned twice, and all of them have one shape
            images = torch.where(turned == turns, images.rot90(turns, (-2, -1)), images)
        return images


def resident(source: TaskSource, device: torch.device, setting: str) -> ResidentImages | None:
    """Copy a data set's images to a device, as data.on_device asks; None where they stay where they are.

    Raises:
        ValueError: "always", and the source has no images to keep, or changes them at random.
    """
    if setting == "never" or (setting == "auto" and device.type != "cuda"):
        return None
    reason, name = "", source.name
    if not isinstance(source, ImageSource):
        reason = f"{name} is no data set of images in a cache"
    elif source.augmentations:
        reason = f"data.source.augment changes the images of {name} at random, one by one"
    if reason and setting == "always":
        raise ValueError(f"data.on_device=always cannot be: {reason}; set data.on_device=auto")
    if reason or not isinstance(source, ImageSource):
        return None
    size = source.pixels.nbytes
    if setting == "auto" and size > SHARE * (free := torch.cuda.mem_get_info(device)[0]):
        logger.info(
            "the images of %s, %.1f GB, are too large beside %.1f GB free on %s: tasks travel as images"
            " (data.on_device=always copies them all)",
            name, size / 1e9, free / 1e9, device,
        )  # fmt: skip
        return None
    logger.info("the images of %s, %.2f GB, lie on %s", name, size / 1e9, device)
    return ResidentImages(source, device)
