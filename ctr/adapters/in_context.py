"""LLM-CF's in-context module: a small decoder reads the sample after K examples with their reasonings and labels.

Paper:     Sun et al. 2024, "Large Language Models Enhanced Collaborative Filtering" (LLM-CF, arXiv 2403.17688).
Formula:   tokens [r_1, c_1, l_1, ..., r_K, c_K, l_K, r]: r = mlp(fields of the sample), c = mlp(vector of the
           reasoning), l = embedding of the example's label;   h = causal decoder(tokens);   out = last h;
           L_r = 1 - mean_k cos(mlp(h at r_k), vector of reasoning k): the state after an example's fields must predict
           the reasoning before the decoder sees it;   L = L_ctr + alpha L_r
Consumes:  vectors of reasonings about training events (the pool), and of items, to compare events.
Produces:  [B, 32], and L_r while training. Three learned tokens replace an example that the guards do not allow.
Relations: the only adapter that reads whole samples; retrieval/examples.py chooses them. similarity compares texts.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ctr.adapters.decoder import Decoder
from ctr.adapters.protocol import ExampleAdapter, Missing
from ctr.backbones.perceptron import perceptron
from ctr.batch import Shown, States
from ctr.examples import find_examples, shown_to_test, situations
from ctr.samples import Samples
from ctr.views import Examples
from feature_store.vectors import Knowledge
from retrieval.example_facts import example_facts
from retrieval.examples import ExamplePool, ExampleRule, retrieve

WIDTH = 32
"""Width of a token."""
LABELS = 2


def head(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Build a perceptron with one hidden layer and a linear output: [B, inputs] -> [B, outputs]."""
    return nn.Sequential(perceptron(inputs, (hidden,)), nn.Linear(hidden, outputs))


class InContext(nn.Module):
    """The module.

    Args:
        features: Total length of a sample's fields and dense values.
        width: Length of a reasoning's vector.
        count: Examples per sample, K.
        alpha: Weight of the reconstruction loss.
    """

    width = WIDTH

    def __init__(self, features: int, width: int, count: int, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha
        self.sample = head(features, 128, WIDTH)
        self.reasoning = head(width, 256, WIDTH)
        self.label = nn.Embedding(LABELS, WIDTH)
        self.missing = Missing(3 * WIDTH)
        self.decoder = Decoder(3 * count + 1, WIDTH)
        self.reconstruct = head(WIDTH, 256, width)

    def tokens(self, query: States, examples: States, shown: Shown) -> Tensor:
        """Return all tokens of B samples: [B, 3K + 1, 32]."""
        parts = [self.sample(features(examples)), self.reasoning(shown.vectors), self.label(shown.label)]
        # Each example is computed once and shared by its samples; the last row replaces missing examples.
        table = torch.cat([torch.cat(parts, dim=1), self.missing.vector.unsqueeze(0)])  # [U + 1, 3 * 32]
        past = functional.embedding(_places(shown), table).view(len(shown.chosen), -1, WIDTH)  # [B, 3K, 32]
        return torch.cat([past, self.sample(features(query)).unsqueeze(1)], dim=1)

    def forward(self, query: States, examples: States, shown: Shown) -> tuple[Tensor, Tensor | None]:
        """Run the decoder on B samples.

        Args:
            query: The B samples.
            examples: The U examples as samples.
            shown: Their labels and reasonings, and the choice for each sample.

        Returns:
            [B, 32], and alpha * L_r, or None when not training.
        """
        tokens = self.tokens(query, examples, shown)
        if not (self.training and self.alpha):
            return self.decoder(tokens, slice(-1, None))[:, 0], None
        hidden = self.decoder(tokens, slice(0, None, 3))  # [B, K + 1, 32]: at every r
        foretold = self.reconstruct(hidden[:, :-1])  # [B, K, k]
        return hidden[:, -1], self.alpha * reconstruction_loss(foretold, shown)


def features(states: States) -> Tensor:
    """Return a backbone's inputs before any adapter: [B, F * d + k]."""
    return torch.cat([states.fields.flatten(1), states.dense], dim=1)


def reconstruction_loss(foretold: Tensor, shown: Shown) -> Tensor:
    """Return 1 - mean cosine of prediction and reasoning, over all chosen examples of the batch: [B, K, k] -> [].

    It is 1, without a gradient, if there are no examples or the reasonings are zeros.
    """
    reasoning = functional.normalize(shown.vectors, dim=1)
    none = reasoning.new_zeros(1, reasoning.shape[1])  # a missing example adds nothing
    wanted = functional.embedding(_places(shown), torch.cat([reasoning, none]))  # [B, K, k]
    length = torch.linalg.vector_norm(foretold, dim=2).clamp(min=1e-8)
    cosine = (foretold * wanted).sum(dim=2) / length  # [B, K]
    return 1 - cosine.sum() / torch.where(shown.total > 0, shown.total, 1)


def _places(shown: Shown) -> Tensor:
    """Return the examples of each sample as indices into U, U = none: [B, K]."""
    return torch.where(shown.chosen >= 0, shown.chosen, len(shown.label))


def prepare(knowledge: Sequence[Knowledge], samples: Samples, rule: ExampleRule) -> Examples:
    """Choose the examples of every sample.

    Args:
        knowledge: First the reasonings, then vectors of items to compare samples.
        samples: All samples.
        rule: Number of examples, and guards.

    Raises:
        WrongUse: An example is not a training row.
    """
    reasonings, items = knowledge
    rows, asked = find_examples(reasonings, samples), situations(items, samples)
    pool = ExamplePool(asked.at(rows.sample), samples.label[rows.sample], reasonings.seen_until)
    found = retrieve(pool, asked, rule)
    return Examples(
        sample=rows.sample,
        label=pool.label.astype(np.int64),
        vectors=reasonings.vectors[rows.row],
        chosen=found.chosen,
        facts=example_facts(found, pool, asked, rule),
        shown=shown_to_test(reasonings.task, found, rows, samples),
        counted=rule.strict,
    )


ADAPTER = ExampleAdapter("in_context", prepare, InContext, "LLM-CF's decoder over examples with their reasonings")
