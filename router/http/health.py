"""How this router is, for those who watch it: no key is asked for, no body is read."""

from importlib.metadata import version

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from raylax.router.models import Models


def add_health(app: FastAPI, models: Models) -> None:
    @app.get("/health")
    @app.get("/health/ready")
    async def ready() -> Response:
        """Whether requests are served."""
        workers = models.ready_workers
        status = "ok" if workers else "no worker is ready"
        return JSONResponse({"status": status, "workers": workers}, 200 if workers else 503)

    @app.get("/health/live")
    async def live() -> dict[str, str]:
        """That this answers is all that it says."""
        return {"status": "ok"}

    @app.get("/version")
    async def versions() -> dict[str, str]:
        return {"version": version("raylax")}
