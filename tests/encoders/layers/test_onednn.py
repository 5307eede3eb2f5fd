"""Linear layers by oneDNN: the same numbers as PyTorch's own; what they cannot compute is left alone."""

import pytest
import torch
from torch import nn

from encoders.layers.onednn import Linear, use_onednn


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 7, 3)])
def test_a_layer_gives_what_its_formula_says(bias, shape):
    torch.manual_seed(0)
    plain, states = nn.Linear(3, 4, bias=bias), torch.randn(shape)
    expected = states @ plain.weight.T + (plain.bias if bias else 0)

    with torch.inference_mode():
        found = Linear(plain)(states)

    assert found.shape == (*shape[:-1], 4)
    assert torch.allclose(found, expected, atol=1e-6)


def test_layers_are_replaced_at_any_depth_but_not_those_in_16_bits_nor_other_kinds():
    class Own(nn.Linear):
        pass

    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.GELU()), nn.Linear(2, 2).bfloat16(), Own(2, 2))

    use_onednn(model)

    inner, half, own = model
    assert [type(one) for one in (inner[0], inner[1], half, own)] == [Linear, nn.GELU, nn.Linear, Own]
    assert inner[0].weight.dtype == torch.float32  # models ask for it, such as T5
