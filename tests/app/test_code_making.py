"""Making codes: of released vectors, by a maker of a team's own, dated by what is behind them, read by arms and models."""

import json

import numpy as np
import pytest

from app.code_making import make_codes
from app.config import load_config
from app.samples import arms_in, read_vectors_of
from base.faults import WrongUse
from base.plugins import UnknownPlugin
from base.progress import silent
from feature_store.codes import released_codes
from feature_store.releases import NoRelease, get_release

MAKER = '''
"""A toy: codes by the signs of the first numbers."""
import numpy as np
from pydantic import Field
from base.frozen import Frozen
from llm_tasks.pipeline.arm import Arm, Use
from recommenders.code_maker import Coded, CodeMaker, tell_apart


class Signs(Frozen):
    levels: int = Field(default=2, ge=1)
    """Codes a row."""


def make(vectors, options, seed, progress):
    codes = (vectors[:, : options.levels] > 0).astype(np.int32)
    return Coded(tell_apart(codes), {"mean": codes.mean(axis=0).tolist()})


SIGNS = CodeMaker("signs", "signs of the first numbers", Signs, make)
ARM = Arm("by-signs", "A toy arm over these codes.", (Use("prefix_ngrams", codes=("signs",)),))
'''


@pytest.fixture
def team(shop, tmp_path):
    """A shop with a released technique and the team's maker."""
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "signs.py").write_text(MAKER)
    shop.configure(plugins=[str(folder)])
    shop.release("item_facts")
    return shop


def test_a_team_s_maker_makes_codes_that_an_arm_of_its_own_reads(team):
    config = load_config(team.config)

    made = make_codes(config, "signs", "item_facts/lexical", silent, {"levels": 3})

    store = team.place().store
    release = get_release(store)
    (arm,) = arms_in(config, release, ["by-signs"])
    read = read_vectors_of(config, release, [arm])["codes/signs"]
    codes = released_codes(store, release, "signs")
    assert (made["release"], made["rows"], made["levels"], made["seen_until"]) == (release.name, 12, 4, None)
    assert len(made["figures"]["mean"]) == 3
    assert sorted(map(str, read.entities)) == sorted(f"i{place}" for place in range(12))
    assert read.vectors.dtype == np.int32
    assert len(np.unique(read.vectors, axis=0)) == 12
    assert codes.made.made_from == {"item_facts/lexical": release.facts["vectors"]["item_facts/lexical"]["fingerprint"]}


def test_the_same_codes_are_published_once_and_other_options_are_another_set(team):
    config = load_config(team.config)
    first = make_codes(config, "signs", "item_facts/lexical", silent)["release"]

    assert make_codes(config, "signs", "item_facts/lexical", silent)["release"] == first
    assert make_codes(config, "signs", "item_facts/lexical", silent, {"levels": 1})["release"] != first
    assert released_codes(team.place().store, get_release(team.place().store), "signs").codes.shape == (12, 2)


def test_what_saw_events_is_not_known_before_them(team):
    team.release("kar_item", "kar_user")
    config = load_config(team.config)

    made = make_codes(config, "signs", "kar_user/lexical", silent)

    newest = max(time for _, _, time, _ in team.events())
    codes = released_codes(team.place().store, get_release(team.place().store), "signs")
    assert made["seen_until"] is not None
    assert made["seen_until"][:10] == newest.isoformat()[:10]
    assert (codes.knowledge().as_of >= np.datetime64(made["seen_until"][:19])).all()


def test_faults_in_words(team):
    config = load_config(team.config)

    with pytest.raises(UnknownPlugin, match=r"no such maker of codes: nobody\n  there are: .*signs"):
        make_codes(config, "nobody", "item_facts/lexical", silent)
    with pytest.raises(WrongUse, match=r"signs.levels: .*\n  options of signs: levels"):
        make_codes(config, "signs", "item_facts/lexical", silent, {"levels": 0})
    with pytest.raises(WrongUse, match="should be technique/encoder"):
        make_codes(config, "signs", "lexical", silent)
    with pytest.raises(NoRelease):
        read_vectors_of(
            config, get_release(team.place().store), arms_in(config, get_release(team.place().store), ["by-signs"])
        )


def test_the_command_prints_figures_or_json(team, plain_knowflow):
    config = ["--config", str(team.config), "--vectors", "item_facts/lexical"]

    shown = plain_knowflow.run("codes", "signs", *config, "--set", "levels=1")
    told = plain_knowflow.run("codes", "signs", *config, "--set", "levels=1", "--json")
    wrong = plain_knowflow.run("codes", "signs", *config, "--set", "levels")

    assert shown.returncode == told.returncode == 0, shown.stderr + told.stderr
    assert shown.stdout.startswith("signs: 2 codes for each of 12 rows of item_facts/lexical\n  mean ")
    assert json.loads(told.stdout)["release"] == "rel-000002"
    assert (wrong.returncode, wrong.stderr.splitlines()[0]) == (2, "--set signs.levels: should be MODEL.OPTION=VALUE")
