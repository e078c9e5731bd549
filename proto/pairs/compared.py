"""Pairs that are scored by the embeddings of their texts."""

from collections.abc import Sequence

from raylax.proto.calls.prompt_maker import places
from raylax.proto.calls.prompt_work import TextsWork
from raylax.proto.calls.vector import PairedCall
from raylax.proto.errors import InvalidRequest
from raylax.proto.frontend import Frontend
from raylax.proto.openai.scores import PairFields
from raylax.proto.pairs.call import Prompts, vectors_call
from raylax.proto.vocabulary import CallOrigin


def texts_works(frontend: Frontend, body: PairFields) -> list[TextsWork]:
    """What is to be done for the prompts: those of queries, and those of documents. Raises
    InvalidRequest for what the model cannot be asked."""
    frontend.check_embeds()
    if body.instruction is not None:
        raise InvalidRequest(
            f"instruction: {frontend.name} compares embeddings; put it before the query",
            param="instruction",
        )
    longest = None if body.truncates else frontend.max_sequence_length
    fields = body.query_texts, body.document_texts
    return [TextsWork(texts, True, field, longest) for field, texts in fields]


def compared(
    frontend: Frontend, body: PairFields, texts: Sequence[Prompts], origin: CallOrigin
) -> PairedCall:
    """The call for these prompts. Raises InvalidRequest, which names the text."""
    (query, queries), (document, documents) = body.query_texts, body.document_texts
    fields = [*places(query, len(queries)), *places(document, len(documents))]
    fitting = frontend.prompt_ids.fitting(1)
    inputs = [body.cut(ids, fitting) for prompts in texts for ids in prompts]
    pairs = [(one, len(queries) + other) for one, other in body.pairs]
    return PairedCall(vectors_call(frontend, body, inputs, fields, origin), pairs)
