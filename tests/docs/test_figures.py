"""Figures of README and docs are those of benchmarks/results/: none is typed by hand, and none is stale."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "figures.py"
FIGURES, KEEP = runpy.run_path(str(SCRIPT)), runpy.run_path(str(SCRIPT.with_name("keep.py")))
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
INTERVAL = re.compile(r"[+-]\d+\.\d+ \[[+-]?\d")


@pytest.fixture
def tree(tmp_path):
    """A repository with one result and one template."""
    for folder in ("docs/blocks", "benchmarks/results"):
        (tmp_path / folder).mkdir(parents=True)
    result = {"auc": 0.82671, "gain": {"mean": 0.0058, "low": 0.0032, "high": 0.0086}, "by-arm": {"a-b": 1234}}
    (tmp_path / "benchmarks" / "results" / "demo.json").write_text(json.dumps(result))
    said = "Knowledge is {{ demo.gain | verdict }}.\n\n| a |\n|---|\n| {{ demo.gain | gain }} |\n"
    (tmp_path / "docs" / "blocks" / "said.md.j2").write_text(said)
    return tmp_path


def write(tree, text):
    (tree / "README.md").write_text(text)


def faults(tree):
    return [(fault.page, fault.line, fault.text) for fault in FIGURES["stale"](tree)]


def test_no_figure_of_readme_and_docs_is_stale():
    stale = [f"{fault.page}:{fault.line} {fault.text}" for fault in FIGURES["stale"](ROOT)]

    assert stale == [], "bring the pages up to date: make figures"
    marks = [mark for page in FIGURES["pages"](ROOT) for mark in FIGURES["MARK"].findall(page.read_text("utf-8"))]
    assert len(marks) >= 40


@pytest.mark.parametrize("page", FIGURES["pages"](ROOT), ids=lambda page: page.name)
def test_figures_with_four_decimals_and_intervals_stand_in_marked_places_alone(page):
    text = page.read_text(encoding="utf-8")

    assert FIGURES["unmarked"](text) == []
    assert INTERVAL.findall(FIGURES["MARK"].sub("", text)) == []


@pytest.mark.parametrize("page", FIGURES["pages"](ROOT), ids=lambda page: page.name)
def test_what_is_written_leaves_fences_and_tables_whole(page):
    lines = page.read_text(encoding="utf-8").splitlines()

    fences = [line for line in lines if "```" in line]
    assert [line for line in fences if not line.strip().startswith("```")] == []
    assert len(fences) % 2 == 0
    tables = [line for line in lines if line.startswith("|")]
    assert [line for line in tables if not line.endswith("|")] == []


def test_what_the_first_run_says_the_demo_asks_is_what_was_measured():
    asked = json.loads((ROOT / "benchmarks" / "results" / "demo.json").read_text())["asked"]

    page = (ROOT / "docs" / "how-to" / "first-run.md").read_text("utf-8")
    (printed,) = set(re.findall(r"([\d,]+) asked, [\d,]+ encoded in this run", page))
    assert int(printed.replace(",", "")) == asked


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.stem)
def test_a_result_says_when_it_was_measured_and_names_no_machine_s_path(file):
    text = file.read_text(encoding="utf-8")

    assert json.loads(text)["measured"]
    assert re.findall(r'"/[\w.-]+/[^"\n]*"', text) == []


def test_every_result_stands_somewhere():
    pages = [*FIGURES["pages"](ROOT), *(ROOT / "docs" / "blocks").glob("*.j2")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)

    assert [file.stem for file in RESULTS if not re.search(rf"\b{file.stem}\b", text)] == []


def test_a_stale_place_is_found_and_written_anew(tree):
    write(
        tree,
        "AUC <!-- figure: demo.auc | fixed -->0.8111<!-- /figure -->, asked"
        " <!-- figure: demo['by-arm']['a-b'] | count -->1,234<!-- /figure -->\n\n"
        "<!-- block: said -->\nold\n<!-- /block -->\n",
    )

    assert faults(tree) == [
        ("README.md", 1, "demo.auc | fixed: is 0.8111, should be 0.8267"),
        ("README.md", 3, "said: is old, should be Knowledge is better. | a | |---| | +0.0058 [+0.0032, +0.0..."),
    ]
    assert list(FIGURES["rewrite_all"](tree)) == []
    written = (tree / "README.md").read_text()
    assert "AUC <!-- figure: demo.auc | fixed -->0.8267<!-- /figure -->, asked" in written
    assert (
        "<!-- block: said -->\nKnowledge is better.\n\n| a |\n|---|\n| +0.0058 [+0.0032, +0.0086] |\n<!-- /block -->"
        in written
    )
    assert faults(tree) == []


def test_words_follow_the_numbers(tree):
    write(tree, "<!-- block: said -->\n<!-- /block -->\n")
    result = tree / "benchmarks" / "results" / "demo.json"
    for gain, word in (((-0.1, 0.1), "no gain shown"), ((-0.2, -0.1), "worse"), ((None, None), "unknown")):
        result.write_text(json.dumps({"gain": {"mean": 0.0, "low": gain[0], "high": gain[1]}}))

        assert list(FIGURES["rewrite_all"](tree)) == []
        assert f"Knowledge is {word}." in (tree / "README.md").read_text()


def test_a_name_that_no_result_has_a_missing_block_and_a_figure_that_begins_a_line_are_faults(tree):
    text = (
        "a <!-- figure: demo.nothing -->1<!-- /figure -->\n"
        "<!-- figure: demo.auc | fixed -->0.8267<!-- /figure -->\n"
        "<!-- block: nowhere -->\nkept\n<!-- /block -->\n"
    )
    write(tree, text)

    found = faults(tree)

    assert [line for _, line, _ in found] == [1, 2, 3]
    assert "has no attribute 'nothing'" in found[0][2]
    assert "begins a line" in found[1][2]
    assert "nowhere.md.j2" in found[2][2]
    assert len(list(FIGURES["rewrite_all"](tree))) == 3
    assert (tree / "README.md").read_text() == text


def test_the_command_says_what_is_stale_by_its_exit_code():
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_numbers_are_written_alike_everywhere():
    gain = {"mean": 0.00314, "low": 0.0012, "high": 0.00519}
    assert FIGURES["gain"](gain) == "+0.0031 [+0.0012, +0.0052]"
    assert FIGURES["gain"](gain, 3, strong=True) == "**+0.003 [+0.001, +0.005]**"
    assert FIGURES["gain"]({**gain, "low": -0.1}, strong=True) == "+0.0031 [-0.1000, +0.0052]"
    assert FIGURES["spread"]({"mean": 0.82, "sd": None}) == "0.8200 ± –"
    assert (FIGURES["share"](0.482), FIGURES["count"](6547.0), FIGURES["fixed"](None)) == ("48.2%", "6,547", "–")


def test_what_is_kept_is_the_last_line_rounded_and_without_this_machine_s_paths():
    printed = 'arm a\n{"page": "/srv/x/similar.html", "output": "/a b", "auc": [0.123456789], "n": 3}'

    assert KEEP["cleaned"](KEEP["last_object"](printed)) == {
        "page": "similar.html", "output": "/a b", "auc": [0.123457], "n": 3,
    }  # fmt: skip
    assert KEEP["last_object"]('{\n "a": 1\n}') == {"a": 1}
