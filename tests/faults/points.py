"""The points at which a worker can die, and the kill at one of them.

A worker process under test logs the points that it passes: before and after each completed workflow
task and activity, each commit, each reply of the relay, each call of the portal and each signal to
a case. It can die at one of them. The product has no hooks for this: its code is wrapped from
outside, in that process only.
"""

import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any

from aiosmtplib.protocol import SMTPProtocol
from sqlalchemy import Connection, event
from temporalio.bridge.worker import Worker as BridgeWorker

import activities.intake
import activities.relay
import mail.transport
from activities.access import AccessActivities
from activities.intake import IntakeActivities
from activities.mail import MailActivities
from portal.embedded import EmbeddedPortal
from records.database import EACH_ALONE, Database
from tests.faults.mischief import put

PORTAL_CALLS = ("fence", "enroll", "suspend", "reinstate", "registration_number", "reported")

_step: ContextVar[str] = ContextVar("step", default="")
"""The step under way. If it is empty no point is logged, such as when the relay finds nothing."""
_commits: ContextVar[Counter[str]] = ContextVar("commits")
_command: ContextVar[str] = ContextVar("command", default="greeting")


class Points:
    """Logs every point that the worker passes, and kills the worker at one.

    Args:
        log: The file for the points, one on each line.
        deadly: The point at which the worker dies; None for no kill.
    """

    def __init__(self, log: Path, deadly: str | None) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._deadly = deadly
        self._times: Counter[str] = Counter()

    def install(self) -> None:
        """Wraps the code under test, in this process."""
        for owner in (AccessActivities, MailActivities, IntakeActivities):
            for name, method in vars(owner).copy().items():
                definition = getattr(method, "__temporal_activity_definition", None)
                if definition is not None:
                    setattr(owner, name, self._within_step(definition.name, method))
        for name in PORTAL_CALLS:
            method = getattr(EmbeddedPortal, name)
            setattr(EmbeddedPortal, name, self._around(f"portal.{name}", method))
        self._within_relay()
        # Either of two simultaneous mails may get the open connection. With a new connection for
        # each mail, every journey passes the same greetings.
        put(mail.transport, "MAX_USES", 1)
        self._around_signals(activities.intake)
        self._around_commits()
        self._around_replies()
        self._around_completions()

    def passed(self, point: str) -> None:
        """Logs a point; kills the worker if it is the deadly one."""
        self._times[point] += 1
        if self._times[point] > 1:
            point = f"{point} #{self._times[point]}"
        os.write(self._log, f"{point}\n".encode())
        if point == self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    def _within_step(self, name: str, method: Any) -> Any:
        @wraps(method)
        async def within(owner: Any, request: Any) -> Any:
            kind = f" {request.kind}" if name == "send_mail" else ""
            # The step stays set afterwards: the completion of the activity belongs to it too.
            _step.set(f"{name}{kind}")
            _commits.set(Counter())
            return await method(owner, request)

        return within

    def _within_relay(self) -> None:
        relay, unreported = EmbeddedPortal.reported, EmbeddedPortal.unreported

        async def reported(portal: EmbeddedPortal, activated: Any) -> None:
            _step.set("relay")
            _commits.set(Counter())
            await relay(portal, activated)
            _step.set("")

        async def looked(portal: EmbeddedPortal) -> Any:
            found = await unreported(portal)
            _step.set("relay" if found else "")
            return found

        put(EmbeddedPortal, "reported", reported)
        put(EmbeddedPortal, "unreported", looked)
        self._around_signals(activities.relay)

    def _around_signals(self, module: Any) -> None:
        put(module, "tell_case", self._around("telling the case", module.tell_case))

    def _around(self, what: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @wraps(call)
        async def around(*arguments: Any, **named: Any) -> Any:
            self._at(f"before {what}")
            answer = await call(*arguments, **named)
            self._at(f"after {what}")
            return answer

        return around

    def _at(self, what: str) -> None:
        if _step.get():
            self.passed(f"{_step.get()}: {what}")

    def _around_commits(self) -> None:
        made = Database.__init__

        def make(database: Database, url: str) -> None:
            made(database, url)
            engine = database.engine.sync_engine
            commit = engine.dialect.do_commit

            def around(connection: Any) -> None:
                self._before_commit()
                commit(connection)
                self._after_commit()

            put(engine.dialect, "do_commit", around)

            @event.listens_for(engine, "before_cursor_execute")
            def before(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
                if _committed_alone(connection, statement):
                    self._before_commit()

            @event.listens_for(engine, "after_cursor_execute")
            def after(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
                if _committed_alone(connection, statement):
                    self._after_commit()

        put(Database, "__init__", make)

    def _before_commit(self) -> None:
        if _step.get():
            _commits.get()["commits"] += 1
            self._at(f"before commit {_commits.get()['commits']}")

    def _after_commit(self) -> None:
        if _step.get():
            self._at(f"after commit {_commits.get()['commits']}")

    def _around_replies(self) -> None:
        command, data = SMTPProtocol.execute_command, SMTPProtocol.execute_data_command
        read = SMTPProtocol.read_response

        async def commanded(protocol: SMTPProtocol, *words: bytes, **named: Any) -> Any:
            _command.set(words[0].decode().split()[0])
            return await command(protocol, *words, **named)

        async def handed_over(protocol: SMTPProtocol, message: bytes, **named: Any) -> Any:
            _command.set("DATA")
            return await data(protocol, message, **named)

        async def replied(protocol: SMTPProtocol, **named: Any) -> Any:
            what = _command.get()
            self._at(f"before the reply to {what}")
            reply = await read(protocol, **named)
            self._at(f"after the reply to {what}")
            _command.set("the message" if what == "DATA" else "greeting")
            return reply

        put(SMTPProtocol, "execute_command", commanded)
        put(SMTPProtocol, "execute_data_command", handed_over)
        put(SMTPProtocol, "read_response", replied)

    def _around_completions(self) -> None:
        activity_done = BridgeWorker.complete_activity_task
        workflow_done = BridgeWorker.complete_workflow_activation

        async def complete_activity(worker: BridgeWorker, completion: Any) -> None:
            self._at("before its completion")
            await activity_done(worker, completion)
            self._at("after its completion")

        async def complete_workflow(worker: BridgeWorker, completion: Any) -> None:
            commands = [_named(command) for command in completion.successful.commands]
            queried = "respond_to_query" in commands
            # A task without commands may only remove a case from the cache, unseen by the server.
            what = "" if queried or not commands else f"workflow task: {', '.join(commands)}"
            if what:
                self.passed(f"{what}: before")
            await workflow_done(worker, completion)
            if what:
                self.passed(f"{what}: after")

        put(BridgeWorker, "complete_activity_task", complete_activity)
        put(BridgeWorker, "complete_workflow_activation", complete_workflow)


def _committed_alone(connection: Connection, statement: str) -> bool:
    """Whether it writes without a transaction."""
    options = connection.get_execution_options()
    alone = options.get(EACH_ALONE) or options.get("isolation_level") == "AUTOCOMMIT"
    return bool(alone) and not statement.startswith(("SELECT", "BEGIN"))


def _named(command: Any) -> str:
    kind = str(command.WhichOneof("variant"))
    if kind == "schedule_activity":
        return str(command.schedule_activity.activity_type)
    return kind


def install(log: str, deadly: str | None) -> None:
    """A mischief for :class:`WorkerProcess`: logs every point, and kills the worker at one."""
    Points(Path(log), deadly).install()
