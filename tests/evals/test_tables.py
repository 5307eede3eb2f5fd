"""Tables of a comparison as text: what is undefined stays blank."""

from evals.tables import arm_rows, check_rows, gain_rows, gain_title, tables


def values(mean, sd=None):
    return {"mean": mean, "sd": sd, "values": [mean]}


def metrics(auc, sd=None):
    return {"auc": values(auc, sd), "gauc": values(None), "logloss": values(0.5), "ece": values(0.01234)}


ROWS = {"rows": 1200, "users": 40, "largest_user_share": 0.25, "no_interval": None}


def result(sd=None, low: float | None = -0.001):
    gain = {"mean": 0.0123, "low": low, "high": None if low is None else 0.0256}
    nothing = {"mean": None, "low": None, "high": None}
    return {
        "arms": {arm: {"all": metrics(0.75, sd), "cold_with_knowledge": metrics(None)} for arm in ("base", "mine")},
        "controls": ["base"],
        "segments": {"all": ROWS, "cold_with_knowledge": {**ROWS, "rows": 50}},
        "gains": {"base": {}, "mine": {"base": {"all": {"auc": gain}, "cold_with_knowledge": {"auc": nothing}}}},
    }


def test_an_arm_shows_its_means_and_the_spread_of_its_seeds():
    assert arm_rows(result(sd=0.0011))[0] == {
        "arm": "base",
        "AUC": "0.7500 ± 0.0011",
        "GAUC": "",
        "LogLoss": "0.5000",
        "ECE (by chance)": "0.0123",
        "AUC, cold with knowledge": "",
    }


def test_one_seed_has_no_spread():
    assert arm_rows(result())[1]["AUC"] == "0.7500"


def test_a_gain_stands_with_its_interval_and_without_one_where_there_is_none():
    assert gain_rows(result()) == [{"arm": "mine", "against base": "+0.0123 [-0.0010, +0.0256]"}]
    assert gain_rows(result(low=None)) == [{"arm": "mine", "against base": "+0.0123"}]
    assert gain_rows(result(), "cold_with_knowledge") == [{"arm": "mine", "against base": ""}]


def test_an_arm_without_a_control_beside_it_has_no_row():
    assert gain_rows({"arms": {"base": {}}, "controls": ["base"], "gains": {"base": {}}}) == []


def test_a_calibration_error_stands_with_what_chance_alone_would_show():
    one = result()
    one["arms"]["base"]["all"]["ece"]["floor"] = 0.00987

    assert arm_rows(one)[0]["ECE (by chance)"] == "0.0123 (0.0099)"


def test_the_title_says_whose_rows_the_intervals_come_from_or_why_there_are_none():
    one = result()
    assert gain_title(one) == (
        "AUC gains on all test rows, 95% intervals: 1,200 rows, 40 users, the largest with 25.0% of the rows"
    )
    one["segments"]["all"] = {"rows": 90, "users": 12}  # an older result, of too few users all the same
    assert (
        gain_title(one)
        == "AUC gains on all test rows, no intervals (12 users: too few for an interval): 90 rows, 12 users"
    )
    assert gain_rows(one) == [{"arm": "mine", "against base": "+0.0123"}]


def checked():
    """Base against a constant, mine against random vectors; neither belongs to the gains."""
    one = result()
    up, down = {"mean": 0.03, "low": 0.01, "high": 0.05}, {"mean": -0.03, "low": -0.05, "high": -0.01}
    one["arms"]["constant"] = one["arms"]["random"] = one["arms"]["base"]
    one["controls"] = ["base", "random", "constant"]
    of_mine = {"all": {"auc": up}, "cold_with_knowledge": {"auc": down}}
    one["gains"]["mine"]["random"] = of_mine
    one["gains"]["base"] = {"constant": {"all": {"logloss": down}}, "random": of_mine}
    one["gains"]["constant"] = {"base": of_mine}
    return one


def test_wrong_knowledge_and_the_constant_are_checks_and_no_columns_of_gains():
    one = checked()

    assert gain_rows(one) == [{"arm": "mine", "against base": "+0.0123 [-0.0010, +0.0256]"}]
    assert [list(row.values()) for row in check_rows(one)] == [
        ["base against constant, all test rows", "−0.0300 LogLoss", "[−0.0500, −0.0100]", "yes"],
        ["mine against random, all test rows", "+0.0300 AUC", "[+0.0100, +0.0500]", "yes"],
        ["mine against random, cold rows with knowledge", "−0.0300 AUC", "[−0.0500, −0.0100]", "not shown"],
    ]


def test_both_protocols_are_printed_where_both_were_run():
    alone, both = (
        [title for title, _ in tables(result())],
        [title for title, _ in tables({**result(), "rolling": checked()})],
    )

    assert len(both) == 2 * len(alone)
    assert both == [f"configured split: {title}" for title in alone] + [f"rolling time: {title}" for title in alone]
