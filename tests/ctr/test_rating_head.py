"""The second task: a loss over ratings beside that of clicks; without it nothing changes, and labels are read only there."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

from base.faults import WrongUse
from base.progress import silent
from ctr.arms.base import BASE
from ctr.batch import Batches
from ctr.compare import train_arm
from ctr.config import TrainConfig
from ctr.distributed import own_part
from ctr.kept import keep, open_kept, score_rows
from ctr.learners import make_learner, make_model
from ctr.model import ClickModel
from ctr.rating_head import RatingHead, make_rating_head, ratings_of
from ctr.train import train

CONFIG = TrainConfig(backbone="dcnv2", search=(), batch_size=64, embedding_dim=4, seeds=(3,))
BOTH = CONFIG.model_copy(update={"rating_weight": 0.5})


def test_the_loss_is_the_mean_squared_error_of_standardised_ratings_that_are_known(world):
    torch.manual_seed(0)
    states, head = world.states(rows=3), RatingHead(14, 0.5, mean=3.0, deviation=2.0)
    predicted = head(states).detach().double().numpy()

    loss = head.loss(states, torch.tensor([5.0, float("nan"), 1.0]))

    # in units of the deviation, over the two rows with a rating, times the weight
    expected = 0.5 * (((predicted[0] - 5) / 2) ** 2 + ((predicted[2] - 1) / 2) ** 2) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert head.loss(states, torch.full((3,), float("nan"))).item() == 0
    head.loss(states, torch.tensor([5.0, float("nan"), 1.0])).backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


def test_the_scale_is_that_of_the_training_rows(samples):
    rated = np.arange(len(samples.item)) % 3 > 0
    some = replace(samples, rated=rated, rating=np.where(samples.part == 0, samples.rating, 99).astype(np.float32))

    head = make_rating_head(some, 0.5, 14)

    chosen = samples.rating[rated & (samples.part == 0)].astype(np.float64)
    assert head.scale.tolist() == pytest.approx([chosen.mean(), chosen.std()], rel=1e-6)
    assert np.isnan(ratings_of(some)).tolist() == (~rated).tolist()
    assert ratings_of(replace(some, rated=None)) is some.rating


def test_a_weight_of_nothing_gives_the_same_clicks_bit_for_bit(samples):
    batches, rows = Batches(samples, {}), torch.arange(len(samples.item))
    plain = make_model(BASE, {}, batches, samples, CONFIG, 3)
    both = make_model(BASE, {}, batches, samples, BOTH, 3)
    assert plain.rating is None
    for name, value in plain.state_dict().items():
        assert torch.equal(both.state_dict()[name], value)  # the head is made last
    both.rating.weight = 0.0

    trained = [train(model, batches, samples, CONFIG, 3, silent).model for model in (plain, both)]

    assert torch.equal(*(model(batches.take(rows)) for model in trained))
    other = train(make_model(BASE, {}, batches, samples, BOTH, 3), batches, samples, BOTH, 3, silent).model
    assert not torch.equal(other(batches.take(rows)), trained[0](batches.take(rows)))


def test_the_head_learns_ratings(samples):
    config = BOTH.model_copy(update={"epochs": 15, "patience": 15, "rating_weight": 2.0, "learning_rate": 0.01})
    batches = Batches(samples, {})
    none = replace(samples, part=np.where(samples.part == 1, 0, samples.part).astype(np.int8))  # keep the last epoch
    model = train(make_model(BASE, {}, batches, none, config, 3), batches, none, config, 3, silent).model.eval()
    test = torch.from_numpy(np.flatnonzero(samples.part == 2))

    predicted = model.rating(model.fields(batches.take(test))).detach().numpy()

    rating = samples.rating[test]
    assert np.corrcoef(predicted, rating)[0, 1] > 0.3
    fitted = LinearRegression().fit(predicted[:, None], rating)
    assert 0.3 < fitted.coef_[0] < 2  # in the units of the log


def test_ratings_reach_the_shared_embeddings_and_scores_stay_those_of_clicks(samples):
    batches = Batches(samples, {})
    model = make_model(BASE, {}, batches, samples, BOTH, 0)
    batch, rating = batches.take(torch.arange(50)), torch.from_numpy(samples.rating[:50])

    logits, losses = model.answer(batch, rating)
    (gradient,) = torch.autograd.grad(losses[0], model.fields.item.weight)

    assert gradient.abs().max() > 0
    assert len(losses) == 1
    assert model.answer(batch)[1] == []
    assert torch.equal(model(batch), logits)
    click = ClickModel(model.fields, model.backbone, model.adapters)
    assert torch.equal(click(batch), logits)


def test_ratings_outside_the_training_rows_change_no_parameter(samples):
    # The histories show later rows' ratings to nobody, so only the second loss could read them.
    turned = replace(samples, rating=np.where(samples.part == 2, -7, samples.rating).astype(np.float32))
    rows = np.flatnonzero(samples.part == 0)

    one, other = (make_learner(BASE, {}, of, BOTH).train(of.part, BOTH, 3) for of in (samples, turned))

    np.testing.assert_array_equal(one.logits(rows), other.logits(rows))


@pytest.mark.parametrize("backbone", ["dcnv2", "blend"])
def test_a_model_of_two_tasks_is_kept_and_read(tmp_path, samples, backbone):
    config = BOTH.model_copy(update={"backbone": backbone})
    result = train_arm(BASE, {}, samples, config)
    keep(tmp_path / "base", BASE, result.best, samples, "release-1")
    test = np.flatnonzero(samples.part == 2)

    scores = score_rows(open_kept(tmp_path / "base"), {}, samples, test)

    np.testing.assert_allclose(scores, result.test[0], atol=1e-6)
    single = train_arm(BASE, {}, samples, config.model_copy(update={"rating_weight": 0.0}))
    assert result.parameters > single.parameters


def test_a_log_without_ratings_is_refused_in_words(world):
    unrated = world.samples(ratings=False)
    assert not unrated.rated.any()

    with pytest.raises(WrongUse, match=r"(?s)no training row has a rating.*events: rating:"):
        train_arm(BASE, {}, unrated, BOTH)

    assert train_arm(BASE, {}, unrated, CONFIG).test.shape[0] == 1


def test_trees_alone_have_no_second_task_and_say_so(samples):
    with pytest.raises(WrongUse, match=r"(?s)gbdt has no network.*backbone: blend"):
        make_learner(BASE, {}, samples, BOTH.model_copy(update={"backbone": "gbdt"}))


def test_a_loss_over_known_rows_alone_adds_up_to_that_of_the_batch(world):
    """Two shares with one and three known ratings: the weighted losses sum to the mean over all four."""
    torch.manual_seed(0)
    head, states = RatingHead(14, 0.5, mean=3.0, deviation=2.0), world.states(rows=6)
    rating = torch.tensor([5.0, 1.0, float("nan"), 2.0, float("nan"), 4.0])
    whole = head.loss(states, rating)

    parts = []
    for rank in range(2):
        own = torch.arange(6)[rank::2]
        mine = replace(states, fields=states.fields[own], dense=states.dense[own])
        parts.append(head.loss(mine, rating[own], own_part(~rating.isnan(), own)) * len(own) / 6)

    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-6)
    assert (~rating[::2].isnan()).sum() != (~rating[1::2].isnan()).sum()
