"""What a router has once, whatever the model."""

from collections.abc import Callable
from dataclasses import dataclass, field

from raylax.proto.shares import ShareOf
from raylax.router.access.byte_budget import ByteBudget
from raylax.router.access.places import Places
from raylax.router.access.rate_limits import RateLimiter
from raylax.router.observe.acts import Acts
from raylax.router.observe.telemetry import Telemetry
from raylax.router.observe.timeline import Timelines
from raylax.router.observe.usage import Usage
from raylax.router.prompts.parse_pool import ParsePool
from raylax.router.prompts.pool import PromptPool
from raylax.router.resume.answer_log import AnswerLogs
from raylax.router.resume.kept_answers import KeptAnswers
from raylax.router.resume.kept_responses import KeptResponses


@dataclass(frozen=True, slots=True)
class RouterState:
    """What the services of all models share: how much callers may ask, and what is kept of calls.

    Each part is changed by its own methods only, on the router's event loop.
    """

    clock: Callable[[], float]
    share_of: ShareOf
    """By the API keys as they are now."""
    rate_limiter: RateLimiter
    places: Places
    kept_answers: KeptAnswers
    kept_responses: KeptResponses
    telemetry: Telemetry
    bodies: ByteBudget
    """Of requests that are being received and read."""
    answers: ByteBudget
    """Of answers that are being written and sent."""
    answer_logs: AnswerLogs
    prompts: PromptPool
    timelines: Timelines
    parse_pool: ParsePool
    usage: Usage = field(default_factory=Usage)
    acts: Acts = field(default_factory=Acts)
