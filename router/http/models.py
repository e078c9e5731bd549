"""Which models there are: GET /v1/models."""

import time

from fastapi import FastAPI

from raylax.proto.openai.models import ModelCard, ModelList
from raylax.router.models import Models
from raylax.router.service import Service


def add_models(app: FastAPI, known: Models) -> None:
    created = int(time.time())

    def card(service: Service) -> ModelCard:
        longest = service.frontend.max_sequence_length
        return ModelCard(id=service.name, created=created, max_model_len=longest)

    @app.get("/v1/models")
    async def models() -> ModelList:
        known.any()
        return ModelList(data=[card(service) for service in known.services])

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> ModelCard:
        return card(known.named(name))
