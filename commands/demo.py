"""The demo: the policy at work on one roster, with the worker killed in the middle."""

import asyncio
import os
import re
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr
from rich.padding import Padding
from rich.text import Text
from sqlmodel import func, select

from bootstrap import make_portal
from commands import console
from commands.outside import PATIENCE, Outside
from embedded.inbox import body_of
from embedded.stack import Stack, embedded_stack
from embedded.temporal_server import TIME_SKIPPING, skip_time
from embedded.web_ui import free_port
from intake.files import read_table
from intake.results import judge_results, read_results
from policy.requirements import AssisterType
from portal.tables import PortalAccount
from records.database import Database
from records.people import record_agency
from services.connections import Connections
from services.orders import order
from services.results import import_results
from services.rosters import progress, verdicts
from settings import Settings
from workflows.client import case_status
from workflows.contract import IntakeProgress, Status, assister_workflow_id
from workflows.lists import link, ready_made

DATA = Path(__file__).parent / "demo_data"
AGENCY = "AG-100"
CONTACT = "pat.contact@northstar.example.org"
STAFF = "sam@arc.example.org"
BEFORE_ROSTER = 11
"""Rows of the results file that are imported before the roster is there."""
ACTIVATE = {"NAV1001": "ann.", "NAV1002": "bao."}
"""Assisters who activate at once, and how their addresses begin."""
LATE, NEVER_ACTIVATES = "NAV1003", "NAV1005"
REFUSED, REFUSED_ADDRESS = "NAV1006", "farah.abdi@northstar.example.org"
MAILED = (*ACTIVATE, LATE, NEVER_ACTIVATES)
"""Assisters who meet all requirements and whose address accepts mail."""
NUMBER = re.compile(r"REGISTRATION NUMBER: (\S+)")
STAFF_ORDER = re.compile(r"staff: (reissue|resend|reinstate)_\w+")
"""An update as a case names it. The command in a terminal has a shorter name."""

AnswerT = TypeVar("AnswerT")
Visit = Callable[[Stack], Awaitable[None]]


async def run_demo(*, keep: bool, visit: Visit | None = None) -> None:
    """Runs the demo on a stack of its own, in a folder that is removed at the end.

    Args:
        keep: Leaves the stack up until Ctrl-C.
        visit: Is shown the stack before it is taken down.
    """
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="assister-demo-", ignore_cleanup_errors=True) as folder:
        gateway_port = free_port()
        settings = Settings(
            _env_file=None,
            data_dir=Path(folder),
            database_url="",
            smtp_port=free_port(),
            gateway_port=gateway_port,
            staff=(STAFF,),
            gateway_url=f"http://127.0.0.1:{gateway_port}",
            portal_secret=SecretStr(""),
        )
        console.out.print(
            "MNsure's Assister Portal Access policy: a durable case for each assister.\n"
            "Temporal's server, a mail inbox, a worker and the gateway start …",
            highlight=False,
        )
        async with embedded_stack(
            settings,
            temporal_port=free_port(),
            ui_port=free_port(),
            dynamic_config=TIME_SKIPPING,
        ) as stack:
            demo = _Demo(stack)
            try:
                await demo.run()
                _step(f"That took {time.monotonic() - begun:.0f} seconds. Look next at")
                demo.show_where_to_look(keep=keep)
                if visit is not None:
                    await visit(stack)
            finally:
                await demo.outside.close()
                await demo.to.database.close()
            if keep:
                await asyncio.Event().wait()


class _Demo:
    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.outside = Outside(stack.settings.gateway_url, stack.inbox)
        database = Database(stack.settings.records_url)
        self.to = Connections(
            database,
            stack.client,
            make_portal(stack.settings, database),
            stack.settings.task_queue,
            stack.settings.terms,
        )

    async def run(self) -> None:
        """Plays the policy's procedure, from the first results to active accounts."""
        self.stack.inbox.refusals[REFUSED_ADDRESS] = "550 5.1.1 no such user"
        await self._record_agency()
        export = DATA / "results.csv"
        results = list(judge_results(read_results(export), datetime.now(UTC)))
        _step("Results from a training system, before any roster: cases open and wait")
        await _until(self.outside.reaches, bool)
        early = "\n".join(export.read_text().splitlines()[: 1 + BEFORE_ROSTER])
        taken = await self.outside.send_results(self.to.database, early)
        _say(f"POST /training/results: {taken} results taken.")
        accepted = await self._submit_roster()
        _step("More results: five assisters meet all requirements, and the worker is killed")
        self.stack.inbox.answers.clear()
        await import_results(self.to, results[BEFORE_ROSTER:])
        _say("In results.csv one row is rejected:")
        for each in results:
            if each.reasons:
                _reject(each.line, each.reasons[0]._asdict())
        await self._kill_the_worker()
        await self._activations()
        await self._expiry_and_reissue()
        await self._show_cases(accepted)

    async def _record_agency(self) -> None:
        names = ("agency_id", "agency_name", "contact_name", "contact_email")
        columns = {name: name.replace("_", " ") for name in names}
        async with self.to.database.transaction() as session:
            for row in read_table(DATA / "agencies.csv", columns, columns):
                cells = row.cells
                contact = (cells["contact_name"], cells["contact_email"])
                await record_agency(session, cells["agency_id"], cells["agency_name"], [contact])

    async def _submit_roster(self) -> list[str]:
        """Submits the roster; returns the accepted Training IDs."""
        _step("The agency's roster: a verdict for every row, a case for every accepted one")
        await self.outside.ask_for_link(CONTACT)
        await _until(self.outside.sign_in, bool)
        file = DATA / "navigators.csv"
        submission = await self.outside.submit_roster(
            AGENCY, AssisterType.NAVIGATOR, (file.name, file.read_text())
        )
        _say("The contact signed in by a mailed link, saw every verdict, and submitted.")

        async def asked() -> IntakeProgress:
            return await progress(self.to.client, submission)

        at = await _until(asked, lambda it: it.stage == "done")
        _say(f"{at.accepted} rows accepted, {at.rejected} rejected, each with its reason:")
        rows = await verdicts(self.to.database, submission)
        for row in rows:
            for reason in row["reasons"][:1]:
                _reject(row["line"], reason)
        return [each["training_id"] for each in rows if each["verdict"] == "accepted"]

    async def _kill_the_worker(self) -> None:
        """Kills the worker once the first account is made, and waits until the next one is done.

        The mail server answers nobody until then: the worker dies with work left, however fast.
        """
        await _until(self._accounts, lambda made: made > 0, pause=0.002)
        killed = self.stack.workers[-1]
        os.kill(killed, signal.SIGKILL)
        made, mails = await self._accounts(), len(self._activation_mails())
        self.stack.inbox.answers.set()
        _say(
            f"✗ Worker {killed} is dead (SIGKILL): {made} of 5 accounts made, {mails} activation"
            " mails out.",
            style="bold red",
        )
        begun = time.monotonic()
        with console.err.status(
            "A second worker starts; it takes over what the first one held within 30 s …"
        ):
            for each in MAILED:
                await self._until(each, _mailed("activation"))
            await self._until(REFUSED, lambda status: bool(status.attention))
        made, mails = await self._accounts(), len(self._activation_mails())
        _say(
            "✓ A second worker continued where the first one stopped. After"
            f" {time.monotonic() - begun:.0f} s: {made} accounts, {mails} activation mails.",
            style="bold green",
        )
        _say(f"The mail server refused {REFUSED}'s address: a person must correct it (see below).")

    async def _activations(self) -> None:
        _step("Activation: two assisters use the number from their mail on the page")
        for training_id, address in ACTIVATE.items():
            assert not await self.outside.activate(self._number(address))
            await self._until(training_id, _mailed("confirmation"))
        _say(f"{' and '.join(ACTIVATE)} are active, and their confirmations are out.")

    async def _expiry_and_reissue(self) -> None:
        _step("Expiry: the demo moves the clock forward by twelve days")
        expired = self._number("carmen.")
        for each in (LATE, NEVER_ACTIVATES):
            case = self.to.client.get_workflow_handle(assister_workflow_id(each))
            await skip_time(self.to.client, case, timedelta(days=12))
            await self._until(each, _mailed("activation_expired_agency"))
        _say(
            f"{LATE} and {NEVER_ACTIVATES} do nothing: each gets two reminders, then the number"
            " expires."
        )
        _say(f"{LATE} tries it now: “{await self.outside.activate(expired)}”")
        await order(
            self.to.database,
            self.to.client,
            assister_workflow_id(LATE),
            "reissue_activation",
            STAFF,
            "The assister called",
        )

        async def mailed() -> str:
            return self._number("carmen.")

        number = await _until(mailed, lambda number: number != expired)
        assert not await self.outside.activate(number)
        await self._until(LATE, _mailed("confirmation"))
        _say(f"Staff issue a new number (starter.py reissue {LATE} …), and it works.")

    async def _show_cases(self, accepted: list[str]) -> None:
        await self._until("NAV1004", _mailed("assessment_failed"))
        rows = []
        for each in sorted(accepted):
            status = await case_status(self.to.client, each)
            sent = sum(mail.sent_at is not None for mail in status.mails)
            acting = STAFF_ORDER.sub(_in_a_terminal, "; ".join(status.who_must_act))
            rows.append((each, console.words(status.stage), sent, acting or "nobody"))
        columns = ("Training ID", "stage", "mails", "who must act, and how")
        console.out.print(console.table("\nEvery assister with an accepted row", columns, rows))

    def show_where_to_look(self, *, keep: bool) -> None:
        """Shows what there is to look at, and how."""
        ui, namespace = self.stack.environment["ASSISTER_UI_URL"], self.to.client.namespace
        if keep:
            [attention, *_] = ready_made(datetime.now(UTC))
            _say(f"The Temporal UI: {link(ui, namespace, attention.query)}")
            gateway = self.stack.settings.gateway_url
            _say(f"The pages: {gateway}/activate  {gateway}/sign-in as {CONTACT} or {STAFF}")
            _say(f"The mails: {self.stack.inbox.folder / 'index.html'}")
            _say("Ctrl-C ends it.")
        else:
            _say("make demo KEEP=1      the same, with the pages, the Temporal UI and the mails")
            _say("starter.py up         the stack, to use; starter.py --help says how")
            _say("docs/staff-guide.md   what staff see and do, in pictures")

    async def _accounts(self) -> int:
        async with self.to.database.snapshot() as session:
            made = select(func.count()).where(PortalAccount.registration > 0)
            return (await session.exec(made)).one()

    def _activation_mails(self) -> list[tuple[str, str]]:
        """Address and registration number of each mail that has one, newest first."""
        return [
            (str(message["To"]), found[1])
            for message in reversed(list(self.stack.inbox.messages()))
            if (found := NUMBER.search(body_of(message)))
        ]

    def _number(self, address: str) -> str:
        """The newest registration number that was mailed there."""
        return next(number for to, number in self._activation_mails() if f"<{address}" in to)

    async def _until(self, training_id: str, reached: Callable[[Status], bool]) -> Status:
        return await _until(lambda: case_status(self.to.client, training_id), reached)


async def _until(
    ask: Callable[[], Awaitable[AnswerT]], reached: Callable[[AnswerT], bool], pause: float = 0.1
) -> AnswerT:
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = await ask()
            if reached(answer):
                return answer
            await asyncio.sleep(pause)


def _step(title: str) -> None:
    console.out.print(f"\n[bold]{title}[/bold]", highlight=False)


def _say(text: str, style: str = "") -> None:
    _indented(text, style)


def _indented(text: str, style: str) -> None:
    # Its later lines, too. A link is not broken: people click it.
    console.out.print(
        Padding(Text(text, style), (0, 0, 0, 2), expand=False), soft_wrap="://" in text
    )


def _reject(line: int, reason: Mapping[str, str]) -> None:
    text = f"Line {line}: {reason['field']}: {reason['message']}"
    _indented(text, "dim")


def _in_a_terminal(update: re.Match[str]) -> str:
    return f"staff: starter.py {update[1]} …"


def _mailed(kind: str) -> Callable[[Status], bool]:
    return lambda status: any(each.kind == kind and each.sent_at for each in status.mails)
