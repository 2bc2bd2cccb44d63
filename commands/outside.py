"""The people and systems outside, for the demo: a training system, a contact, assisters."""

import html
import re
from datetime import UTC, datetime

import httpx2

from embedded.inbox import Inbox, body_of
from records.database import Database
from records.keys import Kind, make_key

LINK = re.compile(r"http://\S+/sign-in/\S+")
TOKEN = re.compile(r'name="token" value="(\w+)"')
ALERT = re.compile(r'role="alert"[^>]*>([^<]+)<')
PATIENCE = 90.0
"""Seconds after which a step of the demo counts as failed."""


class Outside:
    """Speaks to the gateway like a browser and like a program."""

    def __init__(self, url: str, inbox: Inbox) -> None:
        # A browser sends this with a form that comes from the page itself.
        headers = {"Sec-Fetch-Site": "same-origin"}
        # The gateway closes a connection that was idle for five seconds, as httpx2 does by default:
        # a request could just meet that end.
        limits = httpx2.Limits(keepalive_expiry=1)
        self._http = httpx2.AsyncClient(
            base_url=url, headers=headers, timeout=PATIENCE, limits=limits
        )
        self._inbox = inbox

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def reaches(self) -> bool:
        """Whether the gateway answers."""
        try:
            return (await self._http.get("/readyz")).is_success
        except httpx2.TransportError:
            return False

    async def send_results(self, database: Database, export: str) -> int:
        """Sends an export as a training system; returns how many rows were accepted."""
        async with database.transaction() as session:
            _, key = await make_key(
                session, Kind.TRAINING, "learning-center", None, datetime.now(UTC)
            )
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "text/csv"}
        answer = await self._http.post("/training/results", content=export, headers=headers)
        accepted: int = answer.raise_for_status().json()["accepted"]
        return accepted

    async def ask_for_link(self, email: str) -> None:
        """Asks for a link to sign in, as a contact's browser does."""
        (await self._http.post("/sign-in", data={"email": email})).raise_for_status()

    async def sign_in(self) -> bool:
        """Opens the newest link in the mail, if one has come."""
        links = [found for each in self._inbox.messages() if (found := LINK.search(body_of(each)))]
        return bool(links) and (await self._http.post(links[-1][0])).is_redirect

    async def submit_roster(self, agency: str, roster_type: str, file: tuple[str, str]) -> str:
        """Chooses a roster, looks at what would happen, and submits it; returns its id.

        Args:
            file: Its name and its content.
        """
        page = await self._http.get(f"/agencies/{agency}")
        form = {"token": _token(page), "type": roster_type, "encoding": "utf-8-sig"}
        chosen = await self._http.post(
            f"/agencies/{agency}/drafts",
            data=form,
            files={"file": file},
        )
        draft = chosen.headers["location"]
        checked = await self._http.get(draft)
        done = await self._http.post(draft, data={"token": _token(checked)})
        return str(done.headers["location"]).rpartition("/")[2]

    async def activate(self, number: str) -> str:
        """Uses a registration number on the activation page; returns what it says against it."""
        answer = await self._http.post("/activate", data={"registration_number": number})
        said = ALERT.search(answer.text)
        return html.unescape(said[1]) if said else ""


def _token(page: httpx2.Response) -> str:
    found = TOKEN.search(page.text)
    assert found is not None, "the page has no form"
    return found[1]
