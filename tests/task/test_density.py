import math

import torch

from firstorder.model import PixelCNN
from firstorder.network import Network
from firstorder.task.density import Density, bits, sample
from firstorder.task.episode import Episode


def test_probabilities_of_all_images_add_up_to_one() -> None:
    """Each of the 2^9 binary images of 3x3 pixels has probability 2^-(9 x bits per dimension)."""
    torch.manual_seed(0)
    network = PixelCNN(filters=4, blocks=1)
    numbers = torch.arange(512)[:, None] >> torch.arange(9) & 1
    images = numbers.float().view(512, 1, 3, 3)
    total = (2 ** (-9 * bits(network(images), images).double())).sum().item()
    assert math.isclose(total, 1, rel_tol=1e-5)


def test_samples_follow_the_model() -> None:
    """A network whose only weight is its last bias draws every pixel with the same chance."""
    module = PixelCNN(filters=4, blocks=0)
    with torch.no_grad():
        module.last.weight.zero_()
        module.last.bias.fill_(math.log(3))
    network = Network(module)
    drawn = sample(network, network.initial(), 40, torch.Size((1, 6, 6)))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert abs(drawn.mean().item() - 0.75) < 0.04
    task = Episode(
        *(drawn[None] for _ in range(4)), torch.zeros(1, 1, 1).long(), torch.zeros(1).long()
    )
    score = Density().score(network, network.initial()[None], task)["bits_per_dim"].item()
    mean = drawn.mean().item()
    assert math.isclose(score, -mean * math.log2(0.75) - (1 - mean) * math.log2(0.25), rel_tol=1e-4)
