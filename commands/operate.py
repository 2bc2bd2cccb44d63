"""Operating the system: the records' schema, the embedded stack, the demo."""

import asyncio
from typing import Annotated

from cyclopts import Parameter
from rich.panel import Panel

from commands import console
from commands.demo import run_demo
from commands.session import session
from embedded.stack import embedded_stack
from records.schema import migrate as migrate_records

Keep = Annotated[
    bool, Parameter(negative="", show_default=False, help="Leave it running until Ctrl-C.")
]


async def migrate() -> None:
    """Bring the records' database to the newest schema; you may run it again.

    Workers do it when they start. Run it if only commands or the gateway use a database.
    """
    async with session() as here:
        await migrate_records(here.settings.records_url)
    console.out.print("The records' schema is up to date.")


async def up() -> None:
    """Run everything on this machine until Ctrl-C: Temporal, gateway, worker, mail inbox.

    Its data stays in the data folder; the next `up` continues from there.
    """
    async with session() as here, embedded_stack(here.settings) as stack:
        console.out.print(
            Panel(
                f"Temporal UI  {stack.environment['ASSISTER_UI_URL']}\n"
                f"Gateway      {here.settings.gateway_url}\n"
                f"Mails        {stack.inbox.folder / 'index.html'}\n"
                f"Logs         {here.settings.data_dir / 'worker.log'}, gateway.log\n"
                "In another terminal: starter.py agencies import …, starter.py rosters submit …\n"
                "Ctrl-C stops it; the data stays.",
                title="Running",
            )
        )
        await asyncio.Event().wait()


async def demo(*, keep: Keep = False) -> None:
    """Show the whole policy at work on a roster of its own, and a worker killed in the middle.

    It takes less than a minute, uses its own folder and leaves nothing running.
    """
    await run_demo(keep=keep)
