"""Writes screenshots as PNG files of at most 256 colours, which are a third of the size.

No image library is needed: the browser that took the picture reads its pixels.
"""

import base64
import struct
import zlib

from playwright.async_api import Page

READ = """async (png) => {
    const image = new Image();
    image.src = `data:image/png;base64,${png}`;
    await image.decode();
    const canvas = document.createElement('canvas');
    const [width, height] = [canvas.width, canvas.height] = [image.width, image.height];
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, width, height).data;
    for (let step = 8; ; step += 4) {
        const colours = new Map();
        let indices = '';
        for (let at = 0; at < pixels.length && colours.size <= 256; at += 4) {
            const colour = [0, 1, 2].map((each) =>
                Math.min(255, Math.round(pixels[at + each] / step) * step)
            );
            const key = colour.join();
            if (!colours.has(key)) colours.set(key, { index: colours.size, colour });
            indices += String.fromCharCode(colours.get(key).index);
        }
        if (colours.size <= 256) {
            const palette = [...colours.values()].flatMap((each) => each.colour);
            return { width, height, palette, indices: btoa(indices) };
        }
    }
}"""


async def with_palette(easel: Page, png: bytes) -> bytes:
    """Reduces a picture to the colours of a palette.

    Args:
        easel: An empty page.
    """
    read = await easel.evaluate(READ, base64.b64encode(png).decode())
    width, height = read["width"], read["height"]
    indices = base64.b64decode(read["indices"])
    # Each row begins with its filter; 0 means none.
    rows = b"".join(b"\0" + indices[at * width : (at + 1) * width] for at in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"PLTE", bytes(read["palette"])),
        (b"IDAT", zlib.compress(rows, 9)),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, (*chunks, (b"IEND", b""))))


def _chunk(part: tuple[bytes, bytes]) -> bytes:
    kind, content = part
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum
