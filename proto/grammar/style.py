"""How JSON is written: as Python and most models write it, with a space behind commas and colons
and no other white space. So most of what is not said by the model is certain, and no answer fills
up with blanks. No character is written by its number: else a name that must not be there could be
written so."""

from typing import Any

JSON_STYLE: dict[str, Any] = {
    "item_separator": ", ",
    "key_separator": ": ",
    "whitespace_flexible": False,
    "json_allowed_escapes": 'nrbtf"\\',
}
