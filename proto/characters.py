"""Text of whole characters: what can be encoded, whatever JSON has named."""


def whole_characters(text: str) -> str:
    """The text without halves of surrogate pairs, which JSON can name, and which are no text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
