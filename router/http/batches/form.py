"""A form with a file, part by part as it comes: the file is handed on, and never held."""

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from raylax.proto.errors import InvalidRequest, UnsupportedMediaType, shown

FILE = "file"
FIELDS = ("purpose", "expires_after[anchor]", "expires_after[seconds]")
LONGEST_VALUE = 256
LONGEST_FILENAME = 255
MOST_PARTS = 16


def boundary_of(content_type: str) -> bytes:
    """What separates the parts. Raises UnsupportedMediaType for what is no form of parts."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not (boundary := options.get(b"boundary")):
        raise UnsupportedMediaType(
            f"Content-Type: must be multipart/form-data with its boundary, found "
            f"{shown(content_type)}",
            param="Content-Type",
        )
    return boundary


class FileForm:
    """What has come of a form."""

    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        """None: the file has not begun."""
        self._file = bytearray()
        self._header, self._value = b"", b""
        self._disposition = b""
        self._name, self._text = "", bytearray()
        self._parts, self._ended = 0, False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._add_header,
                    "on_header_value": self._add_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._add_data,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise InvalidRequest(f"Content-Type: {error}", param="Content-Type") from None

    def feed(self, data: bytes) -> None:
        """More of the body. Raises InvalidRequest for what is no form, or not this one."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise InvalidRequest(f"the body is no multipart/form-data: {error}") from None

    def take(self) -> bytearray:
        """What has come of the file since this was asked last."""
        taken, self._file = self._file, bytearray()
        return taken

    def close(self) -> None:
        """Raises InvalidRequest for a form that is not whole."""
        if not self._ended:
            raise InvalidRequest("the body is no multipart/form-data: its end is missing")
        if self.filename is None:
            raise InvalidRequest(f"{FILE}: Field required", param=FILE)

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise InvalidRequest(f"a form may have {MOST_PARTS} parts, this one has more")
        self._disposition, self._name, self._text = b"", "", bytearray()

    def _add_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _end_headers(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or b"name" not in options:
            raise InvalidRequest("each part of the form needs a name")
        self._name = options[b"name"].decode(errors="replace")
        if self._name == FILE:
            self._begin_file(options.get(b"filename", b"").decode(errors="replace"))
        elif self._name not in FIELDS:
            said = f"must be one of {', '.join((FILE, *FIELDS))}"
            raise InvalidRequest(f"{shown(self._name)}: {said}", param=self._name[:64])

    def _begin_file(self, filename: str) -> None:
        """Its name is shown, and used for nothing."""
        if self.filename is not None:
            raise InvalidRequest(f"{FILE}: must be there once", param=FILE)
        if len(filename) > LONGEST_FILENAME:
            raise InvalidRequest(
                f"{FILE}: its name may have {LONGEST_FILENAME} characters, it has {len(filename)}",
                param=FILE,
            )
        self.filename = filename or FILE

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == FILE:
            self._file += memoryview(data)[start:end]
        elif len(self._text) + end - start > LONGEST_VALUE:
            said = f"{self._name}: may have {LONGEST_VALUE} bytes, it has more"
            raise InvalidRequest(said, param=self._name)
        else:
            self._text += data[start:end]

    def _end_part(self) -> None:
        if self._name != FILE:
            self.fields[self._name] = self._text.decode(errors="replace")

    def _end(self) -> None:
        self._ended = True
