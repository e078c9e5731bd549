"""What the person at the terminal is told in one line."""

MOST_CHARACTERS = 1000


class UserError(Exception):
    """Shown as one line without a traceback: the rule, the limit, the value given. What a value is
    made of may be anybody's, so that the line is one that a terminal can show."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """The text with an escape for each character that is not printed, cut short in its middle."""
    half = MOST_CHARACTERS // 2
    if (more := len(text) - MOST_CHARACTERS) > 0:
        text = f"{text[:half]}… {more} more characters …{text[-half:]}"
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


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
