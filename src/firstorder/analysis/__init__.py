"""Questions of the paper, answered by numbers: one a file."""

from firstorder.analysis.expansion import Expansion
from firstorder.analysis.importances import Importances
from firstorder.analysis.manifolds import Manifolds
from firstorder.analysis.sine_wave import SineWave

__all__ = ["Expansion", "Importances", "Manifolds", "SineWave"]
