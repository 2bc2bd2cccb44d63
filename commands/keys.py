"""Keys of the programs that call the gateway."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter
from pydantic import TypeAdapter

from bootstrap import system_secret
from commands import console
from commands.session import Json, print_json, session
from policy.requirements import AgencyId
from records.keys import ApiKey, Kind, all_keys, make_key, revoke_key, rotate_key, signing_secret
from records.people import authorized_contact
from services import Refused
from settings import Settings

ThisKey = Annotated[str, Parameter(help="The key's id, as `keys list` shows it.")]

app = App(name="keys", help="Keys of programs that call the gateway.")


@app.command(name="create")
async def keys_create(
    *,
    source: Annotated[str, Parameter(help="The training system that gets the key.")] = "",
    events: Annotated[
        bool,
        Parameter(
            negative="", help="Make a signing secret for events instead of a key for exports."
        ),
    ] = False,
    portal: Annotated[
        str, Parameter(help="The portal that gets a signing secret for events.")
    ] = "",
    agency: Annotated[str, Parameter(help="The agency whose program gets the key.")] = "",
    contact: Annotated[str, Parameter(help="The e-mail address of the agency's contact.")] = "",
    json: Json = False,
) -> None:
    """Make a key for a training system, the portal, or an agency's program and its contact.

    Example: starter.py keys create --source learning-center
    """
    holders = [each for each in (source, portal, agency) if each]
    if len(holders) != 1 or bool(agency) != bool(contact) or (events and not source):
        raise Refused("name a --source, a --portal, or an --agency and its --contact")
    async with session() as here, here.database.transaction() as records:
        [holder], contact_id = holders, None
        kind = Kind.PORTAL if portal else Kind.EVENTS if events else Kind.TRAINING
        TypeAdapter(AgencyId).validate_python(holder)
        if agency:
            kind = Kind.AGENCY
            contact_id = (await authorized_contact(records, agency, contact)).id
        key, sent = await make_key(records, kind, holder, contact_id, datetime.now(UTC))
    _show(here.settings, key, sent, json)


@app.command(name="list")
async def keys_list(*, json: Json = False) -> None:
    """List every key; none shows its secret."""
    async with session() as here, here.database.snapshot() as records:
        keys = await all_keys(records)
    now = datetime.now(UTC)
    if json:
        print_json([each.model_dump(mode="json", exclude={"digest"}) for each in keys])
        return
    rows = [
        (e.id, e.kind, e.holder, e.made_at, "yes" if e.works(now) else "no", e.ends_at)
        for e in keys
    ]
    columns = ("key", "kind", "holder", "made", "works", "ends")
    console.out.print(console.table(f"{len(rows)} keys", columns, rows))


@app.command(name="rotate")
async def keys_rotate(key: ThisKey, *, json: Json = False) -> None:
    """Make a key that replaces another one; the old key works for one more day.

    Example: starter.py keys rotate 3f9a1c2b7d04
    """
    async with session() as here, here.database.transaction() as records:
        new, sent = await rotate_key(records, key, datetime.now(UTC))
    _show(here.settings, new, sent, json)


@app.command(name="revoke")
async def keys_revoke(key: ThisKey) -> None:
    """End a key at once.

    Example: starter.py keys revoke 3f9a1c2b7d04
    """
    async with session() as here, here.database.transaction() as records:
        await revoke_key(records, key, datetime.now(UTC))
    console.out.print(f"Key {key} no longer works.")


def _show(settings: Settings, key: ApiKey, sent: str, as_json: bool) -> None:
    how = f"Send it as: Authorization: Bearer {key.id}.…"
    if Kind(key.kind).signs:
        sent = signing_secret(system_secret(settings), key.id)
        how = "Sign with it as Standard Webhooks says."
    if as_json:
        print_json({"id": key.id, "holder": key.holder, "key": sent})
        return
    console.out.print(f"Key {key.id} for {key.holder}, shown this once:")
    # Unbroken, on a line of its own: people copy it.
    console.out.print(sent, soft_wrap=True, highlight=False, markup=False)
    console.out.print(how, markup=False)
