"""Forms that people send: from our own pages only, and small."""

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from fastapi import Request
from starlette.exceptions import HTTPException

MOST = 16 * 2**10
"""Bytes."""
FIELDS = 20


def only_from_our_pages(request: Request) -> None:
    """Refuses what another site's page sends. Asked before anything of a form is read.

    Browsers say from where a form comes in Sec-Fetch-Site; by plain http some say Origin only.

    Raises:
        HTTPException: 403.
    """
    site = request.headers.get("sec-fetch-site")
    ours = urlsplit(request.app.state.settings.gateway_url)
    origin = request.headers.get("origin", "")
    if site != "same-origin" and (site is not None or origin != f"{ours.scheme}://{ours.netloc}"):
        raise HTTPException(403, "This form must be sent from its own page. Open the page again.")


async def form_of(request: Request) -> Mapping[str, str]:
    """A form's fields; those it lacks are not there.

    Raises:
        HTTPException: 413 or 415 for what is no small form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "This is not a form.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST:
            raise HTTPException(413, "This form is too large.")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS)
    except ValueError:
        raise HTTPException(400, "This form cannot be read.") from None
    return dict(fields)


def check_token(sent: object, token: str) -> None:
    """Compares a form's token with its visit's.

    Raises:
        HTTPException: 403.
    """
    if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), token.encode()):
        raise HTTPException(403, "This form is no longer good. Open the page again.")
