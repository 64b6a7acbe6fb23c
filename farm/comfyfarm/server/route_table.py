"""Finds the routes of plain paths at once: a table in front of Klein's matcher, made from its own map of routes.

Klein matches each path segment by segment, over all routes.  Most requests are for a path that is a route as it stands,
or for a route with a name as its last segment; for these a lookup gives the same
(``tests/unit/server/test_route_table.py`` compares every route).  All other paths are left to Klein, and so is a path
whose method the table does not have.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import Any

from klein import Klein
from werkzeug.routing import Rule

from comfyfarm.server.front import route_path

_LAST_IS_NAME = re.compile(r"(/[^<>]*/)<(\w+)>")
_MOST_KEPT = 1000
_LEFT_OUT = frozenset({"HEAD", "OPTIONS"})


@dataclass(frozen=True)
class FoundRoute:
    """A route for a path.

    :ivar handler: the function, which takes the application's instance, the request and the arguments; that of a
        coroutine is Klein's own, which returns a Deferred.
    :ivar arguments: what the path gives the function.
    """

    handler: Callable[..., Any]
    arguments: dict[str, str]


@dataclass(eq=False)
class RouteTable:
    """The routes of an application by method and path; those that are added later are found, too."""

    app: Klein
    _whole: dict[tuple[str, str], FoundRoute] = field(default_factory=dict)
    _named: dict[tuple[str, str], tuple[Callable[..., Any], str]] = field(default_factory=dict)
    _found: dict[tuple[str, str], FoundRoute | None] = field(default_factory=dict)      # of the latest paths
    _count: int = 0

    def find(self, method: str, path: str) -> FoundRoute | None:
        """Return the route of the path of a request.

        :param path: of letters, digits, ``-`` and ``_``, without empty segments.
        """
        if self._count != len(self.app.endpoints):
            self._read()
        try:
            return self._found[method, path]
        except KeyError:
            if len(self._found) == _MOST_KEPT:
                self._found.clear()
            found = self._found[method, path] = self._look_up(method, path)
            return found

    def _look_up(self, method: str, full_path: str) -> FoundRoute | None:
        path = route_path(full_path)
        if path is None:
            return None
        if (found := self._whole.get((method, path))) is not None:
            return found
        start, _, last = path.rpartition("/")
        named = self._named.get((method, f"{start}/")) if last else None
        return None if named is None else FoundRoute(named[0], {named[1]: last})

    def _read(self) -> None:
        self._whole.clear()
        self._named.clear()
        self._found.clear()
        for rule in self.app.url_map.iter_rules():
            handler = _without_wrapper(self.app.endpoints[rule.endpoint])
            named = _LAST_IS_NAME.fullmatch(rule.rule)
            for method in () if _is_special(rule) else (rule.methods or set()) - _LEFT_OUT:
                if "<" not in rule.rule:
                    self._whole.setdefault((method, rule.rule), FoundRoute(handler, {}))
                elif named is not None:
                    self._named.setdefault((method, named[1]), (handler, named[2]))
        self._count = len(self.app.endpoints)


def _without_wrapper(handler: Any) -> Callable[..., Any]:
    """Return a route's own function, if Klein's wrapper does nothing but call it."""
    own: Callable[..., Any] = getattr(handler, "__wrapped__", handler)
    return handler if iscoroutinefunction(own) else own


def _is_special(rule: Rule) -> bool:
    return bool(rule.defaults or rule.redirect_to or rule.websocket or rule.build_only or rule.host or rule.subdomain)
