"""Joules, and what a token took of them."""

from raylax.worker.hardware.energy import WINDOW_S, EnergyMeter


def test_joules_are_counted_from_the_first_note() -> None:
    """By a counter that began long before."""
    meter = EnergyMeter()
    assert meter.joules_per_token is None
    meter.note(0.0, 5000.0, 0)
    meter.note(1.0, 5300.0, 0)

    assert meter.joules == 300.0
    assert meter.joules_per_token is None  # no token yet

    meter.note(2.0, 5600.0, 100)
    assert meter.joules_per_token == 6.0


def test_a_share_of_a_gpu_is_charged_its_share() -> None:
    meter = EnergyMeter(share=0.25)
    meter.note(0.0, 0.0, 0)
    meter.note(1.0, 400.0, 50)

    assert (meter.joules, meter.joules_per_token) == (100.0, 2.0)


def test_what_is_longer_ago_than_the_window_does_not_count() -> None:
    """Nor is it kept, however long an engine runs."""
    meter = EnergyMeter()
    for second in range(1000):
        meter.note(float(second), 100.0 * second, 10 * second)
    before = 1000 * 100.0
    for second in range(1000, 1000 + int(WINDOW_S) + 1):
        meter.note(
            float(second), before + 500.0 * (second - 1000), 10 * 1000 + 20 * (second - 1000)
        )

    assert meter.joules_per_token == 25.0
    assert len(meter._notes) <= WINDOW_S + 2


def test_a_counter_that_begins_anew_takes_nothing_back() -> None:
    """As when the driver is loaded again."""
    meter = EnergyMeter()
    for now, counter in enumerate((1000.0, 1100.0, 0.0, 50.0)):
        meter.note(float(now), counter, 0)

    assert meter.joules == 150.0
