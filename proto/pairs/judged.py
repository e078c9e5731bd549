"""Pairs that are scored by what a model says of them: a reranker that generates.

It is shown both texts in a chat, and the probability of one word as its answer, against another
one, is the score. So Qwen3-Reranker was trained (https://arxiv.org/abs/2506.05176), whose words
these are.
"""

from typing import Any

from raylax.proto.calls.prompt_maker import places
from raylax.proto.calls.prompt_work import ChatWork
from raylax.proto.calls.vector import PairedCall
from raylax.proto.errors import InvalidRequest
from raylax.proto.frontend import Frontend
from raylax.proto.openai.scores import PairFields
from raylax.proto.pairs.call import Prompts, vectors_call
from raylax.proto.text.chat_template import ChatTemplate
from raylax.proto.vocabulary import CallOrigin

INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
SYSTEM = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".'
)
QUERY, DOCUMENT = "query", "document"
"""Roles of templates that were written for pairs."""


def chat_works(frontend: Frontend, body: PairFields) -> list[ChatWork]:
    """What is to be done for the prompts, one for each pair. Raises InvalidRequest for what the
    model cannot be asked."""
    (_, queries), (field, documents) = body.query_texts, body.document_texts
    check_not_cut(frontend, body)
    if not frontend.templates.named:
        raise InvalidRequest(
            f"{frontend.name} has no chat template, by which a reranker is shown texts", param=field
        )
    template = frontend.templates.chosen(None, tools=False, documents=False)
    instruction = body.instruction or INSTRUCTION
    return [
        ChatWork(
            messages=messages(template, instruction, queries[one], documents[other]),
            tools=[],
            documents=[],
            template=None,
            told={"enable_thinking": False},
            begin_turn=True,
            continue_last=False,
            special_tokens_in_content=False,
            add_special_tokens=False,
            tools_must_show=False,
            field=place,
            longest=frontend.max_sequence_length,
        )
        for (one, other), place in zip(body.pairs, places(field, len(documents)), strict=True)
    ]


def check_not_cut(frontend: Frontend, body: PairFields) -> None:
    """Raises InvalidRequest."""
    if body.truncates:
        raise InvalidRequest(
            f"truncate_prompt_tokens: {frontend.name} is shown query and document in one prompt; "
            "shorten the document",
            param="truncate_prompt_tokens",
        )


def knows_pairs(frontend: Frontend) -> bool:
    """Whether its template was written for them."""
    if not frontend.templates.named:
        return False
    template = frontend.templates.chosen(None, tools=False, documents=False)
    return template.knows_role(QUERY) and template.knows_role(DOCUMENT)


def messages(
    template: ChatTemplate, instruction: str, query: str, document: str
) -> list[dict[str, Any]]:
    """Those that show a pair to a model, by its own template where that knows of pairs."""
    if template.knows_role(QUERY) and template.knows_role(DOCUMENT):
        said = {"system": instruction, QUERY: query, DOCUMENT: document}
    else:
        asked = f"<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}"
        said = {"system": SYSTEM, "user": asked}
    return [{"role": role, "content": content} for role, content in said.items()]


def judged(
    frontend: Frontend, body: PairFields, prompts: Prompts, origin: CallOrigin
) -> PairedCall:
    """The call for these prompts. Raises InvalidRequest, which names the document."""
    assert frontend.judge is not None
    field, documents = body.document_texts
    fields = places(field, len(documents))
    return PairedCall(vectors_call(frontend, body, prompts, fields, origin, frontend.judge), None)
