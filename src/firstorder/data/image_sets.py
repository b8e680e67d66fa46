"""Data sets of images by name, for sources that make other tasks of them than telling classes apart."""

from typing import Any, Literal

from firstorder.data.cifarfs import CifarFS
from firstorder.data.glyphs import Glyphs
from firstorder.data.imagefolder import ImageFolder
from firstorder.data.images.source import ImageSource
from firstorder.data.miniimagenet import MiniImageNet
from firstorder.data.omniglot import Omniglot
from firstorder.settings import Options

ImageSet = Literal["cifarfs", "glyphs", "imagefolder", "miniimagenet", "omniglot"]
SETS: dict[str, type[ImageSource]] = {
    kind.name: kind for kind in (CifarFS, Glyphs, ImageFolder, MiniImageNet, Omniglot)
}


def image_set(name: ImageSet, root: str, mirror: str | None, options: Options) -> ImageSource:
    """Return a data set of images that says the size of its images.

    Args:
        name: which one; imagefolder is a folder of your own.
        root: where it lies; glyphs lie nowhere.
        mirror: where it is fetched from.
        options: its further settings, such as {image_size: 16}.

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
