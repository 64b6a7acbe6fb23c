"""The error that the clients raise if a server answers with an error status."""

import json
from typing import Any


class HttpStatusError(Exception):
    """The server answered with an error status.

    :ivar status: 400 or more.
    :ivar body: the decoded JSON of the answer; its text, if it is no JSON.
    """

    def __init__(self, status: int, content: bytes) -> None:
        try:
            self.body: Any = json.loads(content)
        except ValueError:
            self.body = content.decode(errors="replace")
        self.status = status
        super().__init__(status, self.body)
