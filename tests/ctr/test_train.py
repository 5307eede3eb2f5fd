"""Training: the same numbers from a seed, the best epoch by validation AUC, a rate that falls to nothing, no test rows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from base.faults import CheckFailed
from base.progress import silent
from ctr.arms.base import BASE
from ctr.batch import Batches
from ctr.config import TrainConfig
from ctr.learners import make_model
from ctr.train import rate_at, rows_of, score, train

CONFIG = TrainConfig(backbone="dcnv2", search=(), batch_size=64, epochs=1, embedding_dim=4)
OVERFITTING = CONFIG.model_copy(update={"epochs": 12, "patience": 2, "learning_rate": 0.02})


def fit(samples, config=CONFIG, seed=0, progress=silent):
    batches = Batches(samples, {})
    model = make_model(BASE, {}, batches, samples, config, seed)
    return train(model, batches, samples, config, seed, progress), batches


def numbers(trained):
    return {name: value.clone() for name, value in trained.model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_one_seed_gives_the_same_numbers_bit_for_bit_and_another_seed_others(samples):
    first, second, other = (fit(samples, OVERFITTING, seed)[0] for seed in (1, 1, 2))

    assert same(numbers(first), numbers(second))
    assert first.validation_auc == second.validation_auc
    assert not same(numbers(first), numbers(other))


def test_the_seed_also_decides_the_order_of_the_rows(samples):
    batches = Batches(samples, {})
    runs = [
        train(make_model(BASE, {}, batches, samples, CONFIG, 0), batches, samples, CONFIG, seed, silent)
        for seed in (0, 1)
    ]

    assert not same(*(numbers(run) for run in runs))


def test_the_epoch_of_the_best_validation_auc_is_kept_and_training_stops_after_patience(samples):
    told = []

    trained, batches = fit(samples, OVERFITTING, progress=lambda *step: told.append(step))

    aucs = trained.validation_auc
    assert 0 < trained.best_epoch == int(np.argmax(aucs))
    assert len(aucs) == trained.best_epoch + 1 + OVERFITTING.patience < OVERFITTING.epochs
    rows = rows_of(samples, "validation")
    assert roc_auc_score(samples.label[rows], score(trained.model, batches, rows)) == max(aucs)
    assert told == [("epochs", epoch + 1, 12) for epoch in range(len(aucs))]


def test_every_epoch_s_auc_is_that_of_scikit_learn_and_patience_lets_training_go_on(samples):
    patient = OVERFITTING.model_copy(update={"patience": 12})

    trained, _ = fit(samples, patient)

    assert len(trained.validation_auc) == 12
    hasty, _ = fit(samples, OVERFITTING)
    assert trained.validation_auc[: len(hasty.validation_auc)] == hasty.validation_auc


def test_the_first_of_equally_good_epochs_is_kept(samples):
    # With one class in validation every epoch counts as good as any other.
    flat = replace(samples, label=np.where(samples.part == 1, 1, samples.label).astype(np.float32))
    config = CONFIG.model_copy(update={"epochs": 3, "patience": 3})
    batches = Batches(flat, {})
    rows, label = rows_of(flat, "train"), torch.from_numpy(flat.label)
    model = make_model(BASE, {}, batches, flat, config, 0)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=config.weight_decay, fused=True)
    steps = -(-len(rows) // config.batch_size)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    for step, chosen in enumerate(rows[order].split(config.batch_size)):  # one epoch of three, by hand
        optimizer.param_groups[0]["lr"] = config.learning_rate * (3 * steps - step) / (3 * steps)
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(model(batches.take(chosen)), label[chosen]).backward()
        optimizer.step()

    trained, _ = fit(flat, config)

    assert trained.validation_auc == (0.5, 0.5, 0.5)
    assert trained.best_epoch == 0
    assert same(numbers(trained), model.state_dict())


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_rate_falls_linearly_to_about_nothing_at_the_last_step(samples, epochs):
    config = CONFIG.model_copy(update={"epochs": epochs, "patience": epochs, "learning_rate": 0.02})

    rates = fit(samples, config)[0].learning_rates

    steps = epochs * -(-int((samples.part == 0).sum()) // config.batch_size)
    assert len(rates) == steps
    assert rates[0] == 0.02
    assert rates[-1] == pytest.approx(0.02 / steps)
    np.testing.assert_allclose(np.diff(rates), -0.02 / steps, atol=1e-12)


def test_the_rate_of_a_step_by_hand():
    assert [rate_at(step, 4, 0.8) for step in range(4)] == pytest.approx([0.8, 0.6, 0.4, 0.2])


def test_the_first_step_is_adamw_s(samples):
    # After one step from nothing, AdamW's moments are g and g^2: p - lr * wd * p - lr * g / (|g| + 1e-8).
    config = CONFIG.model_copy(update={"batch_size": 10_000, "learning_rate": 0.01, "weight_decay": 0.3})
    batches, rows = Batches(samples, {}), rows_of(samples, "train")
    model = make_model(BASE, {}, batches, samples, config, 0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    logits = model(batches.take(rows)).double()
    label = torch.from_numpy(samples.label)[rows].double()
    loss = torch.log(1 + torch.exp(torch.where(label == 1, -logits, logits))).mean()  # -log p of what happened
    gradients = dict(zip(before, torch.autograd.grad(loss, list(model.parameters())), strict=True))

    train(model, batches, samples, config, 0, silent)

    for name, parameter in model.named_parameters():
        g, p = gradients[name], before[name]
        expected = p - 0.01 * 0.3 * p - 0.01 * g / (g.abs() + 1e-8)
        clear = (g.abs() > 1e-6) | (g == 0)  # below that, rounding decides the sign
        torch.testing.assert_close(parameter.detach()[clear], expected[clear], atol=2e-5, rtol=0)
        assert clear.float().mean() > 0.5


def test_test_rows_change_nothing_whatever_they_say(samples):
    test = samples.part == 2
    changed = replace(
        samples,
        label=np.where(test, 1 - samples.label, samples.label),
        rating=np.where(test, 99, samples.rating).astype(np.float32),
        statistics=np.where(test[:, None], -samples.statistics, samples.statistics),
    )

    one, other = (fit(s, OVERFITTING)[0] for s in (samples, changed))

    assert same(numbers(one), numbers(other))
    assert one.validation_auc == other.validation_auc


def test_validation_labels_decide_the_epoch_but_train_nothing(samples):
    changed = replace(samples, label=np.where(samples.part == 1, 1 - samples.label, samples.label))

    one, other = (fit(s)[0] for s in (samples, changed))

    assert same(numbers(one), numbers(other))
    assert other.validation_auc[0] == pytest.approx(1 - one.validation_auc[0])


@pytest.mark.parametrize("label", [0, 1])
def test_a_training_set_with_one_class_trains(samples, label):
    single = replace(samples, label=np.full_like(samples.label, label))

    trained, batches = fit(single, CONFIG.model_copy(update={"epochs": 2, "patience": 2}))

    probability = score(trained.model, batches, rows_of(single, "test"))
    assert np.isfinite(probability).all()
    assert (np.abs(probability - label) < 0.5).all()


def test_without_validation_rows_all_epochs_are_trained_and_the_last_is_kept(samples):
    none = replace(samples, part=np.where(samples.part == 1, 0, samples.part).astype(np.int8))
    two = CONFIG.model_copy(update={"epochs": 2, "patience": 1})

    trained, batches = fit(none, two)

    assert trained.validation_auc == ()
    assert len(trained.learning_rates) == 2 * -(-len(rows_of(none, "train")) // two.batch_size)
    torch.manual_seed(0)
    same, _ = fit(none, two.model_copy(update={"patience": 2}))
    rows = rows_of(none, "test")
    np.testing.assert_array_equal(score(trained.model, batches, rows), score(same.model, batches, rows))
    shorter, _ = fit(none, two.model_copy(update={"epochs": 1}))
    assert (score(shorter.model, batches, rows) != score(same.model, batches, rows)).any()


def test_a_model_learns_the_made_world_better_than_chance(samples):
    trained, batches = fit(samples, CONFIG.model_copy(update={"epochs": 5, "patience": 2}))

    rows = rows_of(samples, "test")
    assert roc_auc_score(samples.label[rows], score(trained.model, batches, rows)) > 0.6


def test_large_tables_learn_by_the_rows_of_a_batch_alone(samples):
    config = CONFIG.model_copy(update={"epochs": 5, "patience": 2, "sparse_from": 30})  # 40 users, 25 items

    first, second = (fit(samples, config) for _ in range(2))

    assert same(numbers(first[0]), numbers(second[0]))
    assert [len(table) for table in first[0].model.fields.sparse_tables] == [40]
    rows = rows_of(samples, "test")
    assert roc_auc_score(samples.label[rows], score(first[0].model, first[1], rows)) > 0.6
    start = make_model(BASE, {}, first[1], samples, config, 0)
    alone = replace(samples, part=np.where(samples.user == 3, 0, 2).astype(np.int8))
    trained = train(start, Batches(alone, {}), alone, config, 0, silent)
    fresh = make_model(BASE, {}, first[1], samples, config, 0).fields.user.weight
    changed = (trained.model.fields.user.weight != fresh).any(dim=1)
    assert changed.nonzero().flatten().tolist() == [3]


def test_scores_are_probabilities_in_the_order_of_the_rows(samples):
    trained, batches = fit(samples)
    rows = torch.tensor([5, 3, 700])

    found = score(trained.model, batches, rows)

    trained.model.eval()
    with torch.no_grad():
        logits = [trained.model(batches.take(row[None])).double().item() for row in rows]
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-np.array(logits))), atol=1e-6)
    assert found.dtype == np.float32
    assert score(trained.model, batches, rows[:0]).shape == (0,)


def test_training_that_runs_off_says_so_and_what_to_lower(samples):
    with pytest.raises(CheckFailed, match=r"infinity in epoch 1\n  lower train.learning_rate, which is 1e\+30"):
        fit(samples, CONFIG.model_copy(update={"learning_rate": 1e30}))


def test_speed_is_counted_over_the_epochs_that_ran(samples):
    trained, _ = fit(samples)

    assert 100 < trained.samples_per_cpu_second < 1e8
