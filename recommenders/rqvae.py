"""RQ-VAE: semantic ids, a few codes per item from coarse to fine, by residual quantisation of its vector.

Paper:     Rajput et al. 2023, "Recommender Systems with Generative Retrieval" (TIGER, arXiv 2305.05065), section 3.1;
           Lee et al. 2022, "Autoregressive Image Generation using Residual Quantization" (arXiv 2203.01941).
Formula:   z = encoder(x);   r_1 = z;   c_l = argmin_k |r_l - e^l_k|^2,   r_{l+1} = r_l - e^l_{c_l}   for l = 1..L;
           z^ = sum_l e^l_{c_l};   x^ = decoder(z + sg(z^ - z));
           loss = |x - x^|^2 + sum_l ( beta |r_l - sg(e^l_{c_l})|^2 + |sg(r_l) - e^l_{c_l}|^2 ),   a mean over rows
Differs:   every codebook starts as the k-means of its inputs in the first batch; a code unused in an epoch moves to the
           residual of a random row. One more code numbers the rows whose codes are equal.
Consumes:  vectors of a release.   Produces: L + 1 codes per row, known from the newest event behind the vectors on.
Relations: the arm `semantic-ids` reads the prefixes as features; `tiger` generates the codes of the next item.
Example:   knowflow codes rqvae --vectors item_facts/dense
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from pydantic import Field
from sklearn.cluster import KMeans
from torch import Tensor, nn

from base.frozen import Frozen
from base.progress import Progress
from llm_tasks.pipeline.arm import Arm, Use
from recommenders.code_maker import Coded, CodeMaker, collision_rate, entropy, tell_apart, usage


class RQVAEOptions(Frozen):
    """Options of RQ-VAE."""

    levels: int = Field(default=3, ge=1)
    """Codes per row, L, without the one that makes rows unique; 1 is a VQ-VAE."""
    size: int = Field(default=256, ge=2)
    """Codes per level."""
    latent: int = Field(default=32, ge=1)
    """Length of the quantised latent."""
    hidden: tuple[int, ...] = (256, 128)
    """Widths of the encoder's layers; the decoder has them in reverse."""
    beta: float = Field(default=0.25, ge=0)
    """Weight of the loss that keeps the encoder near its codes."""
    epochs: int = Field(default=100, ge=1)
    """Passes over the vectors."""
    batch: int = Field(default=1024, ge=1)
    """Vectors per step."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Step size of Adam."""


class RQVAE(nn.Module):
    """Encoder, codebooks and decoder.

    Args:
        dimension: Length d of a vector.
        hidden: Widths of the encoder's layers.
        latent: Length k of the quantised latent.
        levels: Codebooks L.
        size: Codes per codebook.
    """

    def __init__(self, dimension: int, hidden: Sequence[int], latent: int, levels: int, size: int) -> None:
        super().__init__()
        widths = [dimension, *hidden, latent]
        self.encoder, self.decoder = _layers(widths), _layers(widths[::-1])
        self.books = nn.Parameter(torch.randn(levels, size, latent))

    def quantise(self, latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise latents: [B, k] -> codes [B, L], residuals [B, L, k] and their chosen entries [B, L, k]."""
        codes, residuals, chosen = [], [latent], []
        for book in self.books:
            nearest = torch.cdist(residuals[-1], book).argmin(dim=1)
            codes.append(nearest)
            chosen.append(book[nearest])
            residuals.append(residuals[-1] - chosen[-1])
        return torch.stack(codes, 1), torch.stack(residuals[:-1], 1), torch.stack(chosen, 1)

    def forward(self, vectors: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return loss, reconstruction error, codes [B, L] and residuals [B, L, k] of vectors [B, d]."""
        latent = self.encoder(vectors)
        codes, residuals, chosen = self.quantise(latent)
        decoded = self.decoder(latent + (chosen.sum(1) - latent).detach())  # the gradient bypasses the codes
        error = (vectors - decoded).square().sum(1).mean()
        stays = (residuals - chosen.detach()).square().sum((1, 2)).mean()
        moves = (residuals.detach() - chosen).square().sum((1, 2)).mean()
        return error + beta * stays + moves, error, codes, residuals

    @torch.no_grad()
    def begin(self, vectors: Tensor, seed: int) -> None:
        """Initialise each codebook with the k-means of residuals of vectors [B, d]; further entries stay random."""
        residual = self.encoder(vectors)
        for book in self.books:
            distinct = len(np.unique(residual.numpy().round(6), axis=0))
            means = KMeans(min(len(book), distinct), random_state=seed).fit(residual.numpy())
            book[: len(means.cluster_centers_)] = torch.from_numpy(means.cluster_centers_)
            residual = residual - book[torch.cdist(residual, book).argmin(dim=1)]

    @torch.no_grad()
    def restart(self, used: Tensor, residuals: Tensor) -> None:
        """Move codes that are not `used` [L, size] to residuals [B, L, k] of random rows."""
        for level, dead in enumerate(~used):
            rows = torch.randint(len(residuals), (int(dead.sum()),))
            self.books[level, dead] = residuals[rows, level]


def _layers(widths: Sequence[int]) -> nn.Sequential:
    """Build linear layers with ReLU between them."""
    layers = [part for before, after in pairwise(widths) for part in (nn.Linear(before, after), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def train(model: RQVAE, vectors: Tensor, options: RQVAEOptions, seed: int, progress: Progress) -> list[float]:
    """Fit the model; return the mean reconstruction error of each epoch."""
    optimizer = torch.optim.Adam(model.parameters(), options.learning_rate)
    errors: list[float] = []
    for epoch in range(options.epochs):
        progress("rqvae epochs", epoch, options.epochs)
        batches = vectors[torch.randperm(len(vectors))].split(options.batch)
        if epoch == 0:
            model.begin(batches[0], seed)
        used, total = torch.zeros(model.books.shape[:2], dtype=torch.bool), 0.0
        residuals = torch.zeros(0)
        for batch in batches:
            loss, error, codes, residuals = model(batch, options.beta)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            used[torch.arange(options.levels), codes] = True
            total += float(error.detach()) * len(batch)
        errors.append(total / len(vectors))
        if epoch + 1 < options.epochs:  # restarted codes need an epoch to learn
            model.restart(used, residuals.detach())
    progress("rqvae epochs", options.epochs, options.epochs)
    return errors


def make(vectors: np.ndarray, options: RQVAEOptions, seed: int, progress: Progress) -> Coded:
    """Train on all vectors and return their codes: [M, d] -> [M, L + 1]."""
    data = torch.from_numpy(np.asarray(vectors, dtype=np.float32))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = RQVAE(data.shape[1], options.hidden, options.latent, options.levels, options.size)
        errors = train(model, data, options, seed, progress)
    with torch.inference_mode():
        _, error, found, _ = model.eval()(data, options.beta)
    codes = found.numpy().astype(np.int32)
    apart = tell_apart(codes)
    spread = float((data - data.mean(0)).square().sum(1).mean())
    figures = {
        "error_first_epoch": errors[0],
        "error": float(error),
        "explained": 1 - float(error) / spread if spread else 0.0,
        "usage": usage(codes, options.size),
        "entropy_bits": entropy(codes),
        "collision_before": collision_rate(codes),
        "collision_after": collision_rate(apart),
        "largest_collision": int(apart[:, -1].max()) + 1,
    }
    return Coded(apart, figures)


MAKER = CodeMaker("rqvae", "residual quantisation of an autoencoder's latent", RQVAEOptions, make)
SEMANTIC_IDS = Arm(
    "semantic-ids",
    "Semantic ids: prefixes of the codes that `rqvae` made from item vectors, each embedded, along with the item's id.",
    (Use("prefix_ngrams", codes=("rqvae",)),),
)
