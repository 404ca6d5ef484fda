"""An immutable view of upstreams, routes and prices at one configuration version."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from tikhub_app.exceptions import ConfigurationError
from tikhub_app.gateway.pricing import PriceBook
from tikhub_app.models import ModelPrice, Route, Upstream
from tikhub_app.providers.base import Account, Provider
from tikhub_app.providers.registry import get_provider
from tikhub_app.upstream.address_guard import AddressRefused, check_base_url
from tikhub_app.upstream.values import Timeouts

MOST_REMEMBERED_MODELS = 2_048


@dataclass(frozen=True, slots=True)
class UpstreamView:
    """One enabled account, ready to be called; ``fault`` says why it cannot be."""

    upstream_id: int
    name: str
    provider: Provider
    account: Account
    is_sandbox: bool
    fault: str = ""
    #: The provider had refused the account when this view was made.
    was_refused: bool = False


@dataclass(frozen=True, slots=True)
class RouteView:
    """One enabled route to an enabled account."""

    pattern: str
    is_pattern: bool
    upstream: UpstreamView
    upstream_model: str
    priority: int
    weight: int

    def matches(self, model: str) -> bool:
        return fnmatchcase(model, self.pattern) if self.is_pattern else model == self.pattern

    @property
    def rank(self) -> tuple[int, bool, int]:
        """Lower first: priority, exact before pattern, long before short."""
        return (self.priority, self.is_pattern, -len(self.pattern))


@dataclass(slots=True)
class Snapshot:
    version: int
    routes: tuple[RouteView, ...]
    prices: PriceBook
    _by_model: dict[str, tuple[RouteView, ...]] = field(default_factory=dict)

    def routes_for(self, model: str) -> tuple[RouteView, ...]:
        """Routes that match a name, best rank first. The sandbox is never the fallback of a real account."""
        found = self._by_model.get(model)
        if found is None:
            matching = sorted((route for route in self.routes if route.matches(model)), key=lambda route: route.rank)
            real = [route for route in matching if not route.upstream.is_sandbox]
            found = tuple(real or matching)
            if len(self._by_model) < MOST_REMEMBERED_MODELS:
                self._by_model[model] = found
        return found

    def named_models(self) -> list[str]:
        """Names worth suggesting: exact routes, and priced models that a route matches."""
        names = {route.pattern for route in self.routes if not route.is_pattern}
        names.update(name for name in self.prices.named_models() if self.routes_for(name))
        return sorted(names)


def _view_upstream(row: Upstream) -> UpstreamView | None:
    try:
        provider = get_provider(row.provider)
    except ConfigurationError:
        return None
    fault, credential, base_url = "", "", row.base_url
    try:
        base_url = check_base_url(row.base_url)
        credential = row.reveal_credential()
        if not credential and not provider.credential_optional and not row.is_sandbox:
            fault = f"The upstream {row.name} has no credential."
    except (ConfigurationError, AddressRefused) as error:
        fault = f"The upstream {row.name} cannot be used: {error}"
    timeouts = Timeouts(row.connect_timeout_s, row.first_byte_timeout_s, row.idle_timeout_s)
    account = Account(base_url, credential, row.options, timeouts)
    return UpstreamView(row.pk, row.name, provider, account, row.is_sandbox, fault, row.auth_failed_at is not None)


def load_snapshot(version: int, alias: str) -> Snapshot:
    """Read everything that is enabled; called by the configuration thread only."""
    rows = Upstream.all_rows().using(alias).filter(enabled=True)
    upstreams = {row.pk: view for row in rows if (view := _view_upstream(row)) is not None}
    routes = tuple(
        RouteView(
            row.pattern,
            row.is_pattern,
            upstreams[row.upstream_id],
            row.upstream_model,
            row.priority,
            max(row.weight, 1),  # no validator stands between an UPDATE and the table
        )
        for row in Route.all_rows().using(alias).filter(enabled=True)
        if row.upstream_id in upstreams
    )
    return Snapshot(version, routes, PriceBook(ModelPrice.all_rows().using(alias).order_by("-effective_from")))
