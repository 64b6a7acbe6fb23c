"""The logical job of each submission: the client's own name for it, else a hash (docs/job-names.md)."""

import hashlib
import re
from collections import Counter
from collections.abc import Generator, Mapping
from typing import Any

from comfyfarm.json_text import text_encoder
from comfyfarm.sim.prompt.submission import PromptSource

_canonical = text_encoder(sort_keys=True)
_HALF = 8       # of the digits of a hash
_NODES_IN_A_STEP = 5000     # about 5 ms
_SETTING = re.compile(
    r"header:(?P<header>[\w!#$%&'*+.^`|~-]+)"
    r"|extra_data\.(?P<path>[^.]+(\.[^.]+)*)"
    r"|input:(?P<node>[^.]+)\.(?P<input>.+)"
    r"|client_id|prompt|each",
    re.ASCII,
)


class JobNames:
    """Names the logical jobs of a farm.

    The farm's own names (``extra_data.comfyfarm_job``, ``X-Comfyfarm-Job``) come first, then what the setting
    ``job_name`` says, then a hash of the prompt.  A hash has 16 hexadecimal digits; the analysis knows it by that.
    With ``each`` the second half of them is the number of the accepted submission of that prompt.

    :ivar header: the name of the header that the setting names; ``None``: it names none.
    :raises ValueError: if the setting has none of the known forms.
    """

    def __init__(self, setting: str = "prompt") -> None:
        form = _SETTING.fullmatch(setting)
        if form is None:
            raise ValueError(
                'job_name: expected "header:NAME", "extra_data.KEY", "input:NODE.INPUT", "client_id", "prompt" or '
                f'"each", got {setting!r}'
            )
        self.header: str | None = form["header"]
        self._path = _path_in_body(form)
        self._counts_each = setting == "each"
        self._accepted: Counter[str] = Counter()    # by the first half of the hash of the prompt
        self._from_header: set[str] = set()

    def of(self, body: Mapping[str, Any], sender: PromptSource) -> str:
        """Return the logical job of a submission."""
        extra_data = body.get("extra_data")
        own = extra_data.get("comfyfarm_job") if isinstance(extra_data, dict) else None
        if own is not None or sender.job is not None:
            return str(own if own is not None else sender.job)
        found = sender.header if self.header else self.text_in(body) if sender.text is None else sender.text
        return found or self._hash_of(sender.prompt_hash or hash_of(body.get("prompt")))

    def text_in(self, body: Any) -> str:
        """Return the text that the setting names in a body; empty if there is none."""
        return _text_at(body, self._path)

    def on_accepted(self, name: str, sender: PromptSource) -> None:
        """Note that a submission was accepted as this job."""
        if self._counts_each:
            self._accepted[name[:_HALF]] += 1
        elif self.header and sender.header:
            self._from_header.add(sender.header)

    def known(self, value: str | None) -> str:
        """Return a value of the header if it named an accepted job; else an empty text.

        A request id is often new with each request, so that the one of an interrupt may name no job at all.
        """
        return value if value in self._from_header else ""

    def _hash_of(self, digits: str) -> str:
        if not self._counts_each:
            return digits
        # A refused submission belongs to the same job as the next accepted one of the same prompt, its likely retry.
        half = digits[:_HALF]
        return f"{half}{self._accepted[half] + 1:0{_HALF}x}"


def hash_of(prompt: object) -> str:
    """Return the hash of a prompt, whatever it is: 16 hexadecimal digits."""
    return hashlib.sha256(_canonical(prompt).encode()).hexdigest()[: 2 * _HALF]


def hash_in_steps(prompt: object) -> Generator[None, None, str]:
    """Return the same in steps, for a prompt that may take more than one turn of the reactor."""
    if not isinstance(prompt, dict) or len(prompt) <= _NODES_IN_A_STEP:
        return hash_of(prompt)
    hashed, nodes = hashlib.sha256(b"{"), sorted(prompt)
    for start in range(0, len(nodes), _NODES_IN_A_STEP):
        part = {node: prompt[node] for node in nodes[start : start + _NODES_IN_A_STEP]}
        hashed.update(f"{', ' if start else ''}{_canonical(part)[1:-1]}".encode())
        yield
    hashed.update(b"}")
    return hashed.hexdigest()[: 2 * _HALF]


def _path_in_body(form: re.Match[str]) -> tuple[str, ...]:
    if form["path"]:
        return ("extra_data", *form["path"].split("."))
    if form["node"]:
        return "prompt", form["node"], "inputs", form["input"]
    return ("client_id",) if form[0] == "client_id" else ()


def _text_at(body: Any, path: tuple[str, ...]) -> str:
    """Return the text or number at a path, as a text; empty if there is none."""
    for key in path:
        body = body.get(key) if isinstance(body, dict) else None
    is_name = isinstance(body, str | int | float) and not isinstance(body, bool)
    return str(body) if is_name else ""
