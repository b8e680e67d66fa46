"""Questions of the paper, answered by numbers: one a file."""

from firstorder.analysis.expansion import Expansion

__all__ = ["Expansion"]
