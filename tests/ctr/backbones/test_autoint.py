"""AutoInt: attention over fields equals equations 5 to 8 of the paper, one head and one pair at a time."""

import numpy as np
import torch
from torch import nn

from ctr.backbones.autoint import AutoInt, Interaction

FIELDS, WIDTH, DENSE = 4, 3, 2


def one_layer(tokens, w, prefix, heads, size):
    """[M, width] -> [M, heads * size]: the formula with loops over heads and fields."""
    out = []
    for m in range(len(tokens)):
        parts = []
        for head in range(heads):
            at = slice(head * size, (head + 1) * size)
            query, key, value = (w[f"{prefix}.{name}.weight"][at] for name in ("query", "key", "value"))
            score = np.array([(query @ tokens[m]) @ (key @ tokens[k]) for k in range(len(tokens))])
            weight = np.exp(score) / np.exp(score).sum()
            parts.append(sum(a * (value @ tokens[k]) for k, a in enumerate(weight)))
        out.append(np.maximum(np.concatenate(parts) + w[f"{prefix}.residual.weight"] @ tokens[m], 0))
    return np.array(out)


def test_autoint_equals_the_paper_s_formula(world, numbers):
    torch.manual_seed(0)
    states, model = world.states(), AutoInt(FIELDS, WIDTH, DENSE, layers=2, heads=2, size=2, hidden=(6, 3))
    w = numbers.arrays(model)

    found = model(states)

    start, logits = numbers.start_of(states), []
    deep = numbers.dense_layers(start, w, "deep", 2)
    for row in range(len(states.fields)):
        valued = w["numbers.weight"] @ states.dense[row].double().numpy()  # the sum of v_k x_k
        tokens = np.concatenate([states.fields[row].double().numpy(), valued[None]])
        for layer in range(2):
            tokens = one_layer(tokens, w, f"crosses.{layer}", 2, 2)
        logits.append(w["out.weight"][0] @ np.concatenate([tokens.ravel(), deep[row]]) + w["out.bias"][0])
    numbers.check_close(found, np.array(logits))


def test_attention_equals_that_of_torch():
    torch.manual_seed(1)
    layer, tokens = Interaction(5, 2, 3), torch.randn(4, 6, 5)
    heads = [one.weight.unflatten(0, (2, 3)) for one in (layer.query, layer.key, layer.value)]
    query, key, value = (torch.einsum("bmw,hsw->bhms", tokens, head) for head in heads)

    attended = nn.functional.scaled_dot_product_attention(query, key, value, scale=1.0)

    expected = torch.relu(attended.transpose(1, 2).reshape(4, 6, 6) + tokens @ layer.residual.weight.T)
    torch.testing.assert_close(layer(tokens), expected)


def test_the_order_of_fields_does_not_change_how_they_cross():
    layer, tokens, order = Interaction(5, 2, 3), torch.randn(4, 6, 5), torch.tensor([3, 1, 5, 0, 2, 4])

    torch.testing.assert_close(layer(tokens[:, order]), layer(tokens)[:, order])
