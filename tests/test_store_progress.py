"""What a caller is told while it waits."""

from __future__ import annotations

from runtime.store.progress import Meter, Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def watched() -> tuple[Meter, Clock, list[Progress]]:
    clock, seen = Clock(), list[Progress]()
    return Meter("m:Q8_0", seen.append, clock), clock, seen


def test_the_first_report_knows_the_total() -> None:
    meter, _, seen = watched()
    meter.begin("downloading", 10, 1000)
    assert seen == [Progress("m:Q8_0", "downloading", 10, 1000, 0.0, None)]


def test_the_rate_and_what_remains_are_those_of_the_last_seconds() -> None:
    meter, clock, seen = watched()
    meter.begin("downloading", 0, 1000)
    for done in (100, 200):
        clock.now += 1
        meter.at(done)
    assert (seen[-1].rate, seen[-1].remaining) == (100.0, 8.0)
    for done in range(210, 300, 10):
        clock.now += 1
        meter.at(done)
    assert (seen[-1].rate, seen[-1].remaining) == (10.0, 71.0)


def test_bytes_that_were_here_before_are_no_speed() -> None:
    meter, clock, seen = watched()
    meter.begin("downloading", 900, 1000)
    clock.now += 1
    meter.at(950)
    assert seen[-1].rate == 50.0


def test_reports_come_ten_times_a_second_and_at_the_end() -> None:
    meter, clock, seen = watched()
    meter.begin("checking", 0, 1000)
    for done in range(1, 1001):
        clock.now += 0.001
        meter.at(done)
    assert len(seen) == 11
    assert seen[-1].done == 1000


def test_a_new_phase_is_reported_at_once() -> None:
    meter, _, seen = watched()
    meter.begin("checking", 0, 1000)
    meter.begin("downloading", 0, 1000)
    meter.begin("retrying", 5, 1000)
    assert [one.phase for one in seen] == ["checking", "downloading", "retrying"]


def test_nobody_need_listen() -> None:
    meter = Meter("m:Q8_0", None)
    meter.begin("downloading", 0, 10)
    meter.at(10)
