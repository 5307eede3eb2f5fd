"""What an arm needs: by hand from what it reads, and by what was measured."""

from dataclasses import asdict

import pytest

from app.arm_memory import AT_ONCE, START, Peak, earlier_peaks, guess_bytes, need_bytes
from app.train_runs import new_run


def test_a_guess_is_made_of_the_inputs_and_of_what_is_known_about_samples():
    assert guess_bytes(inputs=1_000, samples=100, history=30, vectors=[]) == START + 2_000
    # 100 samples x max(28 x 30, 8 x 64) + 12 bytes x 50 rows x 64
    assert guess_bytes(1_000, 100, 30, [(50, 64)]) == START + 2_000 + 84_000 + 38_400
    # 100 samples x max(28 x 30, 8 x (64 + 384)) + 12 bytes x (50 x 64 + 50 x 384)
    assert guess_bytes(1_000, 100, 30, [(50, 64), (50, 384)]) == START + 2_000 + 358_400 + 268_800


def test_an_arm_needs_a_tenth_more_than_it_took_grown_as_its_guess_has_grown():
    earlier = {"kar": Peak(guessed=1_000, measured=600)}
    ended = {"base": Peak(500, 400), "facts": Peak(1_000, 1_500)}

    assert need_bytes("kar", 1_000, earlier, {}) == 660
    assert need_bytes("kar", 2_000, earlier, ended) == 1_320
    assert need_bytes("other", 2_000, earlier, ended) == 3_300  # 1.1 x 2,000 x max(0.8, 1.5)
    assert need_bytes("other", 2_000, earlier, {}) == 2_000


def test_an_arm_that_has_failed_may_have_needed_more_than_it_took():
    assert need_bytes("kar", 1_000, {"kar": Peak(1_000, 300, whole=False)}, {}) == 1_100
    assert need_bytes("kar", 1_000, {"kar": Peak(1_000, 2_000, whole=False)}, {}) == 2_200


def test_the_newest_of_the_last_runs_that_trained_an_arm_counts(tmp_path):
    runs = [new_run(tmp_path) for _ in range(8)]
    for number, run in enumerate(runs):
        run.write("run", {"train": {"backbone": "lr" if number == 4 else "blend"}})
    for number, names in ((1, ["old"]), (3, ["kar", "base"]), (4, ["kar", "of lr"]), (5, ["kar"]), (7, ["later"])):
        peaks = {name: asdict(Peak(100, 100 + number)) for name in names}
        runs[number].write(AT_ONCE, {"peaks": peaks})

    found = earlier_peaks(tmp_path, runs[6])

    assert found == {"kar": Peak(100, 105), "base": Peak(100, 103), "old": Peak(100, 101)}
    assert earlier_peaks(tmp_path, runs[0]) == {}


@pytest.mark.parametrize("damage", ["{", "[]", '{"peaks": {"kar": {}}}', '{"peaks": {"kar": []}}'])
def test_a_damaged_note_of_an_earlier_run_stops_no_training(tmp_path, damage, caplog):
    runs = [new_run(tmp_path) for _ in range(3)]
    for run in runs:
        run.write("run", {"train": {"backbone": "blend"}})
        run.write(AT_ONCE, {"peaks": {"kar": {"guessed": 100, "measured": 90}}})
    (runs[1].folder / f"{AT_ONCE}.json").write_text(damage, encoding="utf-8")

    assert earlier_peaks(tmp_path, runs[2]) == {"kar": Peak(100, 90)}
    assert f"{runs[1].name}: what its arms took cannot be read" in caplog.text
