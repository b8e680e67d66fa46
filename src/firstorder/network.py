"""A network as a pure function of one vector, the paper's phi."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _NormBase

from firstorder.engine import engine_call


class Layout(dict[str, torch.Size]):
    """Where each of a network's learnt parameters lies in phi: its name and shape, in order."""

    @property
    def sizes(self) -> list[int]:
        """How many numbers of phi each parameter takes."""
        return [shape.numel() for shape in self.values()]

    @property
    def last_layer(self) -> str:
        """The name of the layer that the last parameter belongs to, such as "head"."""
        return list(self)[-1].rpartition(".")[0]

    @property
    def outputs(self) -> int:
        """How many rows the last layer has."""
        return list(self.values())[-1][0]

    def mask(self, parts: Sequence[str]) -> Tensor:
        """Return which numbers of phi belong to these parameters or layers, (d,) bool.

        A name may also be that of a part of the network that holds layers; "" is the whole.
        """
        starts = tuple(f"{part}." if part else "" for part in parts)
        chosen = [f"{name}.".startswith(starts) for name in self]
        return torch.tensor(chosen).repeat_interleave(torch.tensor(self.sizes))

    def with_shared_head(self, phi: Tensor) -> Tensor:
        """Return weights, (..., d), in which each row of the last layer is the mean of its rows."""
        return self._rows_of_head(phi, lambda rows: rows.mean(0, keepdim=True).expand_as(rows))

    def with_permuted_head(self, phi: Tensor, order: Tensor) -> Tensor:
        """Return weights, (..., d), in which row i of the last layer is row order[i]."""
        return self._rows_of_head(phi, lambda rows: rows[order])

    def _rows_of_head(self, phi: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        pieces = []
        for (name, shape), piece in zip(self.items(), phi.split(self.sizes, -1), strict=True):
            if name.rpartition(".")[0] == self.last_layer:
                rows = piece.unflatten(-1, shape).movedim(-len(shape), 0)  # whatever is before them
                piece = change(rows).movedim(0, -len(shape)).flatten(-len(shape))
            pieces.append(piece)
        return torch.cat(pieces, -1)


class Network:
    """Evaluate a module as f(phi, x), its learnt parameters read from the vector phi, (d,).

    The paper's algorithms are arithmetic on vectors in weight space; what treats layers differently
    finds them by name in `layout`. Parameters with `requires_grad` are in phi. Frozen parameters and
    constant buffers (masks, Fourier features, a pretrained trunk) stay in the module.

    The module is in training mode when called, so dropout is active while a task is trained on, and in
    evaluation mode in `predict`. Batch norm uses the statistics of the batch in both.

    Attributes:
        module: the network.
        layout: names and shapes of the parameters in phi.
        is_random: it draws random numbers in training mode; true where it has a layer that drops.

    Raises:
        ValueError: the module keeps running statistics, which would leak from task to task, or has
            nothing to learn.
    """

    def __init__(self, module: nn.Module) -> None:
        kind = type(module).__name__
        for name, layer in module.named_modules():
            if isinstance(layer, _NormBase) and layer.running_mean is not None:
                raise ValueError(
                    f"model {kind} keeps running statistics in {name or kind}: the paper always"
                    " normalises by the batch; build the layer with track_running_stats=False"
                )
        self.module = module.train()
        self.layout = Layout(
            {name: p.shape for name, p in module.named_parameters() if p.requires_grad}
        )
        if not self.layout:
            raise ValueError(f"model {kind} has no parameter that requires a gradient to learn")
        self._sizes = self.layout.sizes
        self.is_random = any(
            "Drop" in type(layer).__name__ and getattr(layer, "p", None) != 0
            for layer in module.modules()
        )

    def __call__(self, phi: Tensor, x: Tensor) -> Tensor:
        """Return the output on x, (n, ...), with the parameters phi, (d,), in training mode."""
        if not self.module.training:
            self.module.train()
        return self._forward(phi, x)

    def predict(self, phi: Tensor, x: Tensor) -> Tensor:
        """Return the output on x, (n, ...), with the parameters phi, (d,), dropout off."""
        if self.is_random:
            self.module.eval()
        return self._forward(phi, x)

    def _forward(self, phi: Tensor, x: Tensor) -> Tensor:
        output: Tensor = functional_call(self.module, self.unflatten(phi), (x,))
        return output

    def unflatten(self, phi: Tensor) -> dict[str, Tensor]:
        """View the vector phi as the module's named parameters."""
        pieces = phi.split(self._sizes)
        return {
            name: piece.view(shape)
            for (name, shape), piece in zip(self.layout.items(), pieces, strict=True)
        }

    def initial(self) -> Tensor:
        """Copy the module's own learnt parameters into a vector phi, (d,)."""
        return torch.cat(
            [self.module.get_parameter(name).detach().flatten() for name in self.layout]
        )

    def constants(self) -> dict[str, Tensor]:
        """Return what the output depends on besides phi and x: frozen parameters and buffers."""
        named = {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}
        return {name: t.detach() for name, t in named.items() if name not in self.layout}

    def set_constants(self, constants: dict[str, Tensor]) -> None:
        """Copy values into the frozen parameters and buffers.

        Raises:
            ValueError: they are those of another network.
        """
        mine = self.constants()
        if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in constants.items()}:
            raise ValueError(
                f"the frozen parameters {', '.join(constants) or 'none'} are not those of"
                f" {type(self.module).__name__}, {', '.join(mine) or 'none'}"
            )
        for name, tensor in mine.items():
            tensor.copy_(constants[name])


@engine_call
def predict(network: Network, phi: Tensor, x: Tensor) -> Tensor:
    """Return each task's outputs, (tasks, n, ...), for inputs (tasks, n, ...) and weights (tasks, d)."""
    return vmap(network.predict)(phi, x)
