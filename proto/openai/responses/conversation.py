"""What a response answers: the turns before it, as they are kept, and the items of its request."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from pydantic import TypeAdapter

from raylax.proto.errors import InvalidRequest, NotFound, PreviousResponseNotFound
from raylax.proto.openai.responses.items import Item, ItemReference
from raylax.proto.openai.responses.kept import KeptResponse, Said, as_said, quoted, response_of
from raylax.proto.openai.responses.request import MOST_ITEMS, ResponsesRequest

ITEMS: TypeAdapter[list[Item]] = TypeAdapter(list[Item])
Kept = Mapping[str, KeptResponse]


def needed_by(body: ResponsesRequest) -> set[str]:
    """The ids of the responses that a request goes on from, or has items of."""
    named = {body.previous_response_id, *map(response_of, _references(body))}
    return {one for one in named if one is not None}


def items_for(body: ResponsesRequest, id: str, kept: Kept, unless_kept: str) -> list[Said]:
    """What the response of this id is to answer: the items of earlier turns, then those of `body`.
    `kept`: of the responses that are `needed_by` it those that there are; `unless_kept`: why others
    are not. Raises PreviousResponseNotFound, NotFound for an item, and InvalidRequest."""
    items: list[Said] = []
    if (previous := body.previous_response_id) is not None:
        if previous not in kept:
            raise PreviousResponseNotFound(
                f"Previous response with id {quoted(previous)} not found: {unless_kept}",
                param="previous_response_id",
            )
        items += kept[previous].asked + kept[previous].output
    earlier, ids = len(items), {one["id"] for one in items}
    referred = _referred_in(body, kept)
    for number, item in enumerate(body.items):
        if not isinstance(item, ItemReference):
            items.append(as_said(item, id, number))
            continue
        at, named = f"input.{number}", quoted(item.id)
        if item.id in ids:
            raise InvalidRequest(f"{at}: Item with id {named} is there already", param=at)
        if item.id not in referred:
            raise NotFound(f"{at}: Item with id {named} not found: {unless_kept}", param=at)
        ids.add(item.id)
        items.append(referred[item.id])
    if len(items) > MOST_ITEMS:
        raise InvalidRequest(
            f"input: a conversation may have {MOST_ITEMS} items, with the {earlier} of "
            f"previous_response_id it has {len(items)}",
            param="input",
        )
    return items


def _references(body: ResponsesRequest) -> Iterator[str]:
    return (one.id for one in body.items if isinstance(one, ItemReference))


def _referred_in(body: ResponsesRequest, kept: Kept) -> dict[str, Said]:
    """By id, the items of the responses that a request has items of. Each is read once; what it
    answers, which is longer, only where it is needed."""
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for id in _references(body):
        wanted[response_of(id) or ""].add(id)
    found: dict[str, Said] = {}
    for response_id in wanted.keys() & kept.keys():
        response = kept[response_id]
        found |= by_id(response.output)
        if not wanted[response_id] <= found.keys():
            found |= by_id(response.asked)
    return found


def by_id(items: list[Said]) -> dict[str, Said]:
    return {one["id"]: one for one in items}


def answering(body: ResponsesRequest, items: list[Said]) -> ResponsesRequest:
    """The request with these items for its input."""
    return body.model_copy(update={"input": ITEMS.validate_python(items)})
