"""Pooling: from the states of tokens to one vector of a text; padding never counts.

Source: Xi et al. 2023 (KAR), section 4.2; the published KAR code pools BERT states by the masked mean.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from encoders.protocol import PoolingName


def pool(layers: Sequence[Tensor], mask: Tensor, pooling: PoolingName) -> Tensor:
    """Pool token states.

    Args:
        layers: Hidden states of every layer, [B, T, d] each, the embedding layer first.
        mask: [B, T], 1 for a token, 0 for padding.
        pooling: `mean`, `cls` and `last_token` read the last layer; `first_last_mean` averages the masked means of
            the first transformer layer and the last; `top_two_mean` those of the last two layers;
            `position_weighted_mean` weighs the t-th token of a text by t (SGPT, Muennighoff 2022, section 3.1).

    Returns:
        [B, d].
    """
    last = layers[-1]
    texts = torch.arange(len(last), device=last.device)
    if pooling == "cls":
        return last[texts, mask.argmax(dim=1)]  # the first real token, whichever side is padded
    if pooling == "last_token":
        places = torch.arange(mask.shape[1], device=mask.device) * mask  # [B, T]
        return last[texts, places.argmax(dim=1)]
    if pooling == "first_last_mean":
        return (masked_mean(layers[1], mask) + masked_mean(last, mask)) / 2
    if pooling == "top_two_mean":
        return (masked_mean(layers[-2], mask) + masked_mean(last, mask)) / 2
    if pooling == "position_weighted_mean":
        return masked_mean(last, mask.cumsum(dim=1) * mask)
    return masked_mean(last, mask)


def masked_mean(states: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over tokens: [B, T, d], [B, T] -> [B, d]; a text without tokens gives zeros."""
    weights = weights.to(states.dtype).unsqueeze(-1)  # [B, T, 1]
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)
