"""Questions of the paper, answered by numbers: one a file."""

from firstorder.analysis.expansion import Expansion
from firstorder.analysis.manifolds import Manifolds

__all__ = ["Expansion", "Manifolds"]
