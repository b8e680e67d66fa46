from firstorder.algo import FOMAML as FOMAML
from firstorder.algo import MAML as MAML
from firstorder.algo import GradientCombination as GradientCombination
from firstorder.algo import Joint as Joint
from firstorder.algo import MetaAlgorithm as MetaAlgorithm
from firstorder.algo import Reptile as Reptile
from firstorder.algo.anil import ANIL as ANIL
from firstorder.algo.evaluation import EvaluationSettings as EvaluationSettings
from firstorder.algo.meta_sgd import MetaSGD as MetaSGD
from firstorder.data import CifarFS as CifarFS
from firstorder.data import Glyphs as Glyphs
from firstorder.data import ImageFolder as ImageFolder
from firstorder.data import Learn2Learn as Learn2Learn
from firstorder.data import MiniImageNet as MiniImageNet
from firstorder.data import Omniglot as Omniglot
from firstorder.data import Sinusoid as Sinusoid
from firstorder.library.adapted import Adapted as Adapted
from firstorder.library.arrays import ArraySource as ArraySource
from firstorder.library.learner import Learner as Learner
from firstorder.library.learner import load as load
from firstorder.library.training import evaluate as evaluate
from firstorder.library.training import train as train
from firstorder.model import MLP as MLP
from firstorder.model import Conv4 as Conv4
from firstorder.plugins import trust as trust

__version__: str
