"""The HTTP application. Built around whatever gives it a Service, so that tests need no cluster."""

from importlib.metadata import version

from fastapi import FastAPI

from raylax.router.http import errors, guard
from raylax.router.http.answer import Answers
from raylax.router.http.cluster import Cluster, add_cluster
from raylax.router.http.completions import add_completions
from raylax.router.http.embeddings import add_embeddings
from raylax.router.http.health import add_health
from raylax.router.http.messages import add_messages
from raylax.router.http.models import add_models
from raylax.router.http.responses import add_responses
from raylax.router.http.resuming import add_resuming
from raylax.router.http.tokens import add_tokens
from raylax.router.models import Models


def build_app(models: Models, cluster: Cluster) -> FastAPI:
    app = FastAPI(title="raylax", version=version("raylax"), docs_url=None, redoc_url=None)
    errors.install(app)
    guard.install(app, models.config, models.entrance)
    answers = Answers(models.config, models)
    add_completions(app, answers)
    add_embeddings(app, answers)
    add_responses(app, answers)
    add_messages(app, answers)
    add_tokens(app, answers)
    add_resuming(app, models)
    add_models(app, models)
    add_health(app, models)
    add_cluster(app, models, cluster)
    return app
