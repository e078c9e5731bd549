"""The answer to a request for vectors."""

import random
from pathlib import Path

import pytest

from raylax.proto.answers.embedding import EmbeddingWriter
from raylax.proto.calls.vector import vectors_of
from raylax.proto.errors import WorkerUnavailable
from raylax.proto.frontend import Frontend
from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.text.files import TextFiles
from raylax.proto.vocabulary import Delta, Finish
from tests.support.checkpoints import write_checkpoint


def test_a_vector_that_never_came_is_an_error(tmp_path: Path) -> None:
    frontend = Frontend.load(TextFiles(write_checkpoint(tmp_path)), "tiny", 256, random.Random(1))
    call = frontend.embedding(EmbeddingRequest(input=["a", "b"]))
    for request in call.requests:
        call.feed(Delta(request.id, finish=Finish.ABORT))

    with pytest.raises(WorkerUnavailable, match="input 0 ended with abort"):
        EmbeddingWriter(call, "tiny", "float").whole()
    with pytest.raises(WorkerUnavailable, match="input 0 ended with abort"):
        vectors_of(call)
