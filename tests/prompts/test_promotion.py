"""Promotions: which statuses change, where, in which order, and that a kill leaves something that can be finished."""

import json
import shutil
from pathlib import Path

import pytest

from base.faults import WrongUse
from prompts.library import Library, find_prompts, live_prompt
from prompts.promotion import (
    HISTORY,
    Act,
    carry_out,
    finish,
    newest_live,
    plan_promotion,
    plan_retirement,
    read_figures,
    read_history,
)

TEXT = "---\ntask: toy\nversion: {0}\nstatus: {1}  # {1}\nschema: {{type: text}}\nsampling: {{max_tokens: 9}}\n---\n# user\nSay {0}:\n{{{{ word }}}}\n"


def write(folder, *statuses, begin=1):
    """Write a version of the toy prompt for each status."""
    folder.mkdir(exist_ok=True)
    for version, status in enumerate(statuses, begin):
        (folder / f"toy.v{version}.md").write_text(TEXT.format(version, status))
    return folder


@pytest.fixture
def place(tmp_path):
    """A plug-in with live versions 1 and 2, and the team's folder with live version 3 and a draft 4."""
    return Library((write(tmp_path / "plugin", "live", "live"),), write(tmp_path / "own", "live", "draft", begin=3))


def act(what="promote", version=1, figures=None):
    return Act(what, "toy", version, 3, version, "2026-11-30T10:00:00+00:00", "Zoë", "because 'it' is better", figures)


def promote(library, version):
    plan_promotion("toy", version, library, library.own)
    carry_out(act(version=version), library, library.own)


def statuses(library):
    return {number: one.front.status for number, one in find_prompts(library)["toy"].items()}


def test_a_promoted_version_runs_and_the_team_s_older_live_ones_are_retired(place):
    promote(place, 4)

    assert statuses(place) == {1: "live", 2: "live", 3: "retired", 4: "live"}
    assert live_prompt("toy", None, place).name == "toy.v4"
    assert sorted(one.name for one in place.own.iterdir()) == [HISTORY, "toy.v3.md", "toy.v4.md"]


def test_to_go_back_newer_live_versions_are_retired_by_copies_that_shadow_them(place):
    shipped = {path: path.read_bytes() for path in place.plugins[0].iterdir()}

    promote(place, 1)

    assert statuses(place) == {1: "live", 2: "retired", 3: "retired", 4: "draft"}
    assert newest_live("toy", place) == 1
    assert (place.own / "toy.v2.md").read_text() == TEXT.format(2, "live").replace("status: live", "status: retired")
    assert {path: path.read_bytes() for path in place.plugins[0].iterdir()} == shipped
    assert not (place.own / "toy.v1.md").exists()  # it was live already


def test_a_version_that_lies_elsewhere_is_copied_and_nothing_but_its_status_changes(tmp_path):
    library = Library((write(tmp_path / "plugin", "live", "trial"),), write(tmp_path / "own"))

    changes = plan_promotion("toy", 2, library, library.own)
    promote(library, 2)

    assert [(one.prompt.name, one.status, one.path, one.copies) for one in changes] == [
        ("toy.v2", "live", library.own / "toy.v2.md", True)
    ]
    assert (library.own / "toy.v2.md").read_text() == TEXT.format(2, "trial").replace("status: trial", "status: live")


def test_the_first_act_makes_the_team_s_folder(tmp_path):
    own = tmp_path / "own"
    library = Library((write(tmp_path / "plugin", "live", "draft"),), None)

    plan_promotion("toy", 2, library, own)
    carry_out(act(version=2), library, own)

    assert statuses(Library(library.plugins, own)) == {1: "live", 2: "live"}


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (3, r"toy\.v3 is live already, and the newest that is\n  see: knowflow prompts history toy"),
        (9, r"toy\.v9\.md: is not under prompts/"),
    ],
)
def test_a_promotion_that_makes_no_sense_is_refused(place, version, said):
    with pytest.raises(WrongUse, match=said):
        plan_promotion("toy", version, place, place.own)


def test_a_file_that_cannot_be_edited_stops_an_act_before_it_begins(place):
    file = place.own / "toy.v3.md"
    file.write_text(file.read_text().replace("status: live", '"status": live'))

    with pytest.raises(WrongUse, match=r"toy\.v3\.md: its front matter has no line `status: "):
        plan_promotion("toy", 4, place, place.own)


def test_a_retired_version_runs_no_more_and_the_only_live_one_cannot_be_retired(place):
    carry_out(act("retire", 3), place, place.own)

    assert statuses(place) == {1: "live", 2: "live", 3: "retired", 4: "draft"}
    with pytest.raises(WrongUse, match=r"toy\.v3 is retired already"):
        plan_retirement("toy", 3, place, place.own)
    carry_out(act("retire", 2), place, place.own)
    with pytest.raises(WrongUse, match=r"toy\.v1 is the only live version.*\n  promote another first"):
        plan_retirement("toy", 1, place, place.own)
    assert plan_retirement("toy", 4, place, place.own)[0].status == "retired"


def test_every_act_is_a_line_of_the_history(place):
    carry_out(act(version=4, figures={"probe": [0.3, 0.4]}), place, place.own)
    carry_out(act("retire", 2), place, place.own)

    lines = [json.loads(line) for line in (place.own / HISTORY).read_text(encoding="utf-8").splitlines()]
    assert [(one["act"], one["version"], one["who"]) for one in lines] == [("promote", 4, "Zoë"), ("retire", 2, "Zoë")]
    assert lines[0]["figures"] == {"probe": [0.3, 0.4]}
    assert read_history(place.own) == [act(version=4, figures={"probe": [0.3, 0.4]}), act("retire", 2)]
    assert read_history(place.own, "other") == []


def test_a_history_that_was_damaged_names_the_line(place):
    promote(place, 4)
    with (place.own / HISTORY).open("a") as file:
        file.write("<<<<<<< ours\n")

    with pytest.raises(WrongUse, match=r"history\.jsonl: line 2 is no act"):
        read_history(place.own)


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("version", [1, 4])
def test_killed_before_any_of_its_writes_an_act_is_finished_by_the_next_call(tmp_path, monkeypatch, version):
    replaced, removed = Path.replace, Path.unlink

    def fresh(name):
        folder = tmp_path / name
        folder.mkdir()
        return Library((write(folder / "plugin", "live", "live"),), write(folder / "own", "live", "draft", begin=3))

    def dying(after):
        """Let this many files take their place, or go, and no more."""
        left = iter([True] * after)

        def counted(call):
            def step(self, *rest, **more):
                if next(left, False):
                    return call(self, *rest, **more)
                raise Killed

            return step

        monkeypatch.setattr(Path, "replace", counted(replaced))
        monkeypatch.setattr(Path, "unlink", counted(removed))

    whole = fresh("whole")
    promote(whole, version)
    kills = 0
    while True:
        library = fresh(f"killed-{kills}")
        dying(kills)
        try:
            promote(library, version)
        except Killed:
            kills += 1
        else:
            monkeypatch.undo()
            break
        monkeypatch.undo()
        assert newest_live("toy", library) in {3, version}
        finish(library, library.own)
        done = kills > 1  # before the first write nothing was begun
        assert statuses(library) == (statuses(whole) if done else statuses(fresh(f"untouched-{kills}")))
        assert read_history(library.own) == ([act(version=version)] if done else [])
        shutil.rmtree(library.own.parent)
    assert kills == {1: 5, 4: 5}[version]  # begun, two files, history, and begun removed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting"),
        ("3", "holds a single value"),
        (None, "No such file"),
        ('{"rows": [{"user": "7"}]}', "holds rows, which may say something of a user"),
    ],
)
def test_figures_that_cannot_be_read_are_refused(tmp_path, text, said):
    path = tmp_path / "figures.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(WrongUse, match=said):
        read_figures(path)
