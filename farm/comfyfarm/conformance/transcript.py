"""The transcript of one scenario: its steps, and the names that it made up."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from comfyfarm.conformance.describe import Step, describe_message
from comfyfarm.conformance.http_client import RawReply
from comfyfarm.conformance.normalise import Aliases, normalise
from comfyfarm.conformance.socket_recorder import SocketRecorder


@dataclass(eq=False, kw_only=True)
class Transcript:
    """The steps of one scenario, and the names that it made up.

    :ivar chance: the source of ids and names that are new to every server.
    :ivar tag: a word for file names, prompts and keys that no other run uses.
    """

    chance: Random
    aliases: Aliases = field(default_factory=Aliases)
    steps: list[Step] = field(default_factory=list)
    tag: str = field(init=False)

    def __post_init__(self) -> None:
        self.tag = "conf" + "".join(self.chance.choices("bcdfghjklmnpqrstvwxz", k=10))
        self.aliases.words[self.tag] = "<tag>"

    def fresh(self) -> int:
        """Return a new number for a node's input, so that its result cannot be cached; it is also a valid colour."""
        number = self.chance.randrange(1_000_000, 0xFFFFFF)
        self.aliases.fresh.add(number)
        return number

    def new_id(self, kind: str = "job") -> str:
        """Return a new UUID for a job or a client."""
        new = str(UUID(int=self.chance.getrandbits(128), version=4))
        self.aliases.name(kind, new)
        return new

    def register_job(self, reply: RawReply) -> None:
        """Add the id and the number of an accepted job to the aliases."""
        if reply.status == 200:
            accepted = reply.json
            self.aliases.name("job", accepted["prompt_id"])
            if self.aliases.first_number is None:
                self.aliases.first_number = abs(int(accepted["number"]))

    def record(
        self,
        listener: SocketRecorder,
        *,
        kinds: tuple[str, ...] = (),
        start: int = 0,
        arrange: Callable[[list[Step]], dict[str, Any]] | None = None,
        title: str | None = None,
    ) -> None:
        """Add the messages of a websocket to the transcript.

        :param kinds: record only messages of these types; ``()`` for all.
        :param start: the index of the first message.
        :param arrange: sorts messages whose order is random.
        """
        messages = [describe_message(message) for message in listener.received[start:]]
        messages = [message for message in messages if not kinds or not message.keys().isdisjoint(kinds)]
        arranged = {"messages": messages} if arrange is None else arrange(messages)
        self.steps.append({"heard": title or listener.name, **arranged})

    def note(self, title: str, **facts: Any) -> None:
        """Add facts that the scenario worked out itself."""
        self.steps.append({"note": title, **facts})

    def normalised(self) -> list[Step]:
        """Return the steps without anything that depends on this run."""
        steps: list[Step] = normalise(self.steps, self.aliases)
        return steps
