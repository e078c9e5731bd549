"""The formats of texts of which llguidance's own idea is too wide, as schemas."""

from typing import Any

FOURTHS = "(0[48]|[2468][048]|[13579][26])"
LEAP_YEAR = f"([0-9]{{2}}{FOURTHS}|{FOURTHS}00)"
YEAR = "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
FEW, MORE, ALL = "(0[1-9]|1[0-9]|2[0-8])", "(29|30)", "31"
DATE = (
    f"({YEAR}-(02-{FEW}|(0[469]|11)-({FEW}|{MORE})|(0[13578]|1[02])-({FEW}|{MORE}|{ALL}))"
    f"|{LEAP_YEAR}-02-29)"
)
HOUR = "([01][0-9]|2[0-3]):[0-5][0-9]"
TIME = rf"{HOUR}:[0-5][0-9](\.[0-9]+)?([zZ]|[+-]{HOUR})"
"""Without leap seconds, which are few, and known to nobody beforehand."""
LABEL = "({l}({h}?{l})?|{l}{h}{l}{h}{{0,59}}{l}|{l}{h}{h}{l}({h}{{0,58}}{l})?)".format(
    l="[a-zA-Z0-9]", h="[a-zA-Z0-9-]"
)
"""Of a host's name (RFC 5890): two hyphens in the third and fourth place would be an encoding."""
NAME = rf"({LABEL}\.)*{LABEL}"
LETTER = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]"
MAILBOX = rf"{LETTER}(\.?{LETTER}){{0,31}}"
"""At most 64 characters (RFC 5321), whatever dots it has."""
FORMATS: dict[str, dict[str, Any]] = {
    "date": {"pattern": f"^{DATE}$"},
    "time": {"pattern": f"^{TIME}$"},
    "date-time": {"pattern": f"^{DATE}[tT]{TIME}$"},
    "hostname": {"pattern": f"^{NAME}$", "maxLength": 253},
    "email": {"pattern": f"^{MAILBOX}@{NAME}$", "maxLength": 254},
}
