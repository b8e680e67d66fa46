import torch

from firstorder.model import PixelCNN


def test_a_logit_depends_on_the_pixels_before_it_and_on_no_other() -> None:
    torch.manual_seed(0)
    network, x = PixelCNN(filters=8, blocks=2), torch.rand(1, 1, 9, 9, requires_grad=True)
    for place in ((4, 4), (0, 0), (8, 2)):
        logit = network(x)[0, 0, *place]
        (gradient,) = torch.autograd.grad(logit, x)
        before = torch.arange(81).view(9, 9) < place[0] * 9 + place[1]
        assert (gradient[0, 0][~before] == 0).all()
        assert (gradient != 0).any() == bool(before.any())
