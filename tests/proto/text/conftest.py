"""Tokenizers, made here and now."""

import pytest
from tokenizers import Tokenizer as Fast
from tokenizers import decoders, models, pre_tokenizers, trainers

from raylax.proto.text.tokenizer import Tokenizer

TEXTS = ["hello world", "Grüße, 世界! 👋🏽", " two  spaces", "a\nb\tc", "x" * 40]


@pytest.fixture(scope="module", params=["byte-level", "metaspace"])
def tokenizer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Tokenizer:
    """The two kinds that open-weights models use."""
    if request.param == "byte-level":
        fast = Fast(models.BPE())
        fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        fast.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet)
    else:
        fast = Fast(models.BPE(byte_fallback=True, unk_token="<unk>"))
        fast.pre_tokenizer = pre_tokenizers.Metaspace()
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        fast.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
        bytes_ = [f"<0x{i:02X}>" for i in range(256)]
        trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=["<unk>"])
        fast.add_tokens(bytes_)
    fast.train_from_iterator(["hello world hello two spaces"], trainer)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    fast.save(str(path))
    return Tokenizer(path)
