"""A user's images, in whatever form, as the arrays that a network was trained on."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from PIL.Image import Resampling
from torch import Tensor

from firstorder.data.array_task import in_float32
from firstorder.data.images.pictures import Target, decode
from firstorder.data.scale import Scales
from firstorder.library.arrays import check_finite

LARGEST = 16  # above, floats are taken for bytes that nobody has scaled to [0, 1]


class InputForm(NamedTuple):
    """What a network takes.

    Attributes:
        shape: of one input, such as (1, 28, 28); None where it is unknown, and inputs are taken as given.
        filter: how images of another size are resized.
        scales: of the inputs and targets of its training, where they were standardised.
    """

    shape: tuple[int, ...] | None
    filter: Resampling = Resampling.BILINEAR
    scales: Scales = {}  # noqa: RUF012 (of a tuple, which nobody changes)

    @property
    def target(self) -> Target | None:
        """The form that image files are brought to; None where the inputs are no square images."""
        shape = self.shape
        if shape is None or len(shape) != 3 or shape[0] not in (1, 3) or shape[1] != shape[2]:
            return None
        return Target(shape[1], "L" if shape[0] == 1 else "RGB", self.filter, strict=True)

    def read(self, inputs: Any) -> Tensor:
        """Return inputs as a network takes them, (n, *shape), uint8 or float32.

        Args:
            inputs: an array or a tensor (n, *shape); for images, also bytes (n, H, W) or
                (n, H, W, C) of any size, or a sequence of files' paths or Pillow images.

        Raises:
            ValueError: they are something else, or an image cannot be read.
        """
        if (
            isinstance(inputs, Sequence)
            and inputs
            and isinstance(inputs[0], str | Path | Image.Image)
        ):
            return torch.from_numpy(np.stack([self._picture(one) for one in inputs]))
        given = inputs.numpy(force=True) if isinstance(inputs, Tensor) else inputs
        try:
            array = np.array(given)  # a copy: the caller's may be read-only, which torch warns of
        except ValueError as error:
            raise ValueError(f"the inputs are of several shapes: give them one ({error})") from None
        if array.dtype.kind == "f":
            if self.target and array.size and array.max() > LARGEST:
                raise ValueError(
                    f"images in floating point are wanted in [0, 1], and these go up to {array.max():g}:"
                    " divide them by 255, or give them as uint8"
                )
        elif array.dtype != np.uint8:
            raise ValueError(f"inputs are {array.dtype}: give them as uint8 or as floats")
        if self.shape is None or array.shape[1:] == self.shape:
            array = self.scaled("x", array)
            check_finite(array, "inputs hold")
            return torch.from_numpy(array)
        if self.target and array.dtype == np.uint8 and is_picture(array.shape[1:]):
            return torch.from_numpy(
                np.stack([self._picture(Image.fromarray(one)) for one in array])
            )
        if not array.size:
            raise ValueError("there are no inputs: give one or more")
        raise ValueError(
            f"an input has shape {array.shape[1:]}, and the network was trained on {self.shape}"
            + (" (images of other sizes are resized where they are uint8)" if self.target else "")
        )

    def scaled(self, name: str, array: np.ndarray) -> np.ndarray:
        """Return numbers as float32 in the units of training, and bytes as they are."""
        scale = self.scales.get(name)
        return scale.scaled(array) if scale else in_float32(array)

    def _picture(self, picture: str | Path | Image.Image) -> np.ndarray:
        """Bring one image to the network's form, (C, size, size) uint8."""
        if self.target is None:
            raise ValueError(
                f"the network was trained on inputs of shape {self.shape}, which are no square images:"
                " give arrays of that shape"
            )
        if isinstance(picture, Image.Image):
            file = io.BytesIO()
            try:
                picture.save(file, "PNG")
            except OSError:
                raise ValueError(
                    f"an image is of Pillow's mode {picture.mode}: give it as RGB or L (grey)"
                ) from None
            pixels = decode(file.getvalue(), "image.png", self.target)
        else:
            path = Path(picture).expanduser()
            try:
                pixels = decode(path.read_bytes(), str(path), self.target)
            except OSError as error:
                raise ValueError(f"{path} cannot be read ({error.strerror})") from None
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def is_picture(shape: tuple[int, ...]) -> bool:
    """Tell whether an array of this shape is an image, (H, W) or (H, W, C)."""
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))
