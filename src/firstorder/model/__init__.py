"""Networks that can be meta-learned: any module without buffers."""

from firstorder.model.conv4 import Conv4
from firstorder.model.mlp import MLP

__all__ = ["MLP", "Conv4"]
