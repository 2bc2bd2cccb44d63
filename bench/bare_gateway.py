"""The gateway's floor: ``python -m bench.bare_gateway`` takes any body and writes one row."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import uvicorn
from fastapi import FastAPI, Request

CREATE = "CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body bytea)"


@asynccontextmanager
async def _connected(app: FastAPI) -> AsyncIterator[None]:
    url = os.environ["ASSISTER_DATABASE_URL"]
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(CREATE)
        app.state.connection = connection
        yield


app = FastAPI(lifespan=_connected)


@app.post("/training/events", status_code=202)
async def event(request: Request) -> dict[str, str]:
    """Writes the body."""
    body = await request.body()
    await request.app.state.connection.execute("INSERT INTO bare (body) VALUES (%s)", [body])
    return {"status": "recorded"}


if __name__ == "__main__":
    port = int(os.environ["ASSISTER_GATEWAY_PORT"])
    uvicorn.run(app, port=port, http="h11", log_level="warning", access_log=False)
