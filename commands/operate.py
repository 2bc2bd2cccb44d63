"""Operating the system: the records' schema, the embedded stack, the demo."""

import asyncio

from rich.panel import Panel

from commands import console
from commands.demo import run_demo
from commands.session import session
from embedded.stack import embedded_stack
from records.schema import migrate as migrate_records


async def migrate() -> None:
    """Bring the records' database to the newest schema."""
    async with session() as here:
        await migrate_records(here.settings.records_url)
    console.out.print("The records' schema is up to date.")


async def up() -> None:
    """Run the embedded stack until Ctrl-C; its data stays in the data folder."""
    async with session() as here, embedded_stack(here.settings) as stack:
        console.out.print(
            Panel(
                f"Temporal UI  {stack.environment['ASSISTER_UI_URL']}\n"
                f"Mails        {stack.inbox.folder / 'index.html'}\n"
                f"Worker log   {here.settings.data_dir / 'worker.log'}\n"
                "In another terminal: starter.py agencies import …, starter.py rosters submit …\n"
                "Ctrl-C stops it; the data stays.",
                title="Running",
            )
        )
        await asyncio.Event().wait()


async def demo(*, keep: bool = False) -> None:
    """Show the whole policy at work on a roster of its own; leaves nothing running.

    With --keep the stack stays up until Ctrl-C, for a look at the Temporal UI.
    """
    await run_demo(keep=keep)
