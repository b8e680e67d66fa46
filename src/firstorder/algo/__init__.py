"""The meta-algorithms."""

from firstorder.algo.base import MetaAlgorithm
from firstorder.algo.reptile import Reptile

__all__ = ["MetaAlgorithm", "Reptile"]
