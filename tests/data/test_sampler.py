import hashlib
from collections.abc import Iterable

import numpy as np
import pytest
import torch

from firstorder.data import Glyphs, Sinusoid
from firstorder.data.sampler import (
    MONITOR,
    TEST,
    TRAIN,
    EpisodeLoader,
    EpisodeSampler,
    MetaBatches,
)
from firstorder.data.source import TaskSource
from firstorder.task.episode import Episode
from tests.data.conftest import Patches

GLYPHS = "f918d633e07d427877195aa7a6b720db"  # fingerprint under the versions in constraints.txt


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


def drawn(source: TaskSource, split: str, stream: int, ways: int) -> Iterable[tuple]:
    """Yield fields of a few episodes: support x, y, query x, y and the mini-batches."""
    for replacement in (False, True):
        sampler = EpisodeSampler(
            source=source, split=split, stream=stream, seed=3, ways=ways, shots=4, query_shots=2,
            steps=3, batch_size=3, replacement=replacement,
        )  # fmt: skip
        for index in (0, 1, 1000):
            yield sampler.fields(index)[:5]


def digest(arrays: Iterable[np.ndarray]) -> str:
    content = hashlib.sha256()
    for array in arrays:
        content.update(f"{array.dtype.str} {array.shape}".encode() + array.tobytes())
    return content.hexdigest()[:16]


@pytest.mark.parametrize(
    ("split", "stream", "inputs", "heights"),
    [
        ("train", TRAIN, "b1e42e9f6f1b0516", [-0.787555, 0.251483, 1.063067]),
        ("val", MONITOR, "4fdb144e3c9ab5e3", [-0.559381, -0.530956, -4.061165]),
        ("test", TEST, "e0109f9a2043f21f", [-1.842831, -4.498216, -1.576538]),
    ],
)
def test_sine_waves_are_the_ones_of_earlier_versions(
    split: str, stream: int, inputs: str, heights: list[float]
) -> None:
    episodes = list(drawn(Sinusoid(), split, stream, ways=1))
    assert (
        digest(field for x, _, query, _, rows in episodes for field in (x, query, rows)) == inputs
    )
    # The last bit of a sine may differ between processors.
    np.testing.assert_allclose([y[0, 0] for _, y, _, _, _ in episodes[:3]], heights, rtol=1e-5)


@pytest.mark.parametrize(
    ("split", "stream", "expected"),
    [
        ("train", TRAIN, "87ef5f4e77c5f35e"),
        ("val", MONITOR, "263f67b81cb8f454"),
        ("test", TEST, "6abb197ed279851b"),
    ],
)
def test_tasks_of_images_are_the_ones_of_earlier_versions(
    split: str, stream: int, expected: str
) -> None:
    source = Patches(rotations=True, augment=["flip", "crop"])
    source.prepare()
    assert digest(f for fields in drawn(source, split, stream, ways=2) for f in fields) == expected


@pytest.mark.parametrize(
    ("split", "stream", "expected"),
    [
        ("train", TRAIN, "093dd1f47fe557d5"),
        ("val", MONITOR, "072dfe46fae4ded5"),
        ("test", TEST, "cf166305947da1c7"),
    ],
)
def test_tasks_of_glyphs_are_the_ones_of_earlier_versions(
    glyphs: Glyphs, split: str, stream: int, expected: str
) -> None:
    if not glyphs.fingerprint.startswith(GLYPHS):
        pytest.skip("other versions of matplotlib or Pillow draw other glyphs")
    assert digest(f for fields in drawn(glyphs, split, stream, ways=5) for f in fields) == expected
