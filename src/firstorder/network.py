"""A network as a pure function of one vector, the paper's phi."""

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from firstorder.engine import engine_call


class Network:
    """Evaluate a module as f(phi, x), its parameters read from the vector phi.

    The paper's algorithms are arithmetic on vectors in weight space; here phi is such a vector,
    of shape (d,), and nothing outside this class knows about layers.

    Raises:
        ValueError: the module keeps buffers, such as batch norm's running averages. The paper
            always normalises by the statistics of the batch, and a buffer would leak from task
            to task.
    """

    def __init__(self, module: nn.Module) -> None:
        buffers = [name for name, _ in module.named_buffers()]
        if buffers:
            raise ValueError(
                f"model {type(module).__name__} keeps the buffer {buffers[0]!r}: meta-learned networks"
                " have parameters only; build batch norm with track_running_stats=False"
            )
        self.module = module
        self.shapes = {name: p.shape for name, p in module.named_parameters()}
        self.sizes = [shape.numel() for shape in self.shapes.values()]

    def __call__(self, phi: Tensor, x: Tensor) -> Tensor:
        """Return the network's output on x, (n, ...), with the parameters phi, (d,)."""
        output: Tensor = functional_call(self.module, self.unflatten(phi), (x,))
        return output

    def unflatten(self, phi: Tensor) -> dict[str, Tensor]:
        """View the vector phi as the module's named parameters."""
        pieces = phi.split(self.sizes)
        return {
            name: piece.view(shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }

    def initial(self) -> Tensor:
        """Copy the module's own parameters into a vector phi, (d,)."""
        return torch.cat([p.detach().flatten() for p in self.module.parameters()])


@engine_call
def predict(network: Network, phi: Tensor, x: Tensor) -> Tensor:
    """Return each task's outputs, (tasks, n, ...), for inputs (tasks, n, ...) and weights (tasks, d)."""
    return vmap(network)(phi, x)
