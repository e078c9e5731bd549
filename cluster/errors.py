"""What the person at the terminal is told in one line."""


class UserError(Exception):
    """Shown as one line without a traceback: the rule, the limit, the value given."""


class ClusterLost(UserError):
    """Ray did not come up, or has ended, and no mistake of the user's is known: a machine that was
    too busy, a process that was killed. Another start may go well."""

    def __init__(self, message: str, log: str = "") -> None:
        """`log`: what was logged, to be kept where no other start follows."""
        super().__init__(message)
        self.log = log


def reason_of(text: str) -> str:
    """The line of a traceback, or of a log, that says what happened: the last error's, or else the
    last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "Error: " in line]
    return (errors or lines or [""])[-1]
