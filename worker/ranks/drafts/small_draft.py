"""A small model of the same tokenizer drafts."""

from pathlib import Path

from tokenizers import Tokenizer

from raylax.kernels.build import Footprint, build, footprint, load_whole
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.heads.config import named_after
from raylax.kernels.model import Model
from raylax.kernels.options import ModelOptions, ProgressCallback
from raylax.worker.errors import ConfigError
from raylax.worker.ranks.drafts.base import Beside, DraftModel
from raylax.worker.sampling.sampler import Sampler
from raylax.worker.scheduling.drafting.chain import Chain
from raylax.worker.scheduling.drafting.model_proposer import Drafter
from raylax.worker.scheduling.drafting.small_draft import SmallModel


class SmallDraft(DraftModel):
    """It reads the text, and has pages as the engine has."""

    def footprint(self, options: ModelOptions) -> Footprint:
        with named_after(self.path):
            return footprint(self.path, options)

    def build(self, beside: Beside, progress: ProgressCallback) -> None:
        check_tokenizers(self.target, self.path)
        build(self.path, beside.options, beside.all_pages, progress=progress)

    def load(
        self, model: Model, beside: Beside, sampler: Sampler, progress: ProgressCallback
    ) -> Drafter:
        check_tokenizers(self.target, self.path)
        small = load_whole(self.path, beside.options, beside.all_pages, progress)
        named = open_checkpoint(self.path).tokens
        return Chain(SmallModel(small, model.spec.vocab, named), beside.pages, sampler)


def check_tokenizers(model: Path, draft: Path) -> None:
    """Raises ConfigError unless the same numbers are the same tokens in both, as far as both have
    them."""
    ours, theirs = (by_number(path) for path in (model, draft))
    for number in sorted(ours.keys() & theirs.keys()):
        if ours[number] != theirs[number]:
            raise ConfigError(
                f"{draft} cannot draft for {model}, whose tokenizer is another one: token {number} "
                f"is {theirs[number]!r} there and {ours[number]!r} here"
            )
    if 2 * len(ours.keys() & theirs.keys()) < len(ours):
        raise ConfigError(
            f"{draft} cannot draft for {model}: it has {len(theirs)} tokens of {len(ours)}"
        )


def by_number(path: Path) -> dict[int, str]:
    """The tokens of a model."""
    file = open_checkpoint(path).text / "tokenizer.json"
    try:
        return {
            number: token for token, number in Tokenizer.from_file(str(file)).get_vocab().items()
        }
    except Exception as error:
        raise ConfigError(f"{path} cannot draft, or be drafted for: {file}: {error}") from None
