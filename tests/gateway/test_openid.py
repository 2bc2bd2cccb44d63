"""Signing in by OpenID Connect, with the provider of another project."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from oidc_provider_mock import User, run_server_in_thread  # type: ignore[import-untyped]
from pydantic import SecretStr

from tests.support.gateway import Gateway, Serving
from tests.support.system import AGENCY, CONTACT

CLIENT = partial(httpx2.AsyncClient, timeout=60)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
"""Of the provider's own libraries."""


def user(sub: str, email: str, verified: object = True) -> User:
    return User(sub=sub, claims={"email": email, "email_verified": verified})


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    known = [
        user("pat", CONTACT.upper()),
        user("stranger", "nobody@elsewhere.example.org"),
        user("unverified", CONTACT, False),
        user("nearly", CONTACT, "true"),
        user("none", "no address"),
    ]
    with run_server_in_thread(user_claims=known) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
async def gateway(serve: Serving, issuer: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("gateway.openid.TIMEOUT", 60.0)
    async with serve(
        oidc_issuer=issuer, oidc_client_id="gateway", oidc_client_secret=SecretStr("s")
    ) as made:
        yield made


async def to_provider(browser: httpx2.AsyncClient, sub: str) -> str:
    """Signs in at the provider; returns the address to which it sends the browser back."""
    begun = await browser.get("/sign-in/openid")
    async with CLIENT() as other:
        answer = await other.post(begun.headers["location"], data={"sub": sub})
    return str(answer.headers["location"])


async def test_a_contact_signs_in(gateway: Gateway) -> None:
    browser = gateway.browser()
    assert "/sign-in/openid" in (await browser.get("/sign-in")).text
    done = await browser.get(await to_provider(browser, "pat"))
    assert done.headers["location"] == "/home"
    assert (await browser.get(f"/agencies/{AGENCY}")).status_code == 200


@pytest.mark.parametrize("sub", ["stranger", "unverified", "nearly", "none"])
async def test_whose_address_is_not_proven_or_unknown_does_not(gateway: Gateway, sub: str) -> None:
    browser = gateway.browser()
    refused = await browser.get(await to_provider(browser, sub))
    assert refused.status_code == 403
    assert "visit" not in browser.cookies


async def test_another_browser_or_another_code_does_not(gateway: Gateway) -> None:
    browser, other = gateway.browser(), gateway.browser()
    back = await to_provider(browser, "pat")
    # An attacker sends this address to another browser, which must not be signed in as Pat.
    await other.get("/sign-in/openid")
    assert (await other.get(back)).status_code == 403
    assert (await gateway.browser().get(back)).status_code == 403
    [state] = parse_qs(urlsplit(back).query)["state"]
    forged = await browser.get("/sign-in/openid/back", params={"state": state, "code": "x"})
    assert forged.status_code == 403
    assert (await browser.get(back)).status_code == 303
    assert (await browser.get(back)).status_code == 403


WRONG: list[dict[str, Any]] = [
    {"iss": "https://evil.example.org"},
    {"aud": "another"},
    {"aud": ["another"]},
    {"exp": 1},
    {"exp": "soon"},
    {"nonce": "another"},
    {"nonce": None},
    {"email_verified": "true"},
    {"email": None},
]


@pytest.mark.parametrize("changes", WRONG)
async def test_an_id_token_that_is_not_for_this_sign_in_is_refused(
    gateway: Gateway, issuer: str, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    said: dict[str, Any] = {
        "iss": issuer,
        "aud": "gateway",
        "exp": datetime.now(UTC).timestamp() + 60,
        "email": CONTACT,
        "email_verified": True,
    }

    async def provider(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("configuration"):
            token, begin = f"{issuer}/token", f"{issuer}/begin"
            content = {"issuer": issuer, "token_endpoint": token, "authorization_endpoint": begin}
            return httpx2.Response(200, json=content)
        part = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
        return httpx2.Response(200, json={"id_token": f"x.{part}.x"})

    client = partial(CLIENT, transport=httpx2.MockTransport(provider))
    monkeypatch.setattr("gateway.openid.httpx2.AsyncClient", client)
    for wrong in (True, False):
        browser = CLIENT(base_url=gateway.url, headers={"Accept": "text/html"})
        begun = await browser.get("/sign-in/openid")
        asked = parse_qs(urlsplit(begun.headers["location"]).query)
        said["nonce"] = asked["nonce"][0]
        before = dict(said)
        said.update(changes if wrong else {})
        query = {"state": asked["state"][0], "code": "c"}
        answer = await browser.get("/sign-in/openid/back", params=query)
        assert answer.status_code == (403 if wrong else 303)
        said = before
        await browser.aclose()


async def test_a_provider_that_is_away_leaves_the_mailed_link(serve: Serving) -> None:
    async with serve(oidc_issuer="http://127.0.0.1:1", oidc_client_id="gateway") as gateway:
        answer = await gateway.browser().get("/sign-in/openid")
    assert answer.status_code == 503
    assert "mailed link" in answer.text


async def test_without_a_provider_there_is_no_such_page(serve: Serving) -> None:
    async with serve() as gateway:
        for path in ("/sign-in/openid", "/sign-in/openid/back"):
            assert (await gateway.browser().get(path)).status_code == 404
