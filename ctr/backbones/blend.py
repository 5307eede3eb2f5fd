"""Blend: a DCNv2 network and gradient-boosted trees, trained side by side; the mean of their logits answers.

Paper:     none; the plainest of all ensembles.
Idea:      a network learns ids and what an adapter learns with it, trees find thresholds of counted features; their
           errors differ, so that the mean is better than either (docs/benchmarks.md).
Formula:   logit = (logit of dcnv2 + logit of the trees) / 2, of one seed.
Relations: dcnv2 and gbdt are its parts; what an adapter learns with the model enters by the network alone.
"""

from ctr.backbones.dcnv2 import DCNv2
from ctr.backbones.protocol import Backbone

BLEND = Backbone("blend", "The mean of the logits of dcnv2 and gradient-boosted trees.", DCNv2, trees=True)
