"""Where tasks come from."""

from firstorder.data.arrays import Arrays
from firstorder.data.cifarfs import CifarFS
from firstorder.data.density import Density
from firstorder.data.fields import Fields
from firstorder.data.glyphs import Glyphs
from firstorder.data.imagefolder import ImageFolder
from firstorder.data.learn2learn import Learn2Learn
from firstorder.data.miniimagenet import MiniImageNet
from firstorder.data.omniglot import Omniglot
from firstorder.data.signals import Signals
from firstorder.data.sinusoid import Sinusoid
from firstorder.data.topics import Topics

__all__ = [
    "Arrays",
    "CifarFS",
    "Density",
    "Fields",
    "Glyphs",
    "ImageFolder",
    "Learn2Learn",
    "MiniImageNet",
    "Omniglot",
    "Signals",
    "Sinusoid",
    "Topics",
]
