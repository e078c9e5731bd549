"""The HTTP application: all endpoints, behind authentication.

What it asks of the rest of the cluster is an argument, so that tests need none.
"""

import time

from starlette.routing import Router
from starlette.types import ASGIApp

from raylax.router.access.authentication import Authenticator
from raylax.router.access.browser_guard import BrowserGuard
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from raylax.router.http.authentication import AuthenticationMiddleware, with_cors
from raylax.router.http.batches.batches import add_batches
from raylax.router.http.batches.files import add_files
from raylax.router.http.endpoints.cluster import Cluster, add_cluster
from raylax.router.http.endpoints.completions import add_completions
from raylax.router.http.endpoints.dashboard import add_dashboard
from raylax.router.http.endpoints.debugging import add_debugging
from raylax.router.http.endpoints.embeddings import add_embeddings
from raylax.router.http.endpoints.health import add_health
from raylax.router.http.endpoints.messages import add_messages
from raylax.router.http.endpoints.models import add_models
from raylax.router.http.endpoints.responses.asking import add_responses
from raylax.router.http.endpoints.responses.kept import add_kept_responses
from raylax.router.http.endpoints.scaling import add_scaling
from raylax.router.http.endpoints.scores import add_scores
from raylax.router.http.endpoints.streams import add_streams
from raylax.router.http.endpoints.tokenize import add_tokenize
from raylax.router.http.endpoints.usage import add_usage
from raylax.router.http.handler import RequestHandler
from raylax.router.http.old_protocol import answer_old_clients
from raylax.router.http.reference.endpoints import add_reference
from raylax.router.http.routes import Routes
from raylax.router.http.sending import AnswerSender


def build_app(models: Models, cluster: Cluster) -> ASGIApp:
    """The application over these models, for any ASGI server."""
    answer_old_clients()
    routes, handler = Routes(), RequestHandler(models.config, models)
    add_completions(routes, handler)
    add_responses(routes, handler)
    add_kept_responses(routes, models)
    add_messages(routes, handler)
    add_embeddings(routes, handler)
    add_scores(routes, handler)
    add_tokenize(routes, handler)
    add_files(routes, models)
    add_batches(routes, models)
    add_streams(routes, models)
    add_models(routes, models)
    add_health(routes, models)
    add_usage(routes, models)
    add_cluster(routes, models, cluster)
    add_scaling(routes, cluster)
    add_dashboard(routes, models, cluster)
    add_debugging(routes, models)
    add_reference(routes)
    guard = guard_of(models.config, models.authenticator)
    sender = AnswerSender(models.state.answers, models.config.limits.read_timeout_s)
    app = AuthenticationMiddleware(
        Router(routes.all, redirect_slashes=False),
        models.authenticator,
        time.monotonic,
        sender,
        guard,
    )
    return with_cors(app, models.config.cors_origins, guard)


def guard_of(config: RouterConfig, authenticator: Authenticator) -> BrowserGuard:
    """What keeps web pages out while nobody is asked for a key."""
    return BrowserGuard(
        config.host,
        config.allowed_hosts,
        config.cors_origins,
        needed=lambda: authenticator.open,
    )
