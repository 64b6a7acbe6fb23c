"""What do the clients raise where a server says no?"""

from __future__ import annotations

import json
from typing import Any


class HttpStatusError(Exception):
    """The server answered, but with an error.

    :ivar status: the HTTP status, 400 or more.
    :ivar body: what the answer's JSON says, else its text.
    """

    def __init__(self, status: int, content: bytes) -> None:
        try:
            self.body: Any = json.loads(content)
        except ValueError:
            self.body = content.decode(errors="replace")
        self.status = status
        super().__init__(status, self.body)
