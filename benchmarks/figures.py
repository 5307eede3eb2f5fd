"""Write every measured figure in README and docs from benchmarks/results/, where each script's JSON is kept.

Run:   .venv/bin/python benchmarks/figures.py           rewrites the marked positions (`make figures`)
       .venv/bin/python benchmarks/figures.py --check   lists the stale ones; exit code 1 if there are any

There are two kinds of marks, in invisible HTML comments:

    recall <!-- figure: similar.tuned | fixed(3) -->0.157<!-- /figure --> against ...

    <!-- block: demo_arms -->
    ...
    <!-- /block -->

A figure is a Jinja2 expression, a block the template docs/blocks/NAME.md.j2. Both see every results file under its
name: `demo.result.arms` is `result`, `arms` of results/demo.json. The filters below format numbers. An unknown name is
a fault, and so is a figure that begins a line: Markdown would treat that line as HTML.
"""

import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

ROOT = Path(__file__).resolve().parents[1]
EXEMPT = ("decisions.md", "catalogue.md", "knowflow-yaml.md")
"""Decisions keep the figures of their day; the others have their own generators."""
MARK = re.compile(
    r"(?P<open><!-- (?P<kind>figure|block): (?P<what>.+?) -->)(?P<text>.*?)<!-- /(?P=kind) -->", re.DOTALL
)
NOTHING = "–"
WIDTH = 120
Gain = Mapping[str, float | None]


@dataclass(frozen=True)
class Fault:
    """A mark that cannot be written, or text that differs from the results."""

    page: str
    """The page, relative to the repository."""
    line: int
    """Where the mark begins."""
    text: str
    """What is wrong."""


def main() -> None:
    """Rewrite the pages, or with --check list what is stale."""
    faults = list(stale() if "--check" in sys.argv[1:] else rewrite_all())
    for fault in faults:
        print(f"{fault.page}:{fault.line}  {fault.text}")
    sys.exit(1 if faults else 0)


def pages(root: Path = ROOT) -> list[Path]:
    """Return README and docs, except for exempt pages."""
    return [root / "README.md", *(path for path in sorted((root / "docs").rglob("*.md")) if path.name not in EXEMPT)]


def stale(root: Path = ROOT) -> Iterator[Fault]:
    """Return every mark that cannot be written, and every mark whose text differs from the results."""
    environment = environment_of(root)
    for page in pages(root):
        text, name = page.read_text(encoding="utf-8"), page.relative_to(root).as_posix()
        for found in MARK.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            written = _written(found, environment, text)
            if isinstance(written, Exception):
                yield Fault(name, line, f"{found['what']}: {written}")
            elif written != found["text"]:
                yield Fault(name, line, f"{found['what']}: is {_short(found['text'])}, should be {_short(written)}")


def rewrite_all(root: Path = ROOT) -> Iterator[Fault]:
    """Rewrite every mark; return the marks that cannot be written, which stay unchanged."""
    environment = environment_of(root)
    for page in pages(root):
        text = page.read_text(encoding="utf-8")

        def one(found: re.Match[str], text: str = text) -> str:
            written = _written(found, environment, text)
            inside = found["text"] if isinstance(written, Exception) else written
            return f"{found['open']}{inside}<!-- /{found['kind']} -->"

        new = MARK.sub(one, text)
        if new != text:
            page.write_text(new, encoding="utf-8")
            print(f"{page.relative_to(root).as_posix()} written anew")
    yield from stale(root)


def unmarked(text: str) -> list[str]:
    """Return figures with four decimals, such as AUCs and their gains, that are outside of marks.

    Example:
        >>> unmarked("0.8267 <!-- figure: a -->0.8209<!-- /figure --> +0.0058, 0.157")
        ['0.8267', '+0.0058']
    """
    return re.findall(r"(?<![\w.])[+-]?0\.\d{4}(?![\d])", MARK.sub("", text))


def environment_of(root: Path) -> Environment:
    """Build a Jinja2 environment with the results by name and the number filters."""
    environment = Environment(
        loader=FileSystemLoader(root / "docs" / "blocks"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.globals |= {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((root / "benchmarks" / "results").glob("*.json"))
    }
    environment.filters |= {"fixed": fixed, "signed": signed, "share": share, "count": count}
    environment.filters |= {"gain": gain, "spread": spread, "span": span, "verdict": verdict}
    environment.filters |= {"wrapped": wrapped, "filled": filled}
    return environment


def _written(found: re.Match[str], environment: Environment, text: str) -> str | Exception:
    try:
        if found["kind"] == "block":
            return f"\n{environment.get_template(found['what'] + '.md.j2').render().strip()}\n"
        if text[: found.start()].endswith("\n") or not found.start():
            return ValueError("a figure that begins a line makes Markdown take the line for HTML")
        return environment.from_string("{{ " + found["what"] + " }}").render()
    except (TemplateError, TypeError, ValueError) as error:
        return error


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= 60 else f"{one_line[:57]}..."


def fixed(value: float | None, digits: int = 4) -> str:
    """Format a number with some decimals; a dash for None."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 4) -> str:
    """Format a number with its sign."""
    return NOTHING if value is None else f"{value:+.{digits}f}"


def share(value: float | None, digits: int = 1) -> str:
    """Format a share in percent."""
    return NOTHING if value is None else f"{100 * value:.{digits}f}%"


def count(value: float) -> str:
    """Format an integer with separators."""
    return f"{round(value):,}"


def span(value: float | list[float], digits: int = 0) -> str:
    """Format a number with separators, or the lowest and the highest of several runs.

    Example:
        >>> span([5.0, 5.4], 1), span(13409)
        ('5.0 to 5.4', '13,409')
    """
    return " to ".join(f"{one:,.{digits}f}" for one in (value if isinstance(value, list) else [value]))


def spread(of_seeds: Gain, digits: int = 4) -> str:
    """Format mean and standard deviation over seeds."""
    return f"{fixed(of_seeds['mean'], digits)} ± {fixed(of_seeds['sd'], digits)}"


def gain(found: Gain, digits: int = 4, strong: bool = False) -> str:
    """Format a difference with its interval; `strong` makes it bold if the whole interval is above 0.

    Example:
        >>> gain({"mean": 0.00582, "low": 0.0032, "high": 0.0086}, strong=True)
        '**+0.0058 [+0.0032, +0.0086]**'
        >>> gain({"mean": 0.1, "low": None, "high": None}, 2)
        '+0.10, no interval'
    """
    if found["low"] is None or found["high"] is None:
        return f"{signed(found['mean'], digits)}, no interval"
    text = f"{signed(found['mean'], digits)} [{signed(found['low'], digits)}, {signed(found['high'], digits)}]"
    return f"**{text}**" if strong and found["low"] > 0 else text


def verdict(found: Gain) -> str:
    """Return the conclusion from an interval: `better`, `worse`, `no gain shown`, or `unknown`."""
    low, high = found["low"], found["high"]
    if low is None or high is None:
        return "unknown"
    return "better" if low > 0 else "worse" if high < 0 else "no gain shown"


def wrapped(text: str) -> str:
    """Break long lines of an output."""
    return "\n".join(part for line in text.splitlines() for part in (textwrap.wrap(line, WIDTH, tabsize=4) or [""]))


def filled(text: str) -> str:
    """Refill the lines of a paragraph."""
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    main()
