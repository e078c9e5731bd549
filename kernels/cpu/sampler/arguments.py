"""What the compiled sampler is given, by name and in order."""

NAME = "sample"
FORBIDDEN = -2
"""In place of how often a token was said: it is never drawn."""
ARGUMENTS = {
    "sizes": "int32",
    "logits": "float32",
    "rows": "int32",
    "words": "int32",
    "floats": "float32",
    "doubles": "float64",
    "longs": "int64",
    "keys": "uint32",
    "nearest": "float64",
    "typicals": "float64",
    "starts": "int32",
    "ids": "int32",
    "biases": "float32",
    "counts": "int32",
    "mask_rows": "int32",
    "masks": "int32",
    "tops": "int32",
    "tokens": "uint32",
    "values": "float32",
    "places": "int32",
    "drawn": "int32",
    "largest": "float32",
    "peaks": "float32",
    "sums": "float64",
    "likeliest": "int32",
    "counters": "int32",
    "ends": "int64",
}
"""`Sampler` says what each holds."""
WIDE = frozenset({"masks", "likeliest", "counters"})
"""Those of two dimensions."""
