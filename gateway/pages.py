"""Pages for people: plain HTML that works without scripts, in one layout."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from policy.calendar import CENTRAL
from policy.text import counted

TEMPLATES = Path(__file__).parent / "templates"
STYLE = "/style.css"
MINUTE = timedelta(minutes=1)

_environment = Environment(
    loader=FileSystemLoader(TEMPLATES),
    undefined=StrictUndefined,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
router = APIRouter(include_in_schema=False)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _day(moment: datetime | None) -> str:
    """The day of a moment; for midnight, the day that ends with it."""
    return f"{(moment - MINUTE).astimezone(CENTRAL):%b %-d, %Y}" if moment else ""


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(CENTRAL):%b %-d, %Y, %-I:%M %p}"


_environment.filters.update(words=_words, day=_day, moment=_moment, counted=counted)


@router.get(STYLE)
async def style() -> FileResponse:
    """The style sheet of every page."""
    return FileResponse(
        TEMPLATES / "style.css", media_type="text/css", headers={"cache-control": "max-age=3600"}
    )


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page; every value in it is escaped."""
    html = _environment.get_template(template).render(
        arc=request.app.state.settings, style=STYLE, **values
    )
    return HTMLResponse(html, status)


def error_page(request: Request, status: int, detail: str, headers: dict[str, str]) -> HTMLResponse:
    """A problem as a person reads it."""
    shown = page(request, "error.html", status, detail=detail)
    shown.headers.update(headers)
    return shown
