"""By which names a model may be asked: its own, its aliases, and patterns of them."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase


class ModelNames:
    """Of all models of a router. A model's own name comes first, then an alias that is the same,
    then the longest pattern that fits, which says most."""

    def __init__(self, aliases: Mapping[str, Sequence[str]]) -> None:
        """Of each model, by its own name."""
        self._own = aliases.keys()
        self._aliases = {alias: model for model in aliases for alias in aliases[model]}
        self._patterns = sorted(filter(is_pattern, self._aliases), key=len, reverse=True)

    def model_of(self, asked: str) -> str | None:
        """The model's own name; None: nobody has the name."""
        if asked in self._own:
            return asked
        if (exact := self._aliases.get(asked)) is not None:
            return exact
        fitting = (one for one in self._patterns if fnmatchcase(asked, literal(one)))
        return next((self._aliases[pattern] for pattern in fitting), None)


def is_pattern(alias: str) -> bool:
    """Whether it stands for many names."""
    return "*" in alias


def literal(pattern: str) -> str:
    """With nothing but `*` that stands for something else."""
    return pattern.replace("[", "[[]").replace("?", "[?]")
