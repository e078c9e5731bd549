"""Whether calls are told to OpenTelemetry: when its environment variables say where to.

Without them nothing of it is imported.
"""

import logging
import os
from collections.abc import Mapping

from raylax.router.observe.telemetry import NoTelemetry, Telemetry

log = logging.getLogger(__name__)
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def telemetry(environment: Mapping[str, str] = os.environ) -> Telemetry:
    """The telemetry that the environment asks for."""
    if not any(environment.get(name) for name in ENDPOINTS):
        return NoTelemetry()
    try:
        from raylax.router.observe.spans import span_recorder
    except ImportError as error:
        log.warning("calls are not traced: %s; pip install 'raylax[tracing]'", error)
        return NoTelemetry()
    return span_recorder()
