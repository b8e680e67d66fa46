"""learn2learn can be used where only its mathematics and its data are wanted."""

import importlib.util
import sys

import pytest
import torch
from torch.utils.data import TensorDataset

from firstorder.data import interop
from firstorder.data.interop import import_learn2learn

needs_learn2learn = pytest.mark.skipif(
    importlib.util.find_spec("learn2learn") is None,
    reason=f"learn2learn is not installed: {interop.INSTALL}",
)


@needs_learn2learn
def test_maml_adapts_a_clone_and_differentiates_through_the_step():
    maml_class = import_learn2learn("algorithms.maml").MAML
    model = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    torch.nn.init.constant_(model.weight, 3.0)
    maml = maml_class(model, lr=0.1)
    clone = maml.clone()
    one = torch.ones(1, 1, dtype=torch.float64)
    clone.adapt((clone(one) ** 2).sum())  # w' = w - 0.1 * 2 w = 0.8 w
    assert clone.module.weight.item() == pytest.approx(2.4)
    assert model.weight.item() == 3.0
    (clone(one) ** 2).sum().backward()  # d(0.64 w^2)/dw = 1.28 w
    assert model.weight.grad.item() == pytest.approx(3.84)


@needs_learn2learn
def test_a_meta_dataset_is_reached_under_its_usual_name():
    import_learn2learn("data")
    import learn2learn as l2l

    dataset = l2l.data.MetaDataset(TensorDataset(torch.zeros(4, 2), torch.tensor([7, 8, 7, 8])))
    assert dict(dataset.labels_to_indices) == {7: [0, 2], 8: [1, 3]}


@needs_learn2learn
def test_a_part_that_learn2learn_does_not_have_is_an_attribute_error():
    import_learn2learn("data")
    import learn2learn as l2l

    assert not hasattr(l2l, "no_such_part")


def test_without_learn2learn_the_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "learn2learn", raising=False)
    monkeypatch.setattr(interop, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"not installed: pip install .*learn2learn\.txt"):
        import_learn2learn("data")
