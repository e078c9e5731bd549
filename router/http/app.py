"""The HTTP application. Built around whatever gives it a Service, so that tests need no cluster."""

import time

from starlette.routing import Router
from starlette.types import ASGIApp

from raylax.router.calls.models import Models
from raylax.router.http import authentication
from raylax.router.http.endpoints.cluster import Cluster, add_cluster
from raylax.router.http.endpoints.completions import add_completions
from raylax.router.http.endpoints.embeddings import add_embeddings
from raylax.router.http.endpoints.health import add_health
from raylax.router.http.endpoints.messages import add_messages
from raylax.router.http.endpoints.models import add_models
from raylax.router.http.endpoints.responses import add_responses
from raylax.router.http.endpoints.tokenize import add_tokens
from raylax.router.http.handler import Answers
from raylax.router.http.resuming import add_resuming
from raylax.router.http.routes import Routes


def build_app(models: Models, cluster: Cluster) -> ASGIApp:
    routes, answers = Routes(), Answers(models.config, models)
    add_completions(routes, answers)
    add_responses(routes, answers)
    add_messages(routes, answers)
    add_embeddings(routes, answers)
    add_tokens(routes, answers)
    add_resuming(routes, models)
    add_models(routes, models)
    add_health(routes, models)
    add_cluster(routes, models, cluster)
    guarded = authentication.Guard(
        Router(routes.all, redirect_slashes=False), models.authenticator, time.monotonic
    )
    return authentication.for_browsers(guarded, models.config.cors_origins)
