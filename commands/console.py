"""Tables for people."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from policy.text import counted

if TYPE_CHECKING:
    from intake import files
    from intake.forecast import RosterForecast
    from workflows.contract import IntakeProgress, Status

out = Console()
err = Console(stderr=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table. A cell is shown as it is: it cannot bring markup or terminal control codes."""
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(_cell(each) for each in row))
    return made


def verdicts(
    shown: Iterable[dict[str, Any]], subject: str = "training_id", title: str = "Training ID"
) -> list[RenderableType]:
    """The number of rows by verdict, and every reason of the rejected ones."""
    counts: Counter[str] = Counter()
    rows: list[Sequence[object]] = []
    for each in shown:
        counts[each["verdict"] or "waiting"] += 1
        rows += [
            (each["line"], each[subject], e["field"], e["message"], e["clause"])
            for e in each["reasons"]
        ]
    columns = ("line", title, "field", "reason", "policy")
    said = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    summary = f"{counted(counts.total(), 'row')}: {said or 'none'}."
    return [table("Rejected", columns, rows), summary] if rows else [summary]


def notes(read: "files.Table") -> list[RenderableType]:
    """What of a file was not read, or deserves a look."""
    unused = [f"Columns not used: {', '.join(read.ignored)}"] if read.ignored else []
    return [escape(f"{each}.") for each in (*unused, *read.notes)]


def intake(at: "IntakeProgress") -> list[RenderableType]:
    """A roster's progress, and what a person must do if it waits for one."""
    match at.stage:
        case "held":
            return [
                f"On hold: it ends the access of {at.suspensions} of the agency's {at.with_access}"
                " assisters who have it. Ask the agency, then decide:"
                f" starter.py rosters release {at.submission_id} --by EMAIL --reason TEXT (or"
                " discard)"
            ]
        case "wants_contact":
            return [
                "Done, but the mail to the agency's contact did not go out. Correct the address"
                " (starter.py agencies correct-contact): then it is sent again."
            ]
        case "judging":
            return ["The rows are being judged."]
        case "discarded":
            return ["Discarded: this roster changed nothing."]
    so_far = "" if at.stage == "done" else " so far"
    return [f"{at.opened} of {at.accepted} cases updated{so_far}."]


def forecast(shown: "RosterForecast") -> list[RenderableType]:
    """What a roster would lead to."""
    rows = [
        (
            each.training_id,
            "opens" if each.opens else words(each.stage or ""),
            words(each.becomes),
            ", ".join(each.mails) or None,
            each.next_deadline,
        )
        for each in shown.cases
    ]
    columns = ("Training ID", "case", "becomes", "mails today", "next deadline")
    lines: list[RenderableType] = [table("What would happen", columns, rows)] if rows else []
    lines.append(f"Rows that would change nothing: {shown.unchanged}.")
    if shown.missing:
        lines.append(
            f"On record but not in this roster, they stay as they are: {', '.join(shown.missing)}."
        )
    if shown.held:
        lines.append(
            f"This roster would be held for a person: it ends the access of {shown.suspensions} of"
            f" the agency's {shown.with_access} assisters who have it."
        )
    return lines


def status(shown: "Status") -> list[Table]:
    """A case: where it stands, its requirements and its mails."""
    about = [
        ("stage", words(shown.stage)),
        ("agency", shown.agency_id),
        ("type", shown.assister_type),
        ("who must act", "; ".join(shown.who_must_act)),
        ("next", shown.next_step),
        ("reference number", shown.reference_number),
        *((f"attention: {each.problem}", each.remedy) for each in shown.attention),
        ("staff can use", ", ".join(shown.allowed)),
    ]
    requirements = [
        (name, "yes" if each.met else "no", each.at) for name, each in shown.requirements.items()
    ]
    return [
        table(f"Assister {shown.training_id}", ("", ""), about),
        table("Requirements", ("requirement", "met", "since"), requirements),
        table("Mails", ("mail", "sent"), [(e.kind, e.sent_at or "waiting") for e in shown.mails]),
    ]


def words(name: str) -> str:
    """The name of a stage or a mail as people read it."""
    return name.replace("_", " ")


def _cell(value: object) -> str:
    match value:
        case None:
            return "—"
        case datetime():
            # Imported here: the help shows no times, and this imports Pydantic.
            from policy.calendar import CENTRAL

            return f"{value.astimezone(CENTRAL):%Y-%m-%d %H:%M %Z}"
    # A terminal would carry out control characters.
    return escape("".join(e if e.isprintable() or e == "\n" else "·" for e in str(value)))
