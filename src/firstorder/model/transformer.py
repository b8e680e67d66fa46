"""A small transformer that classifies sequences of words, whole or by low-rank adapters."""

from math import sqrt
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn

from firstorder.settings import Count, Layers, Width, checked


class Transformer(nn.Module):
    """Classify a sequence of words by the mean of its last states.

    Layers are as in GPT-2: normalise, attend, add; normalise, two linear layers with GELU, add. With
    rank > 0 the transformer stays as it was initialised, or as a file holds it, and low-rank adapters
    of its queries and values (LoRA, Hu et al. 2021, by peft), the last normalisation and the last
    layer are learnt.

    Args:
        num_classes: N, the ways of a task.
        words: size of the vocabulary.
        length: words of a sequence, at most.
        width: numbers in the hidden state of a word.
        layers: attention layers.
        heads: attention heads of each layer.
        rank: r of the adapters; 0 learns all weights.

    Raises:
        ValueError: heads do not divide the width, or peft is not installed and rank > 0.
    """

    @checked("model")
    def __init__(
        self,
        num_classes: Width,
        words: Width = 500,
        length: Width = 16,
        width: Width = 64,
        layers: Layers = 2,
        heads: Count = 4,
        rank: Annotated[int, Ge(0), Le(2**16)] = 0,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"model.heads={heads} does not divide model.width={width}")
        self.word, self.place = nn.Embedding(words, width), nn.Embedding(length, width)
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(layers)))
        if rank:
            self.requires_grad_(False)
            add_adapters(self, rank)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (n, num_classes), for numbers of words, (n, length)."""
        places = torch.arange(x.shape[-1], device=x.device)
        states = self.layers(self.word(x.long()) + self.place(places))
        logits: Tensor = self.head(self.norm(states.mean(-2)))
        return logits


class Layer(nn.Module):
    """Attention and two linear layers, each past a normalisation and added to what came in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return states, (n, length, width), for such states."""
        normed = self.before(x)
        query, key, value = (
            layer(normed).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
            for layer in (self.query, self.key, self.value)
        )
        # Written out, for torch's fused attention has no second derivative, which MAML takes.
        shares = (query / sqrt(query.shape[-1]) @ key.transpose(-2, -1)).softmax(-1)
        seen = shares @ value
        x = x + self.out(seen.transpose(-3, -2).flatten(-2))
        added: Tensor = x + self.narrow(F.gelu(self.wide(self.between(x))))
        return added


def add_adapters(module: nn.Module, rank: int) -> None:
    """Put low-rank adapters, and nothing else that is learnt, beside all queries and values.

    Raises:
        ValueError: peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model  # an extra
    except ImportError:
        raise ValueError(
            f"model.rank={rank} needs peft: pip install -e '.[peft]', or model.rank=0"
        ) from None
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=["query", "value"])
    inject_adapter_in_model(config, module)
