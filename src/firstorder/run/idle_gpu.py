"""Advice, in one sentence, on settings that would keep a GPU busier."""

from firstorder.algo.base import MetaAlgorithm

FEW = 32  # tasks: the kernels of so few small networks leave most of a GPU idle


def advice(algorithm: MetaAlgorithm) -> str | None:
    """Say how a meta-batch would make more use of a GPU; None where it takes many tasks at once."""
    tasks = algorithm.meta_batch_size
    if tasks > 1 and not algorithm.parallel:
        return (
            f"the {tasks} tasks of a meta-batch are taken in turn, and one alone leaves most of a GPU"
            " idle: algo.parallel=true takes them at once, with the same result under SGD and a slightly"
            " other one under Adam (docs/speed.md)"
        )
    if tasks < FEW:
        return (
            f"a meta-batch of {tasks} {'task' if tasks == 1 else 'tasks'} leaves most of a GPU idle:"
            " algo.parallel=true with a larger algo.meta_batch_size takes more of them at once"
        )
    return None
