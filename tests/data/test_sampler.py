import pytest
import torch

from firstorder.data import Sinusoid
from firstorder.data.sampler import TEST, TRAIN, EpisodeLoader, EpisodeSampler, MetaBatches
from firstorder.task.episode import Episode


def sampler(seed: int = 0, stream: int = TRAIN, replacement: bool = False) -> EpisodeSampler:
    return EpisodeSampler(
        source=Sinusoid(), split="train", stream=stream, seed=seed, ways=1, shots=6, query_shots=2,
        steps=3, batch_size=4, replacement=replacement,
    )  # fmt: skip


def equal(a: Episode, b: Episode) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_an_episode_is_a_function_of_seed_stream_and_index() -> None:
    assert equal(sampler()[7], sampler()[7])
    assert not equal(sampler()[7], sampler()[8])
    assert not equal(sampler()[7], sampler(seed=1)[7])
    assert not equal(sampler()[7], sampler(stream=TEST)[7])


def test_the_order_is_cut_from_the_support_set() -> None:
    for replacement in (False, True):
        order = sampler(replacement=replacement)[0].batch_indices
        assert order.shape == (3, 4)
        assert 0 <= order.min() <= order.max() < 6


def test_a_meta_batch_stacks_consecutive_episodes() -> None:
    batch = MetaBatches(sampler(), episodes=10, size=4)[1]
    assert batch.support_x.shape == (4, 6, 1)
    assert equal(batch.task(2), sampler()[6])


def test_the_last_batch_of_an_evaluation_holds_what_is_left() -> None:
    batches = MetaBatches(sampler(), episodes=10, size=4)
    assert [len(batches[i].support_x) for i in range(len(batches))] == [4, 4, 2]


def test_ranks_share_a_meta_batch() -> None:
    whole = MetaBatches(sampler(), episodes=8, size=4)[1]
    shares = [MetaBatches(sampler(), 8, 4, rank, 2)[1] for rank in range(2)]
    for rank, share in enumerate(shares):
        assert all(torch.equal(s, w[rank::2]) for s, w in zip(share, whole, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_the_workers_or_on_where_they_start(workers: int) -> None:
    batches = MetaBatches(sampler(), episodes=10, size=2)
    seen = list(EpisodeLoader(batches, start=2, workers=workers))
    assert len(seen) == 3
    assert all(equal(batch, batches[i]) for i, batch in enumerate(seen, start=2))
