"""What the person at the terminal can mend."""


class UserError(Exception):
    """Shown as one line without a traceback: the rule, the limit, the value given."""
