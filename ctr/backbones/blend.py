"""Blend: a DCNv2 network and gradient-boosted trees, trained separately; the output is the mean of their logits.

Paper:     none; the simplest ensemble.
Idea:      a network learns ids and trainable adapters, trees find thresholds of counted features; their errors
           differ, so the mean is better than either (docs/benchmarks.md).
Formula:   logit = (logit of dcnv2 + logit of the trees) / 2, for one seed.
Relations: dcnv2 and gbdt are its parts; trainable adapters feed only the network.
"""

from ctr.backbones.dcnv2 import DCNv2
from ctr.backbones.protocol import Backbone

BLEND = Backbone(
    "blend", "The mean of the logits of dcnv2 and gradient-boosted trees.", DCNv2, trees=True, history=False
)
