"""What a program's user sees of a download."""

import io

from raylax.worker.api.fetching import on_stderr


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_that_changes_on_a_terminal() -> None:
    audience = on_stderr(out := Terminal(), lambda: 0.0)
    audience.note("org/name: 3 files")
    for fraction in (0.0, 0.5, 1.0):
        audience.step("downloading", fraction)

    assert out.getvalue() == (
        "org/name: 3 files\n\rdownloading:   0%\rdownloading:  50%\rdownloading: 100%\n"
    )


def test_a_line_now_and_then_elsewhere() -> None:
    now = 0.0
    audience = on_stderr(out := io.StringIO(), lambda: now)
    for now in (1.0, 9.0, 10.0, 11.0, 20.0):
        audience.step("downloading", now / 20)

    assert out.getvalue() == "downloading:  50%\ndownloading: 100%\n"
