"""The recorded facts about the calls of nodes' functions (``scripts/make_socket_uses``)."""

import msgspec

Errors = dict[str, tuple[str, str] | None]
"""Exception types and messages by kind of constant: ``null``, ``text``, ``number``, ``object``, ``list``, else ``any``.

In the messages ``{kind}`` stands for the constant's type in Python, and ``{value}`` for the constant.
"""


class SocketUse(msgspec.Struct, frozen=True, array_like=True):
    """A use of one input by a node.

    :ivar steps: operations on the input, one after the other: ``.name`` (an attribute), ``[key]``, ``[0]``, ``[:]`` (a
        slice), ``[,]`` (several), ``*`` (each item), ``len``, ``in``, ``call``, ``json`` (parsed); or ``+other``: a
        list that another input is added to.  Or else the recorded errors by kind of constant.
    :ivar unless_null: null is no error.
    :ivar given: only if one of these inputs is given (linked, or a constant other than null); empty: always.
    """

    input: str
    steps: str | Errors
    unless_null: bool = False
    given: tuple[str, ...] = ()


class SocketUses(msgspec.Struct, frozen=True):
    """The facts of one node type about the call of its function.

    :ivar uses: in the order in which the function makes them.
    :ivar needs: inputs that may be missing by validation, but not in the call.
    :ivar function: its name in Python's errors; empty for ``CLASS.execute()``.
    """

    uses: tuple[SocketUse, ...] = ()
    needs: tuple[str, ...] = ()
    function: str = ""
