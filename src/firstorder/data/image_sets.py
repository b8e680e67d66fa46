"""Data sets of images by name, for sources that make other tasks of them than telling classes apart."""

from copy import copy
from typing import Any, Literal, Self

from firstorder.data.cifarfs import CifarFS
from firstorder.data.glyphs import Glyphs
from firstorder.data.imagefolder import ImageFolder
from firstorder.data.images.source import ImageSource
from firstorder.data.miniimagenet import MiniImageNet
from firstorder.data.omniglot import Omniglot
from firstorder.settings import NO_OPTIONS, Filename, Options, checked

ImageSet = Literal["cifarfs", "glyphs", "imagefolder", "miniimagenet", "omniglot"]
SETS: dict[str, type[ImageSource]] = {
    kind.name: kind for kind in (CifarFS, Glyphs, ImageFolder, MiniImageNet, Omniglot)
}


def image_set(name: ImageSet, root: str, mirror: str | None, options: Options) -> ImageSource:
    """Return a data set of images that says the size of its images.

    See `TasksOfImages` for the arguments.

    Raises:
        ValueError: it refuses its settings.
    """
    where: dict[str, Any] = {} if name == "glyphs" else {"root": root}
    if name not in ("glyphs", "imagefolder"):
        where["mirror"] = mirror
    try:
        return SETS[name](**where, **options)
    except TypeError as error:
        raise ValueError(
            f"data.source.options={dict(options)} does not go with data.source.images={name}: {error}"
        ) from None


class TasksOfImages:
    """Hold the data set of images that a source makes its tasks of.

    Args:
        images: the data set; imagefolder is a folder of your own.
        root: where it lies; glyphs lie nowhere.
        mirror: where it is fetched from.
        options: its further settings, such as {image_size: 16}.

    Attributes:
        shape: of an image, (channels, height, width).

    Raises:
        ValueError: the data set refuses its settings, or does not suit such tasks.
    """

    @checked("data.source")
    def __init__(
        self,
        images: ImageSet = "glyphs",
        *,
        root: Filename = "data",
        mirror: Filename | None = None,
        options: Options = NO_OPTIONS,
    ) -> None:
        self.images = image_set(images, root, mirror, options)
        assert self.images.input_shape is not None
        self.shape = self.images.input_shape
        self.must_suit()

    def must_suit(self) -> None:
        """Make sure that such tasks can be made of these images.

        Raises:
            ValueError: they cannot.
        """

    @property
    def fingerprint(self) -> str:
        """The images' own."""
        return self.images.fingerprint

    @property
    def classes(self) -> dict[str, int]:
        """The classes that the images of each split belong to."""
        return self.images.classes

    def prepare(self) -> None:
        """Fetch the images and build their cache."""
        self.images.prepare()

    def setup(self) -> None:
        """Open the images' cache."""
        self.images.setup()

    def unaugmented(self) -> Self:
        """Return the same source of images without random changes: evaluation wants them as they are."""
        plain = copy(self)
        plain.images = self.images.unaugmented()
        return plain
