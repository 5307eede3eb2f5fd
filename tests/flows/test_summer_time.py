"""Nights on which the clocks are put on or back: a schedule in local time runs once, as Prefect plans it."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from prefect.server.schemas.schedules import CronSchedule

VIENNA = "Europe/Vienna"
SKIPPED, DOUBLED = datetime(2027, 3, 28, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)
"""Days without an hour from 2:00 to 3:00, and with two of them."""


def planned(cron: str, day: datetime) -> list[datetime]:
    """The times that the server plans in the two nights before a day, that of the day, and the two after it."""
    schedule = CronSchedule(cron=cron, timezone=VIENNA)
    dates = asyncio.run(schedule.get_dates(20, start=day - timedelta(hours=60), end=day + timedelta(hours=60)))
    return [date.astimezone(UTC) for date in dates]


@pytest.mark.parametrize("day", [SKIPPED, DOUBLED])
@pytest.mark.parametrize("cron", ["30 2 * * *", "0 2 * * *", "0 3 * * *"])
def test_every_night_has_one_run(cron, day):
    dates = planned(cron, day)

    local = [date.astimezone(ZoneInfo(VIENNA)).date() for date in dates]
    assert local == [(day + timedelta(days=n)).date() for n in range(-2, 3)]
    assert all(timedelta(hours=22) < after - before < timedelta(hours=26) for before, after in pairwise(dates))


def test_a_night_without_its_hour_starts_an_hour_early_and_one_with_two_takes_the_first():
    assert datetime(2027, 3, 28, 0, 30, tzinfo=UTC) in planned("30 2 * * *", SKIPPED)  # 1:30 in Vienna
    assert datetime(2026, 10, 25, 0, 30, tzinfo=UTC) in planned("30 2 * * *", DOUBLED)  # 2:30 summer time


def test_a_scheduler_that_looks_again_within_the_doubled_hour_plans_nothing_twice():
    """Also when it starts between the two 2:30, as after a restart."""
    between = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)  # 2:00 again, in Vienna
    schedule = CronSchedule(cron="30 2 * * *", timezone=VIENNA)

    (following, *_) = asyncio.run(schedule.get_dates(1, start=between))

    assert following.astimezone(UTC) in planned("30 2 * * *", DOUBLED)
