"""The demo: the policy at work on one roster, from its rows to confirmed and expired accounts."""

import asyncio
import re
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bootstrap import make_portal
from commands import console
from embedded.inbox import body_of
from embedded.stack import Stack, embedded_stack
from embedded.temporal_server import TIME_SKIPPING, skip_time
from embedded.web_ui import free_port
from intake.files import read_roster, read_table
from intake.results import judge_results, read_results
from policy.requirements import AssisterType
from portal.directory import ActivationRefused
from records.database import Database
from records.people import record_agency
from services.activation import activate
from services.connections import Connections
from services.results import import_results
from services.rosters import submit_roster, verdicts
from settings import Settings
from workflows.client import case_status
from workflows.contract import Status, assister_workflow_id, roster_workflow_id

DATA = Path(__file__).parent / "demo_data"
AGENCY = "AG-100"
CONTACT = "pat.contact@northstar.example.org"
NEVER_ACTIVATES = "NAV1005"
REFUSED_ADDRESS = "farah.abdi@northstar.example.org"
PATIENCE = 90.0
"""Seconds after which a step of the demo counts as failed."""
NUMBER = re.compile(r"REGISTRATION NUMBER: (\S+)")

Visit = Callable[[Stack], Awaitable[None]]


async def run_demo(*, keep: bool, visit: Visit | None = None) -> None:
    """Runs the demo on a stack of its own, in a folder that is removed at the end.

    Args:
        keep: Leaves the stack up until Ctrl-C.
        visit: Is shown the stack before it is taken down.
    """
    with tempfile.TemporaryDirectory(prefix="assister-demo-", ignore_cleanup_errors=True) as folder:
        settings = Settings(
            _env_file=None,
            data_dir=Path(folder),
            database_url="",
            smtp_port=free_port(),
            portal_secret=SecretStr(""),
        )
        console.out.print("Starting Temporal's server, the inbox and a worker …")
        async with embedded_stack(
            settings,
            temporal_port=free_port(),
            ui_port=free_port(),
            dynamic_config=TIME_SKIPPING,
        ) as stack:
            demo = _Demo(stack)
            try:
                await demo.run()
                if visit is not None:
                    await visit(stack)
            finally:
                await demo.close()
            ui = stack.environment["ASSISTER_UI_URL"]
            if keep:
                console.out.print(
                    f"Temporal UI: {ui}  Mails: {stack.inbox.folder}  Ctrl-C ends it."
                )
                await asyncio.Event().wait()
            else:
                console.out.print(
                    f"Temporal UI: {ui} (closing now; `make demo KEEP=1` leaves it up for a look)"
                )


class _Demo:
    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.settings = stack.settings
        self.client = stack.client
        self.database = Database(self.settings.records_url)
        self.portal = make_portal(self.settings, self.database)
        self.connections = Connections(
            self.database,
            self.client,
            self.portal,
            self.settings.task_queue,
            self.settings.terms,
        )
        self.accepted: list[str] = []

    async def close(self) -> None:
        await self.database.close()

    async def run(self) -> None:
        self.stack.inbox.refusals[REFUSED_ADDRESS] = "550 5.1.1 no such user"
        await self._record_agency()
        results = list(judge_results(read_results(DATA / "results.csv"), datetime.now(UTC)))
        console.out.rule("Results of the learning center, half of them before the roster")
        await import_results(self.connections, results[:11])
        console.out.rule("The agency's roster")
        await self._submit_roster()
        await import_results(self.connections, results[11:])
        console.out.print(
            f"{len(results)} result rows, {sum(bool(each.reasons) for each in results)} rejected."
        )
        ready = ["NAV1001", "NAV1002", "NAV1003", NEVER_ACTIVATES]
        await self._progress("Activation mails", ready, _mailed("activation"))
        await self._until("NAV1006", lambda status: bool(status.attention))
        console.out.rule("Activation")
        for each in ready:
            if each != NEVER_ACTIVATES:
                await self._activate(each)
        active = [each for each in ready if each != NEVER_ACTIVATES]
        await self._progress("Confirmations", active, _mailed("confirmation"))
        console.out.print(f"{NEVER_ACTIVATES} never activates: twelve days pass for this case …")
        handle = self.client.get_workflow_handle(assister_workflow_id(NEVER_ACTIVATES))
        await skip_time(self.client, handle, timedelta(days=12))
        await self._until(NEVER_ACTIVATES, _mailed("activation_expired_agency"))
        await self._until("NAV1004", _mailed("assessment_failed"))
        await self._refused_activation()
        self._show_mails()
        await self._show_cases()

    async def _record_agency(self) -> None:
        names = ("agency_id", "agency_name", "contact_name", "contact_email")
        columns = {name: name.replace("_", " ") for name in names}
        async with self.database.transaction() as session:
            for row in read_table(DATA / "agencies.csv", columns, columns):
                cells = row.cells
                contact = (cells["contact_name"], cells["contact_email"])
                await record_agency(session, cells["agency_id"], cells["agency_name"], [contact])

    async def _submit_roster(self) -> None:
        done = await submit_roster(
            self.connections,
            read_roster(DATA / "navigators.csv"),
            agency_id=AGENCY,
            roster_type=AssisterType.NAVIGATOR,
            by=CONTACT,
            filename="navigators.csv",
        )
        intake = self.client.get_workflow_handle(roster_workflow_id(done.submission_id))
        with console.out.status("Judging rows, opening cases …"):
            await asyncio.wait_for(intake.result(), PATIENCE)
        rows = await verdicts(self.database, done.submission_id)
        self.accepted = [each["training_id"] for each in rows if each["verdict"] == "accepted"]
        console.out.print(*console.verdicts(rows), sep="\n")

    async def _activate(self, training_id: str) -> None:
        await activate(self.connections, self._number(training_id))

    async def _refused_activation(self) -> None:
        try:
            await self.portal.activate(self._number(NEVER_ACTIVATES))
        except ActivationRefused as refusal:
            console.out.print(f"{NEVER_ACTIVATES} tries now. The portal: “{refusal}”")

    def _number(self, training_id: str) -> str:
        """The registration number as the assister reads it in the mail."""
        for message in self.stack.inbox.messages():
            text = body_of(message)
            found = NUMBER.search(text)
            if found and _NAMES[training_id] in str(message["To"]):
                return found[1]
        raise AssertionError(f"no activation mail for {training_id}")

    async def _until(self, training_id: str, reached: Callable[[Status], bool]) -> Status:
        async with asyncio.timeout(PATIENCE):
            while True:
                status = await case_status(self.client, training_id)
                if reached(status):
                    return status
                await asyncio.sleep(0.1)

    async def _progress(
        self, what: str, training_ids: list[str], reached: Callable[[Status], bool]
    ) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn(), console=console.out) as progress:
            task = progress.add_task(what, total=len(training_ids))
            for each in training_ids:
                await self._until(each, reached)
                progress.advance(task)

    def _show_mails(self) -> None:
        rows = [(each["To"], each["Subject"]) for each in self.stack.inbox.messages()]
        console.out.print(console.table(f"{len(rows)} mails", ("to", "subject"), rows))

    async def _show_cases(self) -> None:
        rows = []
        for each in sorted(self.accepted):
            status = await case_status(self.client, each)
            acting = "; ".join(status.who_must_act)
            rows.append((each, console.words(status.stage), acting, status.next_deadline))
        columns = ("Training ID", "stage", "who must act", "next deadline")
        console.out.print(console.table("Every accepted assister", columns, rows))


_NAMES = {
    "NAV1001": "ann.",
    "NAV1002": "bao.",
    "NAV1003": "carmen.",
    NEVER_ACTIVATES: "efua.",
}


def _mailed(kind: str) -> Callable[[Status], bool]:
    return lambda status: any(each.kind == kind and each.sent_at for each in status.mails)
