"""Few-shot density modelling: learn the distribution that a few images are drawn from."""

from math import log
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firstorder.network import Network, predict
from firstorder.task.base import Example, Scores, TaskKind, where_finite
from firstorder.task.episode import Episode

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def bits(prediction: Tensor, target: Tensor) -> Tensor:
    """Return -log2 p of each image, (n,), averaged over its binary pixels.

    The prediction is the logit of each pixel from the pixels before it, so that the sum over pixels is
    the negative log-likelihood of the image.
    """
    nats = F.binary_cross_entropy_with_logits(prediction, target, reduction="none")
    return nats.flatten(1).mean(1) / log(2)


class Density(TaskKind):
    """Model the images of one class after seeing a few; scored by bits per dimension of others."""

    criterion = staticmethod(bits)
    protocols = ("bits_per_dim",)
    measure = "bits_per_dim"
    higher_is_better = False

    def check_network(self, module: nn.Module, input_shape: tuple[int, ...]) -> None:
        """Make sure that the logit of a pixel depends on the pixels before it alone."""
        with torch.no_grad():
            image = torch.rand(1, *input_shape)
            logits = module(image).flatten()
            for place in (0, image.numel() // 2, image.numel() - 1):
                other = image.clone().flatten()
                other[place:] = 1 - other[place:]
                found = module(other.view_as(image)).flatten()
                if not torch.allclose(found[: place + 1], logits[: place + 1], atol=1e-5):
                    raise ValueError(
                        f"{type(module).__name__} sees the pixels that it is to give the probability of:"
                        " choose a network of masked convolutions, such as model=pixelcnn"
                    )

    def score(self, network: Network, phi: Tensor, tasks: Episode) -> Scores:
        """Return the bits per dimension of the query images, (tasks,)."""
        logits = predict(network, phi, tasks.query_x)
        each = bits(logits.flatten(0, 1), tasks.query_y.flatten(0, 1)).unflatten(
            0, logits.shape[:2]
        )
        return {"bits_per_dim": where_finite(logits, lambda: each.mean(1))}

    def score_if_diverged(self, tasks: Episode) -> float:
        """Return that of fair coins, 1 bit."""
        return 1.0

    def rows(self, summary: dict[str, Any]) -> list[tuple[str, str, int]]:
        found = summary["bits_per_dim"]
        text = f"{found['bits_per_dim']:.4f} ± {found['ci95']:.4f}"
        return [("bits per dimension", text, found["tasks"])]

    def draw(self, example: Example) -> "Figure":
        """Draw the images seen, and samples after some of the steps, a row an initialisation."""
        from firstorder.figures.samples import draw_samples  # matplotlib is slow to load

        shape, network = example.task.support_x.shape[1:], example.network
        drawn = {}
        for name, points in example.weights.items():
            counts = sorted({0, 1, min(4, len(points) - 1), len(points) - 1})
            drawn[name] = [(n, sample(network, points[n], 4, shape)) for n in counts]
        return draw_samples(example.task.support_x, drawn)


@torch.no_grad()
def sample(network: Network, phi: Tensor, number: int, shape: torch.Size, seed: int = 0) -> Tensor:
    """Draw images, (number, C, H, W), pixel after pixel, row by row."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.zeros(number, *shape, device=phi.device)
    for row in range(shape[-2]):
        for column in range(shape[-1]):
            chance = network.predict(phi, images)[..., row, column].sigmoid()
            drawn = torch.rand(chance.shape, generator=generator).to(phi.device) < chance
            images[..., row, column] = drawn.to(images.dtype)
    return images
