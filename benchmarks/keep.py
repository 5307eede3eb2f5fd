"""Run a benchmark and keep the JSON object of its last line in benchmarks/results/, where `make figures` reads it.

Run:   .venv/bin/python benchmarks/keep.py ctr_speed
       .venv/bin/python benchmarks/keep.py rewrites .venv/bin/knowflow eval rewrites --config CONFIG --json

The first argument is the name of the file; the rest is the command, by default benchmarks/NAME.py.
"""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> None:
    """Run the command, show its output, keep its last line."""
    name, *command = sys.argv[1:]
    command = command or [sys.executable, str(Path(__file__).resolve().parent / f"{name}.py")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="")
    if done.returncode:
        sys.exit(done.returncode)
    keep(name, last_object(done.stdout))


def last_object(printed: str) -> dict[str, Any]:
    """Return the JSON object at the end of a text: its last line, or the whole text.

    Example:
        >>> last_object('arm a' + chr(10) + '{"seconds": 1}')
        {'seconds': 1}
    """
    try:
        return json.loads(printed.splitlines()[-1])
    except ValueError:
        return json.loads(printed)


def keep(name: str, found: dict[str, Any]) -> Path:
    """Write one result, with the day of the measurement; return the file."""
    file = RESULTS / f"{name}.json"
    RESULTS.mkdir(exist_ok=True)
    about = {"measured": datetime.now(UTC).date().isoformat()}
    # One line a part: a whole evaluation would fill thousands of lines.
    parts = (
        f"{json.dumps(key)}: {json.dumps(part, ensure_ascii=False)}" for key, part in (about | cleaned(found)).items()
    )
    file.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    print(f"kept in {file.name}; next: make figures", file=sys.stderr)
    return file


def cleaned(value: Any) -> Any:
    """Round numbers to six decimals, and shorten absolute paths, which are specific to a machine, to their names.

    Example:
        >>> cleaned({"page": "/srv/one/similar.html", "recall": [0.12345678]})
        {'page': 'similar.html', 'recall': [0.123457]}
    """
    if isinstance(value, dict):
        return {key: cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [cleaned(inner) for inner in value]
    if isinstance(value, float):
        return round(value, 6)
    is_path = isinstance(value, str) and "\n" not in value and " " not in value and Path(value).is_absolute()
    return Path(value).name if is_path else value


if __name__ == "__main__":
    main()
