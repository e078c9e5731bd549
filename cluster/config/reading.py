"""From a file and flags to a checked configuration, and from its mistakes to words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from raylax.cluster.certificates import check_authorities, check_certificate
from raylax.cluster.config.schema import PARTS, VALUE_ERROR, ClusterConfig
from raylax.cluster.config.sections import KeyEntry, KeysFile, Section
from raylax.cluster.errors import UserError
from raylax.kernels.errors import UntrustedPath
from raylax.kernels.ownership import check_ours
from raylax.proto.text.reading import check_file
from raylax.worker.config import unknown_key

Checked = TypeVar("Checked", bound=Section)


def read_config(
    file: Path | None, flags: dict[str, Any], assignments: Sequence[str] = ()
) -> ClusterConfig:
    """The file's values, overridden by assignments of the form key=value, and those by the flags
    that were given. Raises UserError."""
    values = read_yaml(file) if file else {}
    for assignment in assignments:
        assign(values, assignment)
    given = {name: value for name, value in flags.items() if value is not None}
    config = checked(ClusterConfig, {**values, **given}, file)
    if config.tls_cert is not None and config.tls_key is not None:
        check_certificate(config.tls_cert, config.tls_key)
    if config.tls_client_ca is not None:
        check_authorities(config.tls_client_ca)
    if config.files_directory is not None:
        check_directory(config.files_directory)
    return config if config.api_keys_file is None else with_keys_of(config.api_keys_file, config)


def check_directory(path: Path) -> None:
    """Raises UserError for what is no directory, or one in which another user could exchange what
    clients have sent. One that is not there is made by who needs it."""
    try:
        check_ours(path)
        if path.exists() and not path.is_dir():
            raise UserError(f"files_directory: must be a directory, {path} is none")
    except UntrustedPath as error:
        raise UserError(f"files_directory: {error.place} {error.why}") from None
    except OSError as error:
        raise UserError(f"files_directory: {path}: {error.strerror}") from None


def assign(values: dict[str, Any], assignment: str) -> None:
    """Set a key, or a section's as section.key, to a value as the file would have it. Raises
    UserError."""
    key, equals, text = assignment.partition("=")
    *sections, last = key.split(".")
    if not equals or not all(key.split(".")):
        raise UserError(f"--set must be KEY=VALUE or SECTION.KEY=VALUE, found {assignment!r}")
    for section in sections:
        before = values.get(section) or {}
        if not isinstance(before, dict):
            raise UserError(f"--set {key}: {section} is no section, found {before!r}")
        values[section] = values = {**before}
    try:
        values[last] = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise UserError(f"--set {key}: not a value of YAML, found {text!r}") from None


def with_keys_of(file: Path, config: ClusterConfig) -> ClusterConfig:
    """With the keys that the file has now, instead of those that it had. Raises UserError."""
    try:
        check_file(file)  # a pipe would be waited for
    except ValueError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    more = checked(KeysFile, read_yaml(file), file).keys
    keys = (*config.own_keys, *more)
    made = checked(ClusterConfig, {**config.model_dump(), "keys": keys}, file)
    return made.keeping(config.own_keys)


def checked(kind: type[Checked], values: dict[str, Any], file: Path | None) -> Checked:
    """A section of these values. Raises UserError, a line for each mistake, naming `file`."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError("\n".join(worded(one, file) for one in error.errors())) from None


def read_yaml(file: Path) -> dict[str, Any]:
    """Keys and values; none of an empty file. Raises UserError."""
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{file}: not valid YAML: {' '.join(fault_of(error).split())}") from None
    except RecursionError:
        raise UserError(f"{file}: not valid YAML: it is nested too deeply") from None
    if not isinstance(values, dict | None):
        raise UserError(f"{file}: must hold keys and values, found {type(values).__name__}")
    return values or {}


def fault_of(error: Exception) -> str:
    """What is wrong, and where. Not the line itself, which PyYAML shows: it may be a key's."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return str(error)


def worded(error: Any, file: Path | None) -> str:
    """A mistake in a line: the key, the rule and the value given; for an unknown key the nearest
    known one. `error` is one of pydantic's."""
    path = ".".join(str(part) for part in error["loc"])
    where = f"{file}: " if file else ""
    if error["type"] == "extra_forbidden":
        section = PARTS.get(str(error["loc"][0]), ClusterConfig)
        return where + unknown_key(str(error["loc"][-1]), path, section.model_fields)
    message = str(error["msg"]).removeprefix(VALUE_ERROR)
    if not path:
        return where + message
    if may_be_a_key(error["loc"]):
        return f"{where}{path}: {message}; what was found is not shown, it may be a key"
    return f"{where}{path}: {message}, found {error['input']!r}"


def may_be_a_key(place: tuple[int | str, ...]) -> bool:
    """Whether somebody may have written an API key there, where its hash belongs."""
    *_, last = place
    return place[0] == "keys" and (last == "sha256" or last not in KeyEntry.model_fields)
