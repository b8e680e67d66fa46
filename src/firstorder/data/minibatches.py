"""How the support set of a task is cut into mini-batches, given as rows of indices."""

import numpy as np


def cycle_minibatches(n: int, batch: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Return mini-batches that run through n samples again and again, (steps, batch) indices.

    The samples are shuffled anew before each epoch. A mini-batch may span the end of one epoch and the
    beginning of the next, and then hold a sample twice, as in the authors' code.
    """
    epochs = -(-steps * batch // n)
    indices = np.concatenate([rng.permutation(n) for _ in range(epochs)])
    return indices[: steps * batch].reshape(steps, batch)


def replacement_minibatches(n: int, batch: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Return mini-batches drawn independently, without a sample twice in one: (steps, batch) indices.

    Raises:
        ValueError: a mini-batch is larger than the set it is drawn from.
    """
    if batch > n:
        raise ValueError(
            f"inner_batch_size={batch} is larger than the {n} support samples of a task: with"
            " replacement=true a mini-batch holds no sample twice"
        )
    return np.stack([rng.permutation(n)[:batch] for _ in range(steps)])
