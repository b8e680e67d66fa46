"""How the support set of a task is cut into mini-batches, as rows of indices."""

import numpy as np


def cycle_minibatches(n: int, batch: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Return `steps` mini-batches of indices into n samples, (steps, batch), by running through them.

    The samples are shuffled, run through, reshuffled, and so on. A batch may span two epochs and then
    hold a sample twice, as in the authors' code.
    """
    epochs = -(-steps * batch // n)
    order = np.concatenate([rng.permutation(n) for _ in range(epochs)])
    return order[: steps * batch].reshape(steps, batch)


def replacement_minibatches(n: int, batch: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Return mini-batches each drawn anew: no sample twice in one, independent between them.

    Raises:
        ValueError: a mini-batch is larger than the set it is drawn from.
    """
    if batch > n:
        raise ValueError(
            f"inner_batch_size={batch} is larger than the {n} support samples of a task: with"
            " replacement=true a mini-batch holds no sample twice"
        )
    return np.stack([rng.permutation(n)[:batch] for _ in range(steps)])
