"""The embedded portal's secret: made once and kept beside the data, readable by its owner only."""

import os
import secrets
from pathlib import Path


def portal_secret(data_dir: Path) -> str:
    """The secret kept in ``data_dir``, made at the first call."""
    path = data_dir / "portal.secret"
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(secrets.token_hex(32))
    try:
        # Of several processes only one succeeds in linking the file; the others read what it wrote.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text().strip()
