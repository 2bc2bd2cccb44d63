"""The command line. A command's module is imported when the command is asked for."""

from collections.abc import Sequence

from cyclopts import App, CycloptsError, Group

from commands import console
from policy.text import unprintable

MAX_WORD = 4096
"""The most characters of one value that a message repeats."""

COMMANDS = {
    "Operation": {
        "demo": ("operate:demo", "Show the whole policy at work; leaves nothing running."),
        "up": (
            "operate:up",
            "Run everything on this machine until Ctrl-C: Temporal, gateway, worker, mail inbox.",
        ),
        "doctor": ("doctor:doctor", "Check this installation: what is wrong, and what to do."),
        "migrate": ("operate:migrate", "Bring the records' database to the newest schema."),
        "reconcile": (
            "reconcile:reconcile",
            "Compare every case with the portal, after a restore.",
        ),
        "keys": ("keys:app", "Keys of programs that call the gateway."),
        "activate": (
            "people:activate",
            "Activate an account from the terminal, for trials without the page.",
        ),
    },
    "Rosters and results": {
        "rosters": ("rosters:app", "Submit an agency's roster, check one, look at its verdicts."),
        "certification": ("results:certification", "Record the state of a certification."),
        "training": ("results:training", "Record completed trainings."),
        "assessment": ("results:assessment", "Record assessment attempts."),
        "results": ("results:results", "Import a training system's export, take a result back."),
    },
    "Look up": {
        "find": ("people:find", "Find an assister by name, e-mail address or Training ID."),
        "status": ("look:status", "Show what a case waits for, who must act, and by when."),
        "watch": ("look:watch", "Show one case as it changes, until it closes or Ctrl-C."),
        "list": ("look:list_", "List the open cases, by stage or agency."),
        "links": ("look:links", "Print links to the ready-made lists of the Temporal UI."),
        "lookup": ("people:lookup", "Look up an assister's reference number (policy 3.3)."),
        "audit": ("trail:app", "The audit trail: every act in a case."),
    },
    "Staff": {
        "resend": ("staff:resend", "Repeat the activation mail."),
        "reissue": ("staff:reissue", "Void the registration number and mail a new one."),
        "suspend": ("staff:suspend", "End access at once, until staff reinstate it."),
        "reinstate": ("staff:reinstate", "End a suspension that staff ordered."),
        "close": ("staff:close", "End a case and its access for good."),
        "confirm-change": (
            "staff:confirm_change",
            "Make the agency the assister's agency, or use the new address.",
        ),
        "refuse-change": (
            "staff:refuse_change",
            "Refuse the change that a roster asks for.",
        ),
        "assister": ("people:assister", "Correct what is on record of an assister."),
        "agencies": ("agencies:app", "Agencies and their authorized contacts."),
    },
}
"""By group: each command's name, where it is, and its line in the overview."""


def command_line(*, overview: bool = False) -> App:
    """The commands; for the overview with a line for each, so that it need not import them all."""
    app = App(
        name="starter.py",
        version_flags=[],
        suppress_keyboard_interrupt=False,
        help="Gives navigators and certified application counselors their account in the assister"
        " portal, as MNsure's Assister Portal Access policy says: from an agency's roster to the"
        " active account, and its end. See it with `starter.py demo`, use it with `starter.py up`,"
        " and ask any command for `--help`. Exit codes: 0 done, 1 refused or failed, 2 wrong usage,"
        " 130 interrupted.",
    )
    for title, commands in COMMANDS.items():
        group = Group.create_ordered(title)
        for place, (name, (where, summary)) in enumerate(commands.items()):
            said = summary if overview else None
            app.command(f"commands.{where}", name=name, group=group, sort_key=place, help=said)
    return app


def run(words: Sequence[str]) -> int:
    """Runs one command and returns its exit code."""
    if any(len(each) > MAX_WORD or unprintable(each) for each in words):
        console.err.print("A value holds control characters, or is far too long.", style="red")
        return 2
    app = command_line(overview=not words or words[0] in ("--help", "-h"))
    try:
        app(list(words), exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        # Imported here: it imports libraries that most commands do not need.
        from commands.mistakes import explain
        from settings import Misconfigured

        reason = explain(error)
        if reason is None:
            raise
        misconfigured = isinstance(error, Misconfigured)
        console.err.print(reason, style="red", markup=False, soft_wrap=misconfigured)
        return 2 if misconfigured else 1
    return 0
