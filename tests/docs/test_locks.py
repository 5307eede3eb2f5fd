"""The lock files agree with each other and with the extras of pyproject.toml."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted(ROOT.glob("requirements*.lock"))


def pins(lock: Path) -> dict[str, str]:
    """Name -> version."""
    return dict(re.findall(r"^([a-z0-9_.-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE))


def test_a_package_in_two_locks_has_one_version():
    found: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in pins(lock).items():
            found.setdefault(name, set()).add(version)

    assert len(LOCKS) == 4
    assert {name: versions for name, versions in found.items() if len(versions) > 1} == {}


def test_every_file_of_a_lock_has_a_hash_and_no_address():
    for lock in LOCKS:
        text = lock.read_text(encoding="utf-8")
        assert text.count(" \\\n    --hash=sha256:") >= len(pins(lock)) > 0
        assert "://" not in text


def test_the_lock_of_ray_is_of_the_version_that_the_extra_names():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]

    assert extras["ray"] == [f"ray=={pins(ROOT / 'requirements-ray.lock')['ray']}"]
