"""Reading forms: small, and sent from our own pages only."""

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from fastapi import Request
from starlette.exceptions import HTTPException

from gateway.bodies import media_type, small_body

MOST = 16 * 2**10
"""Bytes."""
FIELDS = 20


async def only_from_our_pages(request: Request) -> None:
    """Refuses a form that another site's page sends, before any of it is read.

    Browsers name a form's origin in Sec-Fetch-Site; over plain HTTP some send only Origin.

    Raises:
        HTTPException: 403.
    """
    site = request.headers.get("sec-fetch-site")
    ours = urlsplit(request.app.state.settings.gateway_url)
    origin = request.headers.get("origin", "")
    if site != "same-origin" and (site is not None or origin != f"{ours.scheme}://{ours.netloc}"):
        raise HTTPException(403, "This form must be sent from its own page. Open the page again.")


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields that a form has.

    Raises:
        HTTPException: 413 or 415 if it is not a small form.
    """
    if media_type(request) != "application/x-www-form-urlencoded":
        raise HTTPException(415, "This is not a form.")
    body = await small_body(request, MOST, "This form is too large.")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS)
    except ValueError:
        raise HTTPException(400, "This form cannot be read.") from None
    if any("\0" in each for field in fields for each in field):
        # PostgreSQL takes it in no text.
        raise HTTPException(400, "This form cannot be read.")
    return dict(fields)


async def visitors_form(request: Request, token: str) -> Mapping[str, str]:
    """The fields of a form from somebody who has signed in; the visit's token is checked.

    Raises:
        HTTPException: 403, 413 or 415.
    """
    form = await form_of(request)
    check_token(form.get("token"), token)
    return form


def check_token(sent: object, token: str) -> None:
    """Compares a form's token with its visit's.

    Raises:
        HTTPException: 403.
    """
    if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), token.encode()):
        raise HTTPException(403, "This form is no longer good. Open the page again.")
