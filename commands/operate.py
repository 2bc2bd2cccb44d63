"""Operating the system: agencies, the records' schema, the embedded stack, the demo."""

from cyclopts import App
from rich.panel import Panel

from commands import console
from commands.demo import run_demo
from commands.session import OPERATE, session
from embedded.stack import embedded_stack, until_stopped
from records.schema import migrate as migrate_records
from services.activation import activate as use_number

app = App()


@app.command(group=OPERATE)
async def migrate() -> None:
    """Bring the records' database to the newest schema."""
    async with session() as here:
        await migrate_records(here.settings.records_url)
    console.out.print("The records' schema is up to date.")


@app.command(group=OPERATE)
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
        await until_stopped()


@app.command(group=OPERATE)
async def demo(*, keep: bool = False) -> None:
    """Show the whole policy at work on a roster of its own; leaves nothing running.

    With --keep the stack stays up until Ctrl-C, for a look at the Temporal UI.
    """
    await run_demo(keep=keep)


@app.command(group=OPERATE)
async def activate(*, registration_number: str) -> None:
    """Use a registration number, as the portal's page does (policy 3.2)."""
    async with session() as here:
        activated = await use_number(await here.connections(), registration_number)
    console.out.print(f"The account of {activated.training_id} is active.")
