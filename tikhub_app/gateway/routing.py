"""Which upstreams may serve a call, in which order, and which of them rest after a failure."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import groupby

from tikhub_app.exceptions import NotFound, UnsupportedTranslation, UpstreamUnreachable
from tikhub_app.gateway.access import may_use_model
from tikhub_app.gateway.configuration import Principal
from tikhub_app.gateway.snapshot import RouteView, Snapshot, UpstreamView

FIRST_REST_S = 1.0
LONGEST_REST_S = 60.0


@dataclass(slots=True)
class _Rest:
    until: float
    failures: int


class RestingUpstreams:
    """Backoff per process: an upstream that failed is tried last for a while, twice as long after each failure."""

    def __init__(self) -> None:
        self._rests: dict[int, _Rest] = {}
        #: Accounts that this process saw refused (True) or saw working again (False) since.
        self._refusals: dict[int, bool] = {}

    def failed(self, upstream_id: int, retry_after_s: float | None) -> None:
        """Note a failure; the provider's own Retry-After wins over our doubling."""
        rest = self._rests.get(upstream_id)
        failures = rest.failures + 1 if rest is not None else 1
        pause = min(FIRST_REST_S * 2 ** (failures - 1), LONGEST_REST_S) * random.uniform(0.75, 1.0)  # noqa: S311
        if retry_after_s is not None:
            pause = min(max(retry_after_s, 0.0), LONGEST_REST_S)
        self._rests[upstream_id] = _Rest(time.monotonic() + pause, failures)

    def succeeded(self, upstream_id: int) -> None:
        if self._rests:
            self._rests.pop(upstream_id, None)

    def account_refused(self, upstream_id: int) -> None:
        self._refusals[upstream_id] = True

    def account_works(self, upstream: UpstreamView) -> bool:
        """Note that an account was taken; True when it stood as refused until now, so that the mark can go."""
        if not self._refusals and not upstream.was_refused:
            return False
        stood = self._refusals.get(upstream.upstream_id, upstream.was_refused)
        self._refusals[upstream.upstream_id] = False
        return stood

    def is_resting(self, upstream_id: int) -> bool:
        rest = self._rests.get(upstream_id)
        return rest is not None and rest.until > time.monotonic()

    def clear(self) -> None:
        self._rests.clear()
        self._refusals.clear()

    def __bool__(self) -> bool:
        return bool(self._rests)


def _by_weight(routes: Iterable[RouteView]) -> list[RouteView]:
    """A random order in which each route's chance to come first is its share of the weight."""
    pool = list(routes)
    if len(pool) == 1:
        return pool
    # Efraimidis and Spirakis: sorting by u ** (1 / weight) draws without replacement in proportion to weight.
    return sorted(pool, key=lambda route: random.random() ** (1.0 / route.weight), reverse=True)  # noqa: S311


def candidates(
    snapshot: Snapshot, principal: Principal, model: str, dialect: str, operation: str, resting: RestingUpstreams
) -> list[RouteView]:
    """Routes to try, in order; those that rest come last but are not left out.

    :raises NotFound: no route matches the name (the nearest names are given).
    :raises UnsupportedTranslation: the routes lead to providers that do not speak this dialect.
    :raises UpstreamUnreachable: every account behind the name is misconfigured.
    """
    matching = snapshot.routes_for(model)
    if not matching:
        raise unknown_model(snapshot, principal, model)
    speaking = [route for route in matching if route.upstream.provider.speaks(dialect, operation)]
    if not speaking:
        provider = matching[0].upstream.provider
        raise UnsupportedTranslation(
            f"The model '{model}' is served by {provider.label}, and calls of the dialect {dialect} cannot be "
            f"translated for {provider.name} yet.",
            param="model",
        )
    usable = [route for route in speaking if not route.upstream.fault]
    if not usable:
        # Why is the operator's business: the console and tikhub_doctor say it.
        raise UpstreamUnreachable(
            f"The model '{model}' has no working upstream; its operator must check the configuration.",
            code="upstream_misconfigured",
        )
    if len(usable) == 1:
        return usable
    ordered = [route for _, group in groupby(usable, key=lambda route: route.rank) for route in _by_weight(group)]
    if resting:
        ordered.sort(key=lambda route: resting.is_resting(route.upstream.upstream_id))
    # Two routes to the same place (an exact name and a pattern, say) are one candidate.
    places: dict[tuple[int, str], RouteView] = {}
    for route in ordered:
        places.setdefault((route.upstream.upstream_id, route.upstream_model or model), route)
    return list(places.values())


def unknown_model(snapshot: Snapshot, principal: Principal, model: str) -> NotFound:
    """A 404 that names the nearest models that the key may use."""
    allowed = [name for name in snapshot.named_models() if may_use_model(principal, name)]
    near = get_close_matches(model, allowed, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    return NotFound(f"The model '{model}' does not exist here.{hint}", param="model", code="model_not_found")
