"""Which keywords of a JSON schema have schemas in them, and which mean nothing for a value."""

MAPS = frozenset({
    "properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies",
})  # fmt: skip
"""Keywords whose keys are names, and whose values are schemas."""
LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
"""Keywords that may have a list of schemas."""
INNER = frozenset({
    "items", "additionalItems", "additionalProperties", "contains", "propertyNames", "not", "if",
    "then", "else", "unevaluatedItems", "unevaluatedProperties",
})  # fmt: skip
"""Keywords that may have a schema."""
VALUES = frozenset({"const", "enum", "default", "examples", "required"})
"""Keywords in which nothing is a schema."""
NAMING = frozenset({
    "$id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$defs", "definitions",
})  # fmt: skip
"""Keywords that say nothing once it is known where references lead."""
SAY_NOTHING = frozenset({
    "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
    "$schema", "$comment", *NAMING,
})  # fmt: skip
"""Keywords that mean nothing for a value."""
