"""Which models there are: GET /v1/models."""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.types import ASGIApp

from raylax.proto.openai.models import ModelCard, ModelList
from raylax.router.calls.models import Models
from raylax.router.calls.service import Service
from raylax.router.http.handler import json_response
from raylax.router.http.routes import Routes


def add_models(routes: Routes, known: Models) -> None:
    created = datetime.now(UTC).replace(microsecond=0)

    def card(service: Service, name: str) -> ModelCard:
        longest = service.frontend.max_sequence_length
        return ModelCard(
            id=name,
            created=int(created.timestamp()),
            max_model_len=longest,
            root=service.name,
            display_name=name,
            created_at=created,
        )

    async def models(request: Request) -> ASGIApp:
        known.any()
        return json_response(ModelList(data=[card(one, name) for name, one in known.listed]))

    async def model(request: Request) -> ASGIApp:
        name = request.path_params["name"]
        return json_response(card(known.named(name), name))

    routes.get("/v1/models", models, ModelList)
    routes.get("/v1/models/{name:path}", model, ModelCard)
