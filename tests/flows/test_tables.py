"""Tables of a comparison as text: what is undefined stays blank."""

from flows.tables import arm_rows, gain_rows


def values(mean, sd=None):
    return {"mean": mean, "sd": sd, "values": [mean]}


def metrics(auc, sd=None):
    return {"auc": values(auc, sd), "gauc": values(None), "logloss": values(0.5), "ece": values(0.01234)}


def result(sd=None, low: float | None = -0.001):
    gain = {"mean": 0.0123, "low": low, "high": None if low is None else 0.0256}
    nothing = {"mean": None, "low": None, "high": None}
    return {
        "arms": {arm: {"all": metrics(0.75, sd), "cold_with_knowledge": metrics(None)} for arm in ("base", "mine")},
        "controls": ["base"],
        "gains": {"base": {}, "mine": {"base": {"all": {"auc": gain}, "cold_with_knowledge": {"auc": nothing}}}},
    }


def test_an_arm_shows_its_means_and_the_spread_of_its_seeds():
    assert arm_rows(result(sd=0.0011))[0] == {
        "arm": "base",
        "AUC": "0.7500 ± 0.0011",
        "GAUC": "",
        "LogLoss": "0.5000",
        "ECE": "0.0123",
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
