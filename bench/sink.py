"""A relay that keeps no mail: ``python -m bench.sink PORT``."""

import asyncio
import sys

from aiosmtpd.smtp import SMTP, Envelope, Session


class Sink:
    """Accepts every message."""

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Accepts a message and drops it."""
        del server, session, envelope
        return "250 2.0.0 taken"


async def main() -> None:
    """Takes mail until the process is killed."""
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: SMTP(Sink(), loop=loop), "127.0.0.1", int(sys.argv[1]))
    print("takes mail", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
