"""The app: every door behind one guard."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import APIRouter, FastAPI
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from temporalio.service import RPCError

from bootstrap import system_secret
from gateway import (
    activation_page,
    agency_pages,
    openid,
    pages,
    portal_events,
    rosters,
    sign_in,
    staff_pages,
    training_events,
    training_results,
    xapi,
)
from gateway.callers import To
from gateway.errands import Errands
from gateway.guard import Guard
from gateway.problems import Problem, described, handle_problems
from gateway.xapi import XapiHeaders
from mail.transport import Transport
from services.connections import Connections
from settings import Settings

health = APIRouter(tags=["operation"])

DESCRIPTION = "For training systems and agencies' programs. Errors are problem details (RFC 9457)."


@health.get("/healthz", summary="Does it run?")
async def healthz() -> dict[str, str]:
    """Whether the process answers; it asks nobody else."""
    return {"status": "runs"}


@health.get("/readyz", summary="Can it work?", responses=described(503))
async def readyz(to: To) -> dict[str, str]:
    """Whether the records and Temporal can be reached."""
    try:
        async with to.database.snapshot() as session:
            await (await session.connection()).execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError):
        raise HTTPException(503, "the records cannot be reached") from None
    try:
        await to.client.service_client.check_health()
    except (RPCError, RuntimeError):
        raise HTTPException(503, "Temporal cannot be reached") from None
    return {"status": "ready"}


def create_app(
    settings: Settings,
    connected: Callable[[], AbstractAsyncContextManager[tuple[Connections, Transport]]],
) -> FastAPI:
    """The app.

    Args:
        connected: Opens what the doors work with, for as long as the app serves.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with connected() as (app.state.connections, app.state.transport):
            app.state.errands = Errands()
            yield
            await app.state.errands.close()

    app = FastAPI(
        title="Assister portal access",
        description=DESCRIPTION,
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.secret = system_secret(settings)
    handle_problems(app)
    app.add_middleware(XapiHeaders)
    app.add_middleware(Guard, https=settings.gateway_url.startswith("https://"))
    for router in (
        training_events.router,
        health,
        training_results.router,
        xapi.router,
        portal_events.router,
        rosters.router,
        activation_page.router,
        openid.router,
        sign_in.router,
        agency_pages.router,
        staff_pages.router,
        pages.router,
    ):
        app.include_router(router)
    document = app.openapi()
    document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    return app
