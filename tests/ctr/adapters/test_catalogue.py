"""All adapters, each in every backbone: found without registration, read by the model, and nothing when left out."""

import importlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import ctr.adapters
from base.plugins import find
from base.progress import silent
from ctr.adapters import concat
from ctr.adapters.catalogue import find_adapters
from ctr.adapters.protocol import ExampleAdapter, Missing, Plain, view_name
from ctr.arms.base import BASE
from ctr.backbones.protocol import BACKBONES, choose_backbone
from ctr.batch import Batches
from ctr.compare import prepare_views
from ctr.config import TrainConfig
from ctr.learners import make_model
from ctr.train import rows_of, train
from ctr.views import Examples
from llm_tasks.pipeline.arm import Arm, Use
from sources.tables import event_id

ADAPTERS = find_adapters()
FILES = {path.stem for path in Path(ctr.adapters.__file__).parent.glob("*.py")}
EVERY_ADAPTER = pytest.mark.parametrize("adapter", ADAPTERS)
NETWORKS = {name: one.network for name, one in find(BACKBONES).items() if one.network and not one.trees}
EVERY_BACKBONE = pytest.mark.parametrize("backbone", NETWORKS)
STRANGERS = {"event": [event_id("stranger", "i00"), event_id("u00", "stranger")]}
READ_CODES = ("prefix_ngrams",)
CONFIG = TrainConfig(backbone="dcnv2", search=(), batch_size=64, epochs=1, folds=3, embedding_dim=4)


def arm_of(adapter):
    """Item and user vectors for any adapter, or codes; one that reads items alone has nothing of the other."""
    if adapter in READ_CODES:
        return Arm("toy", "", (Use(adapter, codes=("toy",)),))
    shows = isinstance(ADAPTERS[adapter], ExampleAdapter)
    return Arm("toy", "", (Use(adapter, ("cot_examples/dense" if shows else "kar_user/dense", "kar_item/dense")),))


@pytest.fixture(scope="module")
def known(world, samples):
    vectors = {f"kar_{entity}/dense": world.knowledge(samples, entity) for entity in ("item", "user")}
    codes = replace(
        world.knowledge(samples, task="codes", encoder="toy"),
        vectors=np.random.default_rng(0).integers(0, 9, (len(vectors["kar_item/dense"].vectors), 5), dtype=np.int32),
    )
    return vectors | {"cot_examples/dense": world.examples(samples), "codes/toy": codes}


def coverages(views):
    """Of every view, and of the examples."""
    for read in views.values():
        yield from [read.coverage] if isinstance(read, Examples) else [view.coverage for view in read.values()]


def logits(model, samples, views, backbone="dcnv2"):
    batches = Batches(samples, views, choose_backbone(backbone).past)
    with torch.inference_mode():  # as a model is scored: with gradients, a history is summed in another order
        return model.eval()(batches.take(torch.arange(len(samples.item)))).numpy()


def trained(arm, views, samples, config, seed=0, plugins=()):
    batches = Batches(samples, views, choose_backbone(config.backbone).past)
    model = make_model(arm, views, batches, samples, config, seed, plugins)
    return train(model, batches, samples, config, seed, silent).model


def with_vectors(known, change):
    return {name: replace(one, vectors=change(one.vectors)) for name, one in known.items()}


def test_every_file_beside_the_seam_is_one_adapter_of_its_name():
    assert set(ADAPTERS) == FILES - {"__init__", "catalogue", "decoder", "protocol"}
    assert set(ADAPTERS) >= {"concat", "hybrid_experts", "in_context", "quality", "similarity", "taste"}
    assert all(adapter.name == name and len(adapter.about) > 10 for name, adapter in ADAPTERS.items())


@pytest.mark.parametrize("name", [*ADAPTERS, *find(BACKBONES)])
def test_every_docstring_says_formula_or_idea_and_relations(name):
    place = "adapters" if name in ADAPTERS else "backbones"
    doc = importlib.import_module(f"ctr.{place}.{name}").__doc__

    wanted = ("Consumes:", "Produces:", "Relations:") if name in ADAPTERS else ("Paper:", "Formula:", "Relations:")
    places = [doc.find(word) for word in wanted]
    assert all(0 < one < other for one, other in pairwise(places))
    assert "Paper:" in doc or "Idea:" in doc


@EVERY_ADAPTER
@EVERY_BACKBONE
def test_logits_change_when_the_knowledge_changes(backbone, adapter, samples, known):
    config, arm = CONFIG.model_copy(update={"backbone": backbone}), arm_of(adapter)
    views = prepare_views(arm, known, samples, config.folds)
    model = trained(arm, views, samples, config)

    changed = with_vectors(known, lambda v: np.where(np.arange(len(v))[:, None] % 2 == 0, -v[:, ::-1], v))
    after = logits(model, samples, prepare_views(arm, changed, samples, config.folds), backbone)

    before = logits(model, samples, views, backbone)
    assert np.isfinite(before).all()
    assert (np.abs(after - before) > 1e-6).mean() > 0.2


@EVERY_ADAPTER
def test_rows_about_strangers_change_nothing(adapter, samples, known):
    arm = arm_of(adapter)
    views = prepare_views(arm, known, samples, CONFIG.folds)
    model = make_model(arm, views, Batches(samples, views), samples, CONFIG, 0)

    more = {
        name: replace(
            one,
            entities=np.concatenate([STRANGERS.get(one.entity, ["stranger", "x"]), one.entities]),
            as_of=np.concatenate([one.as_of[:2], one.as_of]),
            vectors=np.concatenate([np.ones((2, 5), dtype=one.vectors.dtype), one.vectors]),
        )
        for name, one in known.items()
    }
    others = prepare_views(arm, more, samples, CONFIG.folds)

    np.testing.assert_allclose(logits(model, samples, others), logits(model, samples, views), atol=1e-6)


@EVERY_ADAPTER
@EVERY_BACKBONE
def test_where_nothing_is_known_a_learned_vector_stands_and_learns(backbone, adapter, samples, known):
    config, arm = CONFIG.model_copy(update={"backbone": backbone}), arm_of(adapter)
    views = prepare_views(arm, known, samples, config.folds)
    assert all(coverage < 1 for coverage in coverages(views))
    batches = Batches(samples, views, choose_backbone(backbone).past)
    model = make_model(arm, views, batches, samples, config, 0)

    model(batches.take(rows_of(samples, "train"))).sum().backward()

    learned = [module.vector for module in model.modules() if isinstance(module, Missing)]
    assert learned
    assert all(vector.grad is not None and vector.grad.abs().max() > 0 for vector in learned)


@EVERY_ADAPTER
def test_a_model_that_never_knows_anything_still_trains(adapter, samples, known):
    arm = arm_of(adapter)
    nothing = {name: replace(one, as_of=np.full(len(one.as_of), samples.time.max())) for name, one in known.items()}
    empty = {
        name: replace(one, entities=one.entities[:0], as_of=one.as_of[:0], vectors=one.vectors[:0])
        for name, one in known.items()
    }

    for unknown in (nothing, empty):
        views = prepare_views(arm, unknown, samples, CONFIG.folds)
        assert all(coverage == 0 for coverage in coverages(views))
        model = trained(arm, views, samples, CONFIG)
        assert np.isfinite(logits(model, samples, views)).all()
        learned = [module.vector for module in model.modules() if isinstance(module, Missing)]
        assert all(vector.abs().max() > 0 for vector in learned)


@EVERY_BACKBONE
def test_augmentation_off_is_the_plain_backbone_bit_for_bit_also_after_training(backbone, world, samples):
    config = CONFIG.model_copy(update={"backbone": backbone, "epochs": 2, "patience": 2})
    batches = Batches(samples, {}, choose_backbone(backbone).past)
    off = make_model(BASE, {}, batches, samples, config, seed=4)

    torch.manual_seed(4)  # the plain backbone, put together by hand
    fields = world.fields(samples)
    plain = NETWORKS[backbone](fields.count, fields.width, batches.dense_width)

    def plain_logits():
        with torch.inference_mode():
            return plain(fields(batches.take(torch.arange(len(samples.item))))).numpy()

    np.testing.assert_array_equal(logits(off, samples, {}, backbone), plain_logits())

    # A loop of five lines, with the same optimiser, order of rows and falling rate, keeping the last epoch.
    rows, label = rows_of(samples, "train"), torch.from_numpy(samples.label)
    optimizer = torch.optim.AdamW(
        [*fields.parameters(), *plain.parameters()], weight_decay=config.weight_decay, fused=True
    )
    order, steps = torch.Generator().manual_seed(4), 2 * -(-len(rows) // 64)
    by_epoch, step = [], 0
    for _ in range(2):
        for chosen in rows[torch.randperm(len(rows), generator=order)].split(64):
            optimizer.param_groups[0]["lr"] = config.learning_rate * (steps - step) / steps
            optimizer.zero_grad()
            scores = plain(fields(batches.take(chosen)))
            torch.nn.functional.binary_cross_entropy_with_logits(scores, label[chosen]).backward()
            optimizer.step()
            step += 1
        by_epoch.append(plain_logits())

    done = train(off, batches, samples, config, 4, silent)

    np.testing.assert_array_equal(logits(done.model, samples, {}, backbone), by_epoch[done.best_epoch])


@EVERY_ADAPTER
def test_fields_start_alike_with_and_without_an_adapter(adapter, samples, known):
    views = prepare_views(arm_of(adapter), known, samples, CONFIG.folds)

    plain = make_model(BASE, {}, Batches(samples, {}), samples, CONFIG, 3)
    augmented = make_model(arm_of(adapter), views, Batches(samples, views), samples, CONFIG, 3)

    for name, value in plain.fields.state_dict().items():
        assert torch.equal(augmented.fields.state_dict()[name], value)


def test_plain_joins_views_in_order_and_fills_what_is_missing():
    module = Plain({"a/x": 2, "b/y.v2": 1})
    with torch.no_grad():
        module.missing[0].vector.copy_(torch.tensor([7.0, 8.0]))
    there = torch.tensor([True, False])

    out = module({"b/y.v2": (torch.tensor([[5.0], [6.0]]), ~there), "a/x": (torch.tensor([[1.0, 2], [3, 4]]), there)})

    assert out.tolist() == [[1, 2, 0], [7, 8, 6]]
    assert module.width == 3


def test_concat_hands_over_the_vectors_as_they_are(world, samples, known):
    item, user = known["kar_item/dense"], known["kar_user/dense"]
    views = concat.prepare([item, user], samples, 3)
    batches = Batches(samples, {"0_concat": views})
    rows = torch.arange(200, 240)
    module = Plain({name: view.width for name, view in views.items()})

    out = module(batches.take(rows).views["0_concat"]).detach().numpy()

    assert list(views) == [view_name(item), view_name(user)] == ["kar_item/dense", "kar_user/dense"]
    for place, row in enumerate(rows.tolist()):
        for knowledge, entity, at in (
            (item, samples.item_ids[samples.item[row]], 0),
            (user, samples.user_ids[samples.user[row]], 5),
        ):
            made = [
                m
                for m in range(len(knowledge.entities))
                if knowledge.entities[m] == entity and knowledge.as_of[m] < samples.time[row]
            ]
            newest = max(made, key=lambda m: knowledge.as_of[m], default=None)
            expected = np.zeros(5) if newest is None else knowledge.vectors[newest]
            np.testing.assert_array_equal(out[place, at : at + 5], expected)


TOY = '''
"""A toy: one, where the item is known."""
import numpy as np
from ctr.adapters.protocol import Adapter, Plain
from ctr.views import View, knowledge_view

def prepare(knowledge, samples, folds):
    return {"toy": View(np.ones((len(v.vectors), 1), dtype=np.float32), knowledge_view(v, samples).rows) for v in knowledge}

ADAPTER = Adapter("zz_toy", prepare, Plain, "one where the item is known")
'''


def test_a_new_file_is_an_adapter_without_any_edit_and_enters_a_model(tmp_path, samples, known):
    (tmp_path / "zz_toy.py").write_text(TOY)

    assert set(find_adapters([tmp_path])) == {*ADAPTERS, "zz_toy"}
    assert set(find_adapters()) == set(ADAPTERS)
    arm = Arm("toy", "", (Use("zz_toy", ("kar_item/dense",)), Use("concat", ("kar_item/dense",))))
    views = prepare_views(arm, known, samples, 3, plugins=[tmp_path])
    model = trained(arm, views, samples, CONFIG, plugins=[tmp_path])
    assert list(views) == ["0_zz_toy", "1_concat"]
    assert np.isfinite(logits(model, samples, views)).all()
    off = {**views, "0_zz_toy": {"toy": replace(views["0_zz_toy"]["toy"], rows=np.full(len(samples.item), -1))}}
    assert (logits(model, samples, off) != logits(model, samples, views)).any()
