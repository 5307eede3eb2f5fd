"""Forgetting a user deletes the serving bundles that hold the user, and no others."""

import json

from app.forget_home import home_changes
from feature_store.needles import Needles
from feature_store.traces import Traces


def traces_of(user):
    return Traces(
        users=frozenset({user}),
        rows=frozenset(),
        of_others=0,
        answers=frozenset(),
        unnamed=0,
        kept_texts=frozenset(),
        personal=frozenset(),
        needles=Needles(),
    )


def test_a_bundle_with_a_row_of_the_user_goes_whole(tmp_path):
    for release, users in (("rel-000001", ["7", "8"]), ("rel-000002", ["8", "77"])):
        folder = tmp_path / "served" / "train-000001" / "knowledge" / release
        folder.mkdir(parents=True)
        (folder / "users.json").write_text(json.dumps(users))
        (folder / "model.onnx").write_bytes(b"")

    changes = home_changes(tmp_path, tmp_path / "store", traces_of("7"))

    assert [(one.file, one.what) for one in changes] == [
        ("served/train-000001/knowledge/rel-000001/", "is deleted; write it again: knowflow export-model")
    ]
    for change in (*changes, *changes):  # doing it twice does no harm
        change.run()
    assert [path.name for path in (tmp_path / "served" / "train-000001" / "knowledge").iterdir()] == ["rel-000002"]
