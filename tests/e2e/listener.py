"""Who asks Prometheus what? A listener between the controller and a real Prometheus."""

from __future__ import annotations

import threading
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus

from sandbox.prometheus import Prometheus
from sandbox.serving import Answer, Request, Serving


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question that a client put to Prometheus. `time`: the moment that it asks about, for instant queries."""

    path: str
    query: str
    time: float | None


HELD_SECONDS = 200.0
"""At the most, should nobody let an answer go."""


class Held:
    """One answer that is there and not sent. `is_here`: it is; `may_go`: it may be sent."""

    def __init__(self) -> None:
        self.is_here = threading.Event()
        self.may_go = threading.Event()

    def keep(self) -> None:
        """Until it may go."""
        self.is_here.set()
        self.may_go.wait(HELD_SECONDS)


class Listener(Serving):
    """Passes queries on to a Prometheus and remembers them. `token`: refuse whoever does not bear it."""

    def __init__(self, prometheus: Prometheus, *, token: str | None = None) -> None:
        super().__init__(self._answered)
        self.asked: list[Asked] = []
        self._held: list[Held] = []
        self._prometheus = prometheus.url
        self._authorization = token and f"Bearer {token}"

    @property
    def url(self) -> str:
        """What a PredictiveScaler takes for its Prometheus."""
        return f"http://{self.address}"

    def hold(self) -> Held:
        """Keep the answer to the next instant query, and to no other."""
        held = Held()
        self._held.append(held)
        return held

    def instants(self, query: str) -> list[Asked]:
        """The instant queries so far that asked this."""
        return [one for one in self.asked if one.query == query and one.time is not None]

    def _answered(self, request: Request) -> Answer:
        form = dict(urllib.parse.parse_qsl(request.body.decode()))
        time_ = float(form["time"]) if "time" in form else None
        self.asked.append(Asked(path=request.path, query=form["query"], time=time_))
        if self._authorization not in {None, request.headers.get("Authorization")}:
            return Answer(body=b"Unauthorized", status=HTTPStatus.UNAUTHORIZED)
        asked = urllib.request.Request(self._prometheus + request.path, data=request.body, method="POST")
        with urllib.request.urlopen(asked, timeout=10) as answer:
            found = Answer(body=answer.read(), status=answer.status)
        if time_ is not None and self._held:
            self._held.pop().keep()
        return found
