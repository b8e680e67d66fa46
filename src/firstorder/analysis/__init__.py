"""Questions of the paper, answered by numbers: one a file."""

from firstorder.analysis.expansion import Expansion
from firstorder.analysis.fields import Fields
from firstorder.analysis.importances import Importances
from firstorder.analysis.manifolds import Manifolds
from firstorder.analysis.plain_learning import PlainLearning
from firstorder.analysis.sine_wave import SineWave

__all__ = ["Expansion", "Fields", "Importances", "Manifolds", "PlainLearning", "SineWave"]
