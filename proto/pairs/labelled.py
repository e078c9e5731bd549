"""Texts, and pairs of them, by a model that has a head for labels.

Rerankers of this kind have one label. They are shown a pair as they were trained: by a chat
template that knows of pairs, or as Qwen3-Reranker, if a setting says so; else the texts follow each
other, which may bring with them what is to stand around them.
"""

from collections.abc import Sequence

from raylax.proto.calls.prompt_maker import places
from raylax.proto.calls.prompt_work import ChatWork, TextsWork
from raylax.proto.calls.vector import LabelledCall, PairedCall
from raylax.proto.errors import InvalidRequest
from raylax.proto.frontend import Frontend
from raylax.proto.openai.scores import ClassifyRequest, PairFields
from raylax.proto.pairs.call import Prompts, vectors_call
from raylax.proto.pairs.judged import chat_works, check_not_cut, knows_pairs
from raylax.proto.vocabulary import CallOrigin


def check_labels(frontend: Frontend) -> None:
    """Raises InvalidRequest for a model that has none."""
    if frontend.labels is None:
        raise InvalidRequest(f"{frontend.name} has no labels: its head is for tokens")


def labelled(
    frontend: Frontend, body: ClassifyRequest, inputs: Prompts, origin: CallOrigin
) -> LabelledCall:
    """The call for these inputs. Raises InvalidRequest, which names the input."""
    assert frontend.labels is not None
    fields = places("input" if body.messages is None else "messages", len(inputs))
    inputs = [body.cut(ids, frontend.prompt_ids.fitting(1)) for ids in inputs]
    every = tuple(range(len(frontend.labels.names)))
    call = vectors_call(frontend, body, inputs, fields, origin, every)
    return LabelledCall(call, frontend.labels)


def labelled_works(frontend: Frontend, body: PairFields) -> Sequence[ChatWork | TextsWork]:
    """What is to be done for the prompts, one for each pair. Raises InvalidRequest for what the
    model cannot be asked."""
    assert frontend.labels is not None
    if (count := len(frontend.labels.names)) != 1:
        raise InvalidRequest(
            f"{frontend.name} has {count} labels, and pairs have a score by one; use /classify"
        )
    check_not_cut(frontend, body)
    if frontend.judge is not None or knows_pairs(frontend):
        return chat_works(frontend, body)
    if body.instruction is not None:
        raise InvalidRequest(
            f"instruction: {frontend.name} is shown a query and a document, and nothing else; put "
            "it before the query",
            param="instruction",
        )
    (_, queries), (field, documents) = body.query_texts, body.document_texts
    texts = [queries[one] + documents[other] for one, other in body.pairs]
    return [TextsWork(texts, True, field, frontend.max_sequence_length)]


def labelled_pairs(
    frontend: Frontend, body: PairFields, prompts: Prompts, origin: CallOrigin
) -> PairedCall:
    """The call for these prompts. Raises InvalidRequest, which names the document."""
    field, documents = body.document_texts
    fields = places(field, len(documents))
    call = vectors_call(frontend, body, prompts, fields, origin, (0,))
    return PairedCall(call, None, frontend.labels)
