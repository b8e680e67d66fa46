"""The meta-algorithms."""

from firstorder.algo.base import MetaAlgorithm
from firstorder.algo.fomaml import FOMAML
from firstorder.algo.gradient_combination import GradientCombination
from firstorder.algo.joint import Joint
from firstorder.algo.maml import MAML
from firstorder.algo.reptile import Reptile

__all__ = ["FOMAML", "MAML", "GradientCombination", "Joint", "MetaAlgorithm", "Reptile"]
