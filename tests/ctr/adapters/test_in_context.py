"""LLM-CF's in-context module: tokens (L9), the sample's own label (L4), causality (L6), the loss and its way (L7)."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from base.progress import silent
from ctr.adapters.in_context import WIDTH, InContext, features, head, prepare, reconstruction_loss
from ctr.batch import Batches, Shown, States
from ctr.compare import prepare_views
from ctr.config import ExamplesConfig, TrainConfig
from ctr.learners import make_model
from ctr.train import rows_of, train
from llm_tasks.pipeline.arm import Arm, Use
from retrieval.examples import STRICT, ExampleRule

ARM = Arm("toy", "", (Use("in_context", ("cot_examples/dense", "kar_item/dense")),))
CONFIG = TrainConfig(backbone="dcnv2", search=(), batch_size=64, epochs=1, folds=3, embedding_dim=4)
PLACE = "0_in_context"
SIZE = 4 * 3 + 2
"""Length of the features of the world's made states."""


@pytest.fixture(scope="module")
def known(world, samples):
    return {"cot_examples/dense": world.examples(samples), "kar_item/dense": world.knowledge(samples)}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return InContext(SIZE, width=5, count=2, alpha=1.0)


def made_shown(chosen, width=5, seed=1):
    """Examples 0, 1 and 2 with labels 1, 0 and 1."""
    random = torch.Generator().manual_seed(seed)
    vectors = torch.randn(3, width, generator=random)
    index = torch.tensor(chosen)
    return Shown(None, torch.tensor([1, 0, 1]), vectors, index, total=(index >= 0).sum())  # type: ignore[arg-type]


@pytest.fixture
def asked(world):
    """Two samples: examples 0 then 1; none then 2."""
    return world.states(rows=2, seed=5), world.states(rows=3, seed=6), made_shown([[0, 1], [-1, 2]])


def flat(states):
    rows = len(states.fields)
    return np.concatenate([states.fields.numpy().reshape(rows, -1), states.dense.numpy()], axis=1).astype(np.float64)


def with_vectors(shown, place, value):
    vectors = shown.vectors.clone()
    vectors[place] = value
    return replace(shown, vectors=vectors)


def mlp_of(x, w, name):
    hidden = np.maximum(x @ w[f"{name}.0.0.weight"].T + w[f"{name}.0.0.bias"], 0)
    return hidden @ w[f"{name}.1.weight"].T + w[f"{name}.1.bias"]


@pytest.mark.parametrize("count", [2, 4, 8])
def test_three_tokens_an_example_and_one_for_the_sample(world, count):
    model = InContext(SIZE, 5, count, 1.0)
    shown = made_shown([[place % 3 for place in range(count)]] * 6)

    tokens = model.tokens(world.states(rows=6), world.states(rows=3), shown)

    assert tokens.shape == (6, 3 * count + 1, WIDTH)


def test_tokens_are_fields_reasoning_and_label_of_each_example_in_order_then_the_sample(model, asked):
    query, examples, shown = asked
    with torch.no_grad():
        model.missing.vector.normal_()
    w = {name: value.detach().double().numpy() for name, value in model.state_dict().items()}

    tokens = model.tokens(query, examples, shown).detach().numpy()

    r, c = mlp_of(flat(examples), w, "sample"), mlp_of(shown.vectors.double().numpy(), w, "reasoning")
    label = w["label.weight"]
    missing = w["missing.vector"].reshape(3, WIDTH)
    last = mlp_of(flat(query), w, "sample")
    expected = [
        [r[0], c[0], label[1], r[1], c[1], label[0], last[0]],
        [*missing, r[2], c[2], label[1], last[1]],
    ]
    np.testing.assert_allclose(tokens, np.array(expected), atol=1e-5)


def test_what_is_added_is_the_decoder_s_last_state_and_the_loss_reads_the_fields_places(model, asked):
    query, examples, shown = asked
    everything = model.decoder(model.tokens(query, examples, shown), slice(None))

    added, loss = model.train()(query, examples, shown)

    torch.testing.assert_close(added, everything[:, 6])
    foretold = model.reconstruct(everything[:, [0, 3]]).detach().double().numpy()  # before each reasoning was seen
    wanted = shown.vectors.double().numpy()
    cosines = [
        f @ wanted[e] / np.linalg.norm(f) / np.linalg.norm(wanted[e])
        for f, e in ((foretold[0, 0], 0), (foretold[0, 1], 1), (foretold[1, 1], 2))  # a missing one counts nothing
    ]
    assert loss.item() == pytest.approx(1 - np.mean(cosines), abs=1e-5)


def test_when_not_training_the_same_is_added_and_there_is_no_loss(model, asked):
    added, _ = model.train()(*asked)

    alone, loss = model.eval()(*asked)

    torch.testing.assert_close(alone, added, atol=1e-6, rtol=1e-5)
    assert loss is None


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_alpha_is_the_weight_of_the_loss(model, asked, alpha):
    _, loss = model.train()(*asked)
    model.alpha = alpha

    assert model(*asked)[1].item() == pytest.approx(alpha * loss.item())


def test_a_reasoning_changes_what_comes_after_it_and_no_example_up_to_its_own(model, asked):
    query, examples, shown = asked
    for place, example in ((0, 0), (1, 1)):
        changed = with_vectors(shown, example, 7.0)

        before, after = (model.decoder(model.tokens(query, examples, s), slice(None))[0] for s in (shown, changed))

        until = 3 * place + 1  # r_1 .. r_k, with all between them
        assert torch.equal(after[:until], before[:until])
        assert not torch.isclose(after[until:], before[until:]).all(dim=1).any()
        assert not torch.isclose(model(query, examples, changed)[0][0], model(query, examples, shown)[0][0]).all()


def test_every_part_of_an_example_changes_what_is_added(model, asked):
    query, examples, shown = asked
    before = model(query, examples, shown)[0]

    others = [
        (query, replace(examples, fields=examples.fields + 1), shown),
        (query, replace(examples, dense=examples.dense + 1), shown),
        (query, examples, replace(shown, label=1 - shown.label)),
        (query, examples, replace(shown, chosen=shown.chosen.flip(1))),
        (replace(query, dense=query.dense + 1), examples, shown),
    ]

    for other in others:
        assert not torch.isclose(model(*other)[0], before).all(dim=1).any()


def loss_of(foretold, vectors, chosen=((0, 1),)):
    index = torch.tensor(chosen)
    shown = Shown(None, torch.zeros(2).long(), vectors, index, total=(index >= 0).sum())  # type: ignore[arg-type]
    return reconstruction_loss(foretold, shown).item()


def test_the_reconstruction_loss_is_0_for_parallel_2_for_opposite_and_1_for_orthogonal_vectors():
    vectors = torch.tensor([[3.0, 4.0], [-1.0, 2.0]])
    orthogonal = torch.tensor([[-4.0, 3.0], [2.0, 1.0]])

    assert loss_of(vectors[None] * 5, vectors) == pytest.approx(0, abs=1e-6)
    assert loss_of(vectors[None] * -0.1, vectors) == pytest.approx(2, abs=1e-6)
    assert loss_of(orthogonal[None], vectors) == pytest.approx(1, abs=1e-6)


def test_the_reconstruction_loss_is_a_mean_over_examples_that_are_shown():
    vectors, foretold = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[[1.0, 1.0], [2.0, 0.0]]])

    # cos 45 degrees and cos 90; then the second is missing
    assert loss_of(foretold, vectors) == pytest.approx(1 - 0.5**0.5 / 2, abs=1e-6)
    assert loss_of(foretold, vectors, ((0, -1),)) == pytest.approx(1 - 0.5**0.5, abs=1e-6)
    assert loss_of(foretold, vectors, ((-1, -1),)) == 1


def test_the_losses_of_two_uneven_shares_of_a_batch_sum_to_that_of_the_whole(samples, known):
    batches = Batches(samples, prepare_views(ARM, known, samples, 3))
    chosen = batches.take(torch.arange(len(samples.label))).shown[PLACE].chosen
    shown_each = (chosen >= 0).sum(1)
    of = torch.cat([torch.nonzero(shown_each < 4)[:15, 0], torch.nonzero(shown_each == 4)[:25, 0]])
    assert len(of) == 40
    random = torch.Generator().manual_seed(0)
    foretold = torch.randn(len(of), chosen.shape[1], 5, generator=random)
    parts = {"first": slice(0, 15), "second": slice(15, 40)}

    loss = 0.0
    for part in parts.values():
        shown = batches.take(of[part], of).shown[PLACE]
        loss += len(of[part]) / len(of) * reconstruction_loss(foretold[part], shown).item()

    shown = batches.take(of).shown[PLACE]
    places = shown.chosen.numpy()
    wanted, found = shown.vectors.numpy()[places], foretold.numpy()
    cosine = (wanted * found).sum(2) / np.linalg.norm(wanted, axis=2) / np.linalg.norm(found, axis=2)
    assert loss == pytest.approx(1 - cosine[places >= 0].mean(), abs=1e-6)


def gradients(model):
    return {n: p.grad.abs().max().item() if p.grad is not None else 0 for n, p in model.named_parameters()}


def test_the_loss_reaches_fields_decoder_and_embeddings_and_never_the_frozen_vectors(samples, known):
    views = prepare_views(ARM, known, samples, 3)
    batches = Batches(samples, views)
    model = make_model(ARM, views, batches, samples, CONFIG, 0)
    before = views[PLACE].vectors.copy()
    batch = batches.take(rows_of(samples, "train"))

    _, (loss,) = model.train().answer(batch)
    loss.backward()

    found = gradients(model)
    reached = {name for name, value in found.items() if value > 0}
    of = f"adapters.{PLACE}."
    assert {name for name in found if name.startswith((f"{of}sample", f"{of}reconstruct"))} <= reached
    assert {f"{of}decoder.layers.{layer}.attention.query.weight" for layer in (0, 1)} <= reached
    assert {"fields.user.weight", "fields.item.weight"} <= reached
    assert not {name for name in reached if name.startswith("backbone")}
    vectors = batch.shown[PLACE].vectors
    assert not vectors.requires_grad
    assert vectors.grad is None
    assert (views[PLACE].vectors == before).all()


def test_without_alpha_the_loss_is_that_of_the_clicks_alone(samples, known):
    none, some = (CONFIG.model_copy(update={"examples": ExamplesConfig(alpha=alpha)}) for alpha in (0, 1.0))
    views = prepare_views(ARM, known, samples, 3)
    batches = Batches(samples, views)
    rows = rows_of(samples, "train")

    logits, losses = make_model(ARM, views, batches, samples, none, 0).train().answer(batches.take(rows))

    assert losses == []
    with_loss, (own,) = make_model(ARM, views, batches, samples, some, 0).train().answer(batches.take(rows))
    torch.testing.assert_close(with_loss, logits, atol=1e-6, rtol=1e-5)
    assert own.item() > 0


def test_training_adds_the_loss_to_that_of_the_clicks(samples, known):
    # One step of AdamW from nothing moves by the sign of the gradient, which the reconstruction alone gives this head.
    views = prepare_views(ARM, known, samples, 3)
    batches = Batches(samples, views)
    one_step = CONFIG.model_copy(update={"batch_size": 10_000, "learning_rate": 0.01, "weight_decay": 0})
    model = make_model(ARM, views, batches, samples, one_step, 0)
    reconstruct = model.adapters[PLACE].reconstruct[1].bias
    before = reconstruct.detach().clone()
    _, (loss,) = model.train().answer(batches.take(rows_of(samples, "train")))
    (gradient,) = torch.autograd.grad(loss, [reconstruct])

    train(model, batches, samples, one_step, 0, silent)

    torch.testing.assert_close(reconstruct.detach(), before - 0.01 * gradient.sign(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("strict", [True, False])
def test_a_sample_s_own_label_changes_no_logit_of_its_own_training_rows_first_of_all(world, known, strict):
    # L0 and L4: the label is turned in the raw data and everything is built anew, statistics and examples included.
    dataset, rule = world.dataset(), ExampleRule(strict=strict)
    samples = world.samples_of(dataset)
    views = prepare_views(ARM, known, samples, 3, rule)
    model = make_model(ARM, views, Batches(samples, views), samples, CONFIG, 0).eval()
    before = model(Batches(samples, views).take(torch.arange(len(samples.item))))
    shown = views[PLACE].sample[np.maximum(views[PLACE].chosen, 0)]  # [N, K]
    lately = (views[PLACE].chosen >= 0) & (samples.item[shown] == samples.item[:, None])
    training = np.flatnonzero((samples.part == 0) & lately.any(axis=1))
    assert len(training) >= 12  # an example is about the very item: where its statistics would give the label away

    for row in training[:: max(len(training) // 12, 1)].tolist():
        turned = pl.Series(np.arange(len(samples.item)) == row)
        events = dataset.events.with_columns(
            pl.when(turned).then(pl.col("rating") + 2).otherwise("rating").cast(pl.Float32).alias("rating"),
            pl.when(turned).then(1 - pl.col("label")).otherwise("label").alias("label"),
        )
        anew = world.samples_of(replace(dataset, events=events))
        others = prepare_views(ARM, known, anew, 3, rule)
        assert anew.label[row] != samples.label[row]
        after = model(Batches(anew, others).take(torch.tensor([row])))

        assert (others[PLACE].chosen[row] == views[PLACE].chosen[row]).all()
        torch.testing.assert_close(after[0], before[row], atol=1e-6, rtol=0)


def test_examples_show_their_labels(samples, known):
    # The other way round: what is shown is really read, so that the test above can fail.
    views = prepare_views(ARM, known, samples, 3)
    model = make_model(ARM, views, Batches(samples, views), samples, CONFIG, 0).eval()
    turned = {PLACE: replace(views[PLACE], label=1 - views[PLACE].label)}
    rows = rows_of(samples, "test")

    before, after = (model(Batches(samples, read).take(rows)) for read in (views, turned))

    assert (before != after).float().mean() > 0.9


def test_examples_are_gathered_from_the_pool_with_their_own_reasoning_and_label(samples, known):
    examples = prepare([known["cot_examples/dense"], known["kar_item/dense"]], samples, STRICT)

    reasonings = known["cot_examples/dense"]
    for place in range(len(examples.sample)):
        sample = examples.sample[place]
        assert (examples.vectors[place] == reasonings.vectors[place]).all()
        assert reasonings.as_of[place] == samples.time[sample]
        assert examples.label[place] == samples.label[sample]
    assert examples.chosen.shape == (len(samples.item), 4)
    assert examples.facts["examples"] == len(reasonings.entities) == len(examples.sample)
    assert 0 < examples.facts["shortage_share"] < 1


def test_the_published_sizes():
    model = InContext(100, width=384, count=4, alpha=1.0)

    shapes = {name: tuple(p.shape) for name, p in model.named_parameters() if "decoder" not in name}
    assert shapes["sample.0.0.weight"] == (128, 100)
    assert shapes["sample.1.weight"] == (32, 128)
    assert shapes["reasoning.0.0.weight"] == (256, 384)
    assert shapes["reasoning.1.weight"] == (32, 256)
    assert shapes["label.weight"] == (2, 32)
    assert shapes["reconstruct.0.0.weight"] == (256, 32)
    assert shapes["reconstruct.1.weight"] == (384, 256)
    assert (len(model.decoder.layers), model.decoder.layers[0].attention.heads, model.width) == (2, 2, 32)
    assert model.decoder.layers[0].perceptron.out.weight.shape == (32, 64)


def test_features_are_all_fields_and_dense_values(world):
    states = world.states()

    assert torch.equal(features(states), torch.cat([states.fields.flatten(1), states.dense], dim=1))
    assert isinstance(states, States)
    assert head(3, 4, 2)(torch.randn(5, 3)).shape == (5, 2)
