"""Send and receive frames: four bytes of length, then a JSON object."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_LENGTH = struct.Struct(">I")
_LONGEST = 16 << 20  # bytes; output is cut into pieces long before


def send(connection: socket.socket, frame: dict[str, Any]) -> None:
    """Send one frame.

    Raises:
        OSError: the other side is gone.
    """
    content = json.dumps(frame).encode()
    connection.sendall(_LENGTH.pack(len(content)) + content)


def receive(connection: socket.socket) -> dict[str, Any] | None:
    """Return the next frame, or None once the other side has closed, or sent no frame of ours.

    Raises:
        TimeoutError: nothing came in the connection's time.
        OSError: the connection broke.
    """
    head = _exactly(connection, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    content = _exactly(connection, length) if length <= _LONGEST else None
    if content is None:
        return None
    try:
        frame = json.loads(content)
    except ValueError:
        return None
    return frame if isinstance(frame, dict) else None


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    pieces, missing = [], size
    while missing:
        piece = connection.recv(min(missing, 1 << 16))
        if not piece:
            return None
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)
