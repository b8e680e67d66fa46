"""Networks that can be meta-learned: any module without running statistics."""

from firstorder.model.conv4 import Conv4
from firstorder.model.fourier import FourierMLP
from firstorder.model.mlp import MLP
from firstorder.model.pixelcnn import PixelCNN
from firstorder.model.resnet12 import ResNet12
from firstorder.model.siren import Siren
from firstorder.model.transformer import Transformer

__all__ = ["MLP", "Conv4", "FourierMLP", "PixelCNN", "ResNet12", "Siren", "Transformer"]
