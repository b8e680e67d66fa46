"""Where tasks come from."""

from firstorder.data.glyphs import Glyphs
from firstorder.data.learn2learn import Learn2Learn
from firstorder.data.omniglot import Omniglot
from firstorder.data.sinusoid import Sinusoid

__all__ = ["Glyphs", "Learn2Learn", "Omniglot", "Sinusoid"]
