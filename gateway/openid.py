"""Signing in by OpenID Connect, where a provider is configured: code flow with PKCE.

Like a mailed link it proves a mailbox and nothing more. The provider says that the address is
verified; the records and the list of staff say whose it is.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2
import structlog
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from gateway.callers import To
from gateway.visitors import cookie_of, rights_of, set_cookie, set_visit
from policy.addresses import BadAddress, clean_address, mailbox_key
from records.visits import LINK_WORKS, begin_visit, end_visit
from settings import Settings

router = APIRouter(prefix="/sign-in/openid", include_in_schema=False)

TIMEOUT = 10.0
CLOCKS = 300
"""Seconds by which the provider's clock may differ."""


class NotProven(Exception):
    """The provider's answer proves nobody's address; the text is for the log."""


@router.get("")
async def begin(request: Request) -> Response:
    """Sends the browser to the provider, with a state that only this browser can bring back."""
    settings = _configured(request)
    provider = await _discover(settings)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    challenge = hashlib.sha256(verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": settings.oidc_client_id,
        "redirect_uri": _back(settings),
        "scope": "openid email",
        "state": state,
        "nonce": nonce,
        "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    answer = RedirectResponse(f"{provider['authorization_endpoint']}?{urlencode(query)}", 303)
    seconds = int(LINK_WORKS.total_seconds())
    set_cookie(request, answer, "openid", f"{state}.{nonce}.{verifier}", seconds)
    return answer


@router.get("/back")
async def back(request: Request, to: To) -> Response:
    """Takes the browser back and asks the provider who signed in."""
    settings = _configured(request)
    kept = cookie_of(request, "openid").split(".")
    state = request.query_params.get("state", "")
    if len(kept) != 3 or not hmac.compare_digest(kept[0].encode(), state.encode()):
        raise HTTPException(403, "Begin again, in this browser: this sign-in was not begun here.")
    try:
        claims = await _claims(settings, request.query_params.get("code", ""), kept[2])
        mailbox = _mailbox(settings, claims, kept[1])
    except NotProven as unproven:
        structlog.get_logger().warning("openid sign-in refused", reason=str(unproven))
        raise HTTPException(403, "The sign-in did not work. Begin again.") from None
    async with to.database.transaction() as session:
        if not await rights_of(session, settings, mailbox):
            raise HTTPException(
                403, "Your address is not on record as a contact's. Ask the ARC to add it."
            )
        await end_visit(session, cookie_of(request, "visit"))
        cookie = begin_visit(session, mailbox, datetime.now(UTC))
    answer = RedirectResponse("/home", 303)
    set_visit(request, answer, cookie)
    set_cookie(request, answer, "openid", "", 0)
    return answer


async def _discover(settings: Settings) -> Mapping[str, Any]:
    where = f"{settings.oidc_issuer}/.well-known/openid-configuration"
    try:
        async with httpx2.AsyncClient(timeout=TIMEOUT) as http:
            provider = (await http.get(where)).raise_for_status().json()
    except (httpx2.HTTPError, ValueError):
        raise HTTPException(
            503, "The sign-in service does not answer. Try a mailed link."
        ) from None
    scheme = urlsplit(settings.oidc_issuer).scheme
    endpoints = [provider.get(f"{each}_endpoint") for each in ("authorization", "token")]
    if str(provider.get("issuer", "")).rstrip("/") != settings.oidc_issuer or not all(
        isinstance(each, str) and urlsplit(each).scheme == scheme for each in endpoints
    ):
        raise HTTPException(503, "The sign-in service is not the one that is configured.")
    found: Mapping[str, Any] = provider
    return found


async def _claims(settings: Settings, code: str, verifier: str) -> Mapping[str, Any]:
    """What the ID token says. It comes from the provider itself, over a connection of ours, which
    stands for its signature (OpenID Connect Core 3.1.3.7, 6).
    """
    provider = await _discover(settings)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": _back(settings),
        "client_id": settings.oidc_client_id,
        "code_verifier": verifier,
    }
    client = (settings.oidc_client_id, settings.oidc_client_secret.get_secret_value())
    try:
        async with httpx2.AsyncClient(timeout=TIMEOUT) as http:
            answer = await http.post(provider["token_endpoint"], data=form, auth=client)
            part = answer.raise_for_status().json()["id_token"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=="))
    except (httpx2.HTTPError, ValueError, KeyError, IndexError, AttributeError, TypeError):
        raise NotProven("the token endpoint gave no ID token") from None
    if not isinstance(claims, dict):
        raise NotProven("the ID token holds no claims")
    return claims


def _mailbox(settings: Settings, claims: Mapping[str, Any], nonce: str) -> str:
    audience = claims.get("aud")
    expires = claims.get("exp")
    if str(claims.get("iss", "")).rstrip("/") != settings.oidc_issuer:
        raise NotProven("the issuer is another one")
    if settings.oidc_client_id not in (audience if isinstance(audience, list) else [audience]):
        raise NotProven("it is meant for another client")
    if not isinstance(expires, int | float) or expires + CLOCKS < datetime.now(UTC).timestamp():
        raise NotProven("it has expired")
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise NotProven("the nonce is another one")
    if claims.get("email_verified") is not True:
        raise NotProven("the provider has not verified the address")
    try:
        return mailbox_key(clean_address(str(claims.get("email", ""))))
    except BadAddress:
        raise NotProven("there is no address") from None


def _configured(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    if not settings.oidc_issuer:
        raise HTTPException(404)
    return settings


def _back(settings: Settings) -> str:
    return f"{settings.gateway_url}/sign-in/openid/back"
