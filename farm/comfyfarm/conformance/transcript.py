"""What did a scenario ask, hear and find out, and by which names?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from comfyfarm.conformance.asking import RawReply
from comfyfarm.conformance.described import Step, describe_message
from comfyfarm.conformance.listening import SocketRecorder
from comfyfarm.conformance.normalise import Aliases, normalise


@dataclass(eq=False, kw_only=True)
class Transcript:
    """The steps of one scenario, and the names that it made up.

    :ivar chance: where ids and names come from that no server has met before.
    :ivar tag: a word to build such names with.
    """

    chance: Random
    aliases: Aliases = field(default_factory=Aliases)
    steps: list[Step] = field(default_factory=list)
    tag: str = field(init=False)

    def __post_init__(self) -> None:
        """Make up a name."""
        self.tag = "conf" + "".join(self.chance.choices("bcdfghjklmnpqrstvwxz", k=10))
        self.aliases.words[self.tag] = "<tag>"

    def fresh(self) -> int:
        """A number for a node's input, so that its result cannot be in the cache; a colour, if need be."""
        number = self.chance.randrange(1_000_000, 0xFFFFFF)
        self.aliases.fresh.add(number)
        return number

    def new_id(self, kind: str = "job") -> str:
        """An id of our own, for a job or a client."""
        made = str(UUID(int=self.chance.getrandbits(128), version=4))
        self.aliases.name(kind, made)
        return made

    def learn(self, reply: RawReply) -> None:
        """Take the id and the number of a new job into the aliases."""
        if reply.status == 200:
            taken = reply.json
            self.aliases.name("job", taken["prompt_id"])
            if self.aliases.first_number is None:
                self.aliases.first_number = abs(int(taken["number"]))

    def tell(
        self,
        listener: SocketRecorder,
        *,
        kinds: tuple[str, ...] = (),
        start: int = 0,
        arrange: Callable[[list[Step]], dict[str, Any]] | None = None,
        title: str | None = None,
    ) -> None:
        """Write down what was heard.

        :param kinds: only these messages; none given: all.
        :param start: from this place on.
        :param arrange: puts messages whose order is left to chance into an order.
        """
        told = [describe_message(each) for each in listener.heard[start:]]
        told = [each for each in told if not kinds or not each.keys().isdisjoint(kinds)]
        arranged = {"messages": told} if arrange is None else arrange(told)
        self.steps.append({"heard": title or listener.name, **arranged})

    def note(self, title: str, **facts: Any) -> None:
        """Write down what a scenario found out in another way."""
        self.steps.append({"note": title, **facts})

    def normalised(self) -> list[Step]:
        """All steps, in words that do not depend on this run."""
        steps: list[Step] = normalise(self.steps, self.aliases)
        return steps
