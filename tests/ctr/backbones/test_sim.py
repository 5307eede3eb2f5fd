"""SIM: attention over the found events equals a loop over heads and events; what is masked counts nothing."""

from dataclasses import replace

import numpy as np
import torch

from ctr.backbones.sim import SIM

FIELDS, WIDTH, DENSE, EVENTS = 4, 3, 2, 5


def model_of(seed=0):
    torch.manual_seed(seed)
    return SIM(FIELDS, WIDTH, DENSE, heads=2, ages=2, size=3, hidden=(6, 3))


def test_sim_equals_the_paper_s_formula(world, numbers):
    states, model = world.states(), model_of()
    w, past = numbers.arrays(model), states.past

    found = model(states)

    interests = []
    for row in range(len(states.fields)):
        events = []
        for event in np.flatnonzero(past.mask[row].numpy()):
            age = int(np.floor(np.log2(max(past.age[row, event].item(), 1))))
            parts = [past.events[row, event].double().numpy(), w["found.age.weight"][age]]
            events.append(np.concatenate([*parts, [past.rating[row, event].item()]]))
        heads = []
        for head in range(2):
            at = slice(3 * head, 3 * head + 3)
            wanted = w["found.target.weight"][at] @ states.target[row].double().numpy()
            score = np.exp([(w["found.event.weight"][at] @ event) @ wanted for event in events])
            heads.append(sum((s / score.sum() * z for s, z in zip(score, events, strict=True)), np.zeros(WIDTH + 3)))
        interests.append(np.concatenate(heads))
    flat = states.fields.flatten(1).double().numpy()
    start = np.concatenate([flat, np.array(interests), states.dense.double().numpy()], axis=1)
    deep = numbers.dense_layers(start, w, "deep", 2)
    numbers.check_close(found, deep @ w["out.weight"][0] + w["out.bias"][0])
    assert not interests[0].any()  # row 0 has no past


def test_a_batch_in_which_nobody_has_a_past_scores_as_each_row_would(world):
    states, model = world.states(), model_of()
    none = replace(states.past, mask=torch.zeros_like(states.past.mask))
    empty = replace(none, **{name: getattr(none, name)[:, :0] for name in ("events", "rating", "age", "mask")})

    torch.testing.assert_close(model(replace(states, past=empty)), model(replace(states, past=none)))


def test_an_event_like_the_target_gets_more_weight(world):
    states, model = world.states(rows=1), model_of()
    with torch.no_grad():
        for layer in (model.found.event, model.found.target):  # compare by the first three columns, the embedding
            layer.weight.zero_()
            layer.weight[:3, :3] = torch.eye(3)
    past = replace(states.past, mask=torch.ones(1, EVENTS), age=torch.zeros(1, EVENTS, dtype=torch.int64))
    past = replace(past, events=torch.zeros_like(past.events), rating=torch.arange(EVENTS)[None].float())
    past.events[0, 3] = 10 * states.target[0]

    first_head = model.found(states.target, past)[0, : WIDTH + 3]

    assert first_head[-1].item() > 2.9  # the rating of event 3, where the uniform mean would be 2
