"""Where KnowFlow starts: a package of the same name as one of its rooms is named, and never used in its place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import knowflow_start
from knowflow_start import ROOMS, check_rooms

CHECK = "import knowflow_start; knowflow_start.main()"


@pytest.fixture
def installed(tmp_path):
    """A folder as pip leaves it: the start, all rooms, and the list of what was installed; its command says `ours`."""
    site = tmp_path / "site"
    for room in ROOMS:
        (site / room).mkdir(parents=True)
        (site / room / "__init__.py").write_text("")
    (site / "cli" / "main.py").write_text("def main(): print('ours')\n")
    (site / "knowflow_start.py").write_bytes(Path(knowflow_start.__file__).read_bytes())
    distribution(site, "knowflow", sorted(str(path.relative_to(site)) for path in site.rglob("*.py")))
    return site


def distribution(site, name, files):
    folder = site / f"{name}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (folder / "RECORD").write_text("".join(f"{path},sha256=0,{(site / path).stat().st_size}\n" for path in files))


def start(*folders):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
    command = [sys.executable, "-c", CHECK]
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)


def test_the_rooms_of_this_checkout_are_its_own():
    check_rooms()


def test_with_its_own_rooms_the_command_runs(installed):
    assert start(installed).stdout == "ours\n"


def test_a_package_that_hides_a_room_is_named_with_its_distribution(installed, tmp_path):
    other = tmp_path / "other"
    (other / "cli").mkdir(parents=True)
    (other / "cli" / "__init__.py").write_text("")
    distribution(other, "some-tool", ["cli/__init__.py"])

    ended = start(other, installed)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert (
        f"cli: a package of KnowFlow, is hidden by {other}/cli/__init__.py; this name is also of: some-tool"
        in ended.stderr
    )
    assert "an environment of its own" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_file_that_another_distribution_overwrote_is_named(installed):
    (installed / "cli" / "main.py").write_text("def main(): print('theirs')\n")
    distribution(installed, "some-tool", ["cli/main.py"])

    ended = start(installed)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert (
        "cli/main.py: a file of KnowFlow, was overwritten or removed; this name is also of: some-tool" in ended.stderr
    )


def test_a_file_that_somebody_edited_by_hand_is_no_clash(installed):
    (installed / "cli" / "main.py").write_text("def main(): print('ours, with a print')\n")

    assert start(installed).stdout == "ours, with a print\n"
