import sys

import pytest
import torch
from torch import nn

from firstorder.model import Transformer
from firstorder.model.transformer import Layer
from firstorder.network import Network


def test_places_of_words_count_and_sequences_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    network, x = Transformer(3, words=20, length=6, width=8, heads=2), torch.randint(20, (4, 6))
    logits = network(x)
    torch.testing.assert_close(network(x[2:3])[0], logits[2])
    assert not torch.allclose(network(x.flip(1)), logits)
    assert network(x[:, :4].float()).shape == (4, 3)


def test_adapters_and_the_last_layer_are_all_that_is_learnt() -> None:
    pytest.importorskip("peft", reason="needs the extra peft")
    torch.manual_seed(0)
    module = Transformer(3, words=20, length=6, width=8, layers=2, heads=2, rank=2)
    network, x = Network(module), torch.randint(20, (4, 6))
    assert not network.is_random
    assert all("lora" in name or name.startswith(("norm", "head")) for name in network.layout)
    assert len(network.initial()) == 2 * 2 * (2 * 8 * 2) + 16 + 27  # two of rank 2 a layer
    phi = network.initial()
    moved = phi + 0.1 * torch.randn_like(phi)
    assert not torch.allclose(network(moved, x), network(phi, x))


def test_without_peft_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match=r"pip install -e '\.\[peft\]'"):
        Transformer(3, rank=2)
    with pytest.raises(ValueError, match="does not divide"):
        Transformer(3, width=10, heads=4)


def test_it_has_second_derivatives_and_attends_as_torchs_own_attention_does() -> None:
    torch.manual_seed(0)
    layer, x = Layer(8, 2).double(), torch.randn(2, 3, 8, dtype=torch.float64)
    query, key, value = (
        each(layer.before(x)).unflatten(-1, (2, 4)).transpose(-3, -2)
        for each in (layer.query, layer.key, layer.value)
    )
    seen = nn.functional.scaled_dot_product_attention(query, key, value)
    attended = x + layer.out(seen.transpose(-3, -2).flatten(-2))
    expected = attended + layer.narrow(nn.functional.gelu(layer.wide(layer.between(attended))))
    torch.testing.assert_close(layer(x), expected)
    assert torch.autograd.gradgradcheck(layer, x.requires_grad_())
