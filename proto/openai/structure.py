"""How bodies say what form an answer is to have: OpenAI's response_format, and the fields of vLLM,
SGLang, llama.cpp and MLC, each of which is one `Constraint`."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from raylax.proto.errors import shown
from raylax.proto.grammar.constraint import ANY_OBJECT, Constraint, Kind
from raylax.proto.openai.body import BoundedList, StrictModel, invalid, kind_of
from raylax.proto.openai.field_rules import FieldTable
from raylax.proto.openai.fields import STRUCTURAL_TAGS, STRUCTURED_OUTPUTS

MOST_TEXTS = 4096
Schema = dict[str, Any] | bool
SchemaOrText = dict[str, Any] | str
"""A schema, or its JSON."""
Choices = Annotated[list[str], BoundedList(MOST_TEXTS, least=1)]
Pattern = Annotated[str, Field(min_length=1)]
FIELDS: dict[str, Kind] = {
    "guided_json": "json_schema", "json_schema": "json_schema", "guided_json_object": "json_schema",
    "guided_regex": "regex", "regex": "regex", "guided_choice": "choice",
    "guided_grammar": "grammar", "ebnf": "grammar", "grammar": "grammar",
    "structural_tag": "structural_tag",
}  # fmt: skip
"""What those of a body say."""
OF_VLLM: dict[str, Kind] = {
    "json_": "json_schema", "json_object": "json_schema", "regex": "regex", "choice": "choice",
    "grammar": "grammar", "structural_tag": "structural_tag",
}  # fmt: skip
"""What those of `structured_outputs` say."""


class TextFormat(StrictModel):
    type: Literal["text"]

    def constraint(self, field: str) -> Constraint | None:
        """Any text will do."""
        return None


class JsonObjectFormat(StrictModel):
    type: Literal["json_object"]
    schema_: SchemaOrText | None = Field(None, alias="schema")
    """MLC's and llama.cpp's."""

    def constraint(self, field: str) -> Constraint | None:
        if self.schema_ is None:
            return Constraint("json_schema", ANY_OBJECT, f"{field}.type")
        return of_schema(self.schema_, f"{field}.schema", lenient=True)


class NamedSchema(StrictModel):
    name: Annotated[str, Field(min_length=1, max_length=64)] = "answer"
    description: str | None = None
    schema_: Schema = Field(default_factory=dict, alias="schema")
    strict: bool = False
    """Whether what of a schema cannot be enforced is an error. What can be is enforced anyway."""

    def constraint(self, field: str) -> Constraint | None:
        """Of a format in which it stands."""
        return of_schema(self.schema_, f"{field}.schema", lenient=not self.strict)


class JsonSchemaFormat(StrictModel):
    type: Literal["json_schema"]
    json_schema: NamedSchema

    def constraint(self, field: str) -> Constraint | None:
        return self.json_schema.constraint(f"{field}.json_schema")


class FlatSchemaFormat(NamedSchema):
    """As the newer APIs have it."""

    type: Literal["json_schema"]


class Structure(StrictModel):
    begin: Pattern
    schema_: Schema = Field(default_factory=dict, alias="schema")
    end: str


class StructuralTags(StrictModel):
    not_here: ClassVar[FieldTable] = STRUCTURAL_TAGS
    triggers: Annotated[list[Pattern], BoundedList(64, least=1)]
    structures: Annotated[list[Structure], BoundedList(128, least=1)]

    @model_validator(mode="after")
    def _each_has_a_trigger(self) -> Self:
        for one in self.structures:
            if not one.begin.startswith(tuple(self.triggers)):
                raise ValueError(f"structures: {one.begin!r:.80} begins with none of the triggers")
        return self

    def constraint(self, field: str) -> Constraint | None:
        structures = [one.model_dump(by_alias=True) for one in self.structures]
        value = {"triggers": self.triggers, "structures": structures}
        return Constraint("structural_tag", value, field)


class StructuralTagFormat(StructuralTags):
    type: Literal["structural_tag"]


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag("[text]")]
    | Annotated[JsonObjectFormat, Tag("[json_object]")]
    | Annotated[JsonSchemaFormat, Tag("[json_schema]")]
    | Annotated[StructuralTagFormat, Tag("[structural_tag]")],
    Discriminator(
        kind_of,
        custom_error_type="format",
        custom_error_message="type must be text, json_object, json_schema or structural_tag",
    ),
]
TextConfigFormat = Annotated[
    Annotated[TextFormat, Tag("[text]")]
    | Annotated[JsonObjectFormat, Tag("[json_object]")]
    | Annotated[FlatSchemaFormat, Tag("[json_schema]")],
    Discriminator(
        kind_of,
        custom_error_type="format",
        custom_error_message="type must be text, json_object or json_schema",
    ),
]
"""Of /v1/responses."""


class StructuredOutputs(StrictModel):
    """vLLM's."""

    not_here: ClassVar[FieldTable] = STRUCTURED_OUTPUTS
    json_: SchemaOrText | None = Field(None, alias="json")
    regex: Pattern | None = None
    choice: Choices | None = None
    grammar: Pattern | None = None
    json_object: bool = False
    structural_tag: SchemaOrText | None = None
    whitespace_pattern: str | None = None


class StructureFields(StrictModel):
    """The fields of every body that asks for text."""

    guided_json: SchemaOrText | None = None
    guided_regex: Pattern | None = None
    guided_choice: Choices | None = None
    guided_grammar: Pattern | None = None
    guided_json_object: bool = False
    guided_whitespace_pattern: str | None = None
    structured_outputs: StructuredOutputs | None = None
    structural_tag: SchemaOrText | None = None
    json_schema: SchemaOrText | None = None
    """SGLang's, as the next two."""
    regex: Pattern | None = None
    ebnf: Pattern | None = None
    grammar: Pattern | None = None
    """llama.cpp's."""

    @property
    def constraint(self) -> Constraint | None:
        """The form that the answer is to have; None: any."""
        return next(self._constraints(), None)

    def _constraints(self) -> Iterator[Constraint]:
        yield from constraints_in(self, FIELDS, self.guided_whitespace_pattern)
        if (one := self.structured_outputs) is not None:
            yield from constraints_in(one, OF_VLLM, one.whitespace_pattern, "structured_outputs.")

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        fields = list(dict.fromkeys(one.field for one in self._constraints()))
        if len(fields) > 1:
            raise ValueError(f"{fields[1]}: an answer has one form, and {fields[0]} asks for one")
        return self


def constraints_in(
    model: StrictModel, kinds: Mapping[str, Kind], space: str | None, path: str = ""
) -> Iterator[Constraint]:
    """Those of the fields that are there. `space`: what may stand between the tokens of JSON;
    `path`: in the body, before the fields' names."""
    for name, kind in kinds.items():
        value, field = getattr(model, name), path + name.rstrip("_")
        if value is None or value is False:
            continue
        match kind:
            case "json_schema":
                schema = ANY_OBJECT if value is True else value
                yield of_schema(schema, field, lenient=True)._replace(whitespace=space)
            case "structural_tag":
                yield from of_tags(value, field)
            case _:
                yield Constraint(kind, value, field)


def of_schema(schema: Schema | str, field: str, lenient: bool) -> Constraint:
    """The constraint of a schema. Raises ValueError for text that is no JSON."""
    value = json_in(schema, field) if isinstance(schema, str) else schema
    return Constraint("json_schema", value, field, lenient=lenient)


def of_tags(given: SchemaOrText, field: str) -> Iterator[Constraint]:
    """The constraint of tags. Raises ValueError for what is none."""
    value = json_in(given, field) if isinstance(given, str) else given
    if not isinstance(value, dict):
        raise ValueError(f"{field}: must be an object, found {shown(value)}")
    try:
        found = StructuralTags.model_validate(value).constraint(field)
    except ValidationError as error:
        raise ValueError(f"{field}: {invalid(error).message}") from None
    yield from () if found is None else (found,)


def json_in(text: str, field: str) -> Any:
    """The value of JSON in a field. Raises ValueError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{field}: is no valid JSON: {error}") from None
