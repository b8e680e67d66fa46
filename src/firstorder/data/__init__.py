"""Where tasks come from."""

from firstorder.data.cifarfs import CifarFS
from firstorder.data.glyphs import Glyphs
from firstorder.data.imagefolder import ImageFolder
from firstorder.data.learn2learn import Learn2Learn
from firstorder.data.miniimagenet import MiniImageNet
from firstorder.data.omniglot import Omniglot
from firstorder.data.sinusoid import Sinusoid

__all__ = [
    "CifarFS",
    "Glyphs",
    "ImageFolder",
    "Learn2Learn",
    "MiniImageNet",
    "Omniglot",
    "Sinusoid",
]
