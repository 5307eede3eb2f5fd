"""What the measures of worth allow to say, in plain sentences.

A version is called worth more than another, or than the facts, by a measure if both hold: the interval of the
difference does not touch 0, and chance by swaps is below 5% after Holm's correction over the measures of the same pair.
At most 5% of pairs that are worth the same are then called different (benchmarks/prompt_eval.py). Each pair is judged
by itself: with five versions there are ten.
Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

from evals.prompts.worth.memorised import BOUND, NAME
from evals.trial import FACTS, Figure, Measured
from evals.words import NOTHING, signed

ALPHA = 0.05
"""Share of equal pairs that may be called different."""
WORDS = {"probe": "the probe", "retrieval": "retrieval", "auc": "AUC", "gauc": "GAUC"}
UNITS = {"probe": "entities", "retrieval": "users", "auc": "validation rows", "gauc": "validation rows"}
"""What the rows of a figure are."""


def verdicts(measured: Sequence[Measured], versions: Sequence[str]) -> list[str]:
    """Say which version is worth more than which, and which is worth more than the facts.

    Args:
        measured: Measures; those of worth are read.
        versions: Names of the versions, in their order.

    Returns:
        A sentence for each pair of versions, one for each version and the facts if there are facts, one for each
        version whose answers follow the mean ratings, and one for each measure that cannot be taken.
    """
    worth = [one for one in measured if one.kind == "worth"]
    taken = [one for one in worth if one.better == "higher" and any(one.against.get(v) for v in versions)]
    known = [one for one in taken if any(one.figures[v].mean is not None for v in versions)]
    found = [_pair(known, one, other) for one, other in combinations(versions, 2)]
    if any(FACTS in one.figures for one in known):
        found += _on_facts(known, versions)
    found += [sentence for one in worth if one.name == NAME for sentence in _memorised(one, versions)]
    return found + [
        f"{_capital(_word(one))} is not measured: {one.figures[versions[0]].why}" for one in taken if one not in known
    ]


def shown_to_differ(measured: Sequence[Measured], version: str, other: str) -> dict[str, Figure]:
    """Return the differences that hold, by the name of their measure.

    Args:
        measured: Measures of worth that were taken.
        version: The first version.
        other: Another version, or `facts`.
    """
    tested = {one.name: one.against[version][other] for one in measured if other in one.against.get(version, {})}
    chance = holm({name: figure.p for name, figure in tested.items() if figure.p is not None})
    return {name: tested[name] for name, p in chance.items() if p <= ALPHA and _apart(tested[name])}


def holm(chances: Mapping[str, float]) -> dict[str, float]:
    """Correct chances for their number, so that any false one among them has a chance of at most alpha.

    Example:
        >>> holm({"probe": 0.01, "auc": 0.04, "retrieval": 0.03})
        {'probe': 0.03, 'retrieval': 0.06, 'auc': 0.06}
    """
    out, highest = {}, 0.0
    for place, (name, p) in enumerate(sorted(chances.items(), key=lambda one: one[1])):
        highest = max(highest, min(1.0, (len(chances) - place) * p))
        out[name] = highest
    return out


def _apart(figure: Figure) -> bool:
    return figure.low is not None and figure.high is not None and (figure.low > 0 or figure.high < 0)


def _pair(measured: Sequence[Measured], first: str, second: str) -> str:
    held = shown_to_differ(measured, second, first)
    better = {name: of for name, of in held.items() if (of.mean or 0) > 0}
    worse = {name: of for name, of in held.items() if (of.mean or 0) < 0}
    if not held:
        every = {one.name: one.against[second][first] for one in measured if first in one.against.get(second, {})}
        told = f"{second} minus {first} {_listed(every, 'on ')}" if every else "nothing could be measured"
        return f"No difference is shown between {first} and {second}: {told}."
    if better and worse:
        return f"{second} is better than {first} {_listed(better, 'on ')}, and worse {_listed(worse, 'on ')}."
    if better:
        return f"{second} is worth more than {first} {_listed(better, 'on ')}."
    turned = {one.name: one.against[first][second] for one in measured if one.name in worse}
    return f"{first} is worth more than {second} {_listed(turned, 'on ')}."


def _on_facts(measured: Sequence[Measured], versions: Sequence[str]) -> list[str]:
    out, beaten = [], []
    for version in versions:
        held = shown_to_differ(measured, version, FACTS)
        better = {name: of for name, of in held.items() if (of.mean or 0) > 0}
        worse = {name: of for name, of in held.items() if (of.mean or 0) < 0}
        if better:
            beaten.append(version)
            out.append(f"{version} is worth more than the catalogue's facts {_listed(better, 'on ')}.")
        if worse:
            out.append(f"{version} is worth less than the catalogue's facts {_listed(worse, 'on ')}.")
    if lacking := [version for version in versions if version not in beaten]:
        names = " or ".join(_word(one) for one in measured)
        who = "No version" if len(lacking) == len(versions) > 1 else " and ".join(lacking)
        verb = "is" if who == "No version" else "is not" if len(lacking) == 1 else "are not"
        out.append(f"{who} {verb} shown to be worth more than the catalogue's facts on {names}.")
    return out


def _memorised(measured: Measured, versions: Sequence[str]) -> list[str]:
    out = []
    for version in versions:
        figure = measured.figures[version]
        if figure.mean is not None and abs(figure.mean) > BOUND:
            out.append(
                f"Beware of memorised ratings: '{figure.why}' of {version} correlates {figure.mean:.2f} with the mean "
                f"training ratings of {figure.rows} items; a model that has read them tells as much only of items that "
                "are as well known."
            )
    return out


def _listed(differences: Mapping[str, Figure], before: str = "") -> str:
    return before + ", ".join(_told(name, of) for name, of in differences.items())


def _told(name: str, figure: Figure) -> str:
    word = WORDS.get(name, name)
    if figure.mean is None:
        return f"{word} (unknown)"
    interval = "" if figure.low is None else f" [{_number(figure.low, name)}, {_number(figure.high, name)}]"
    return f"{word} ({_number(figure.mean, name)}{interval}, {figure.rows:,} {UNITS.get(name, 'rows')})"


def _number(value: float | None, name: str) -> str:
    return NOTHING if value is None else signed(value, 4 if name in ("auc", "gauc") else 2)


def _word(measured: Measured) -> str:
    return WORDS.get(measured.name, measured.name)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
