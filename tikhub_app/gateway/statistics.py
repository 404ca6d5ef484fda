"""Figures over the ledger for people: the last day by the hour, its models, keys, latencies and errors.

An hour is a range of the time-ordered primary key. Each is read once, as groups that add up to everything the
dashboard says, and an hour that is over with no call open in it cannot change any more, so it is kept in memory: a
busy day is summed at the first look and costs two hours' worth of reading after that.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import router
from django.db.models import Case, Count, F, QuerySet, Sum, When
from django.utils import timezone

from tikhub_app.models import OPEN_STATUSES, CallStatus, GatewayRequest, first_uuid_at

HOUR = timedelta(hours=1)
HOURS = 24
ERRORS = (CallStatus.FAILED, CallStatus.INTERRUPTED)
#: Percentiles are those of the latest calls, this many at most, so that a busy day costs no more than a quiet one.
LATENCY_CALLS = 10_000
#: Rows may become visible this long after the moment in their id (commits, clocks of several machines).
SETTLING_TIME = timedelta(minutes=2)
MOST_HOURS_KEPT = 100
#: Callers choose the names of models that do not exist; beyond this many groups such names are counted together.
MOST_GROUPS_PER_HOUR = 2_000
OTHER_MODELS = "other models"


@dataclass(frozen=True, slots=True)
class Group:
    """Calls of one hour that share what is told apart."""

    status: str
    model: str
    key_id: int | None
    key_prefix: str
    is_unpriced: bool
    calls: int
    cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class Hour:
    """One bar of the chart."""

    starts_at: datetime
    groups: tuple[Group, ...]

    @property
    def ends_at(self) -> datetime:
        return self.starts_at + HOUR

    @property
    def calls(self) -> int:
        return sum(group.calls for group in self.groups)

    @property
    def errors(self) -> int:
        return sum(group.calls for group in self.groups if group.status in ERRORS)

    @property
    def cost_usd(self) -> Decimal:
        return sum((group.cost_usd for group in self.groups), Decimal(0))


@dataclass(frozen=True, slots=True)
class Share:
    """What one model or key had of the day."""

    name: str
    calls: int
    cost_usd: Decimal
    key_id: int | None = None


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds; None where no call has the figure. ``calls`` says on how many they rest."""

    p50: float | None
    p95: float | None
    calls: int


@dataclass(frozen=True, slots=True)
class Day:
    """The last 24 clock hours, the current one included."""

    is_sandbox: bool
    hours: tuple[Hour, ...]
    duration: Percentiles
    first_byte: Percentiles
    #: Calls of the other kind: those of the sandbox where this is about real ones, and the other way round.
    calls_left_out: int
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def starts_at(self) -> datetime:
        return self.hours[0].starts_at

    @property
    def groups(self) -> Iterable[Group]:
        return (group for hour in self.hours for group in hour.groups)

    @property
    def calls(self) -> int:
        return self.statuses.total()

    @property
    def errors(self) -> int:
        return sum(self.statuses[status] for status in ERRORS)

    @property
    def error_rate(self) -> float:
        return self.errors / self.calls if self.calls else 0.0

    @property
    def cost_usd(self) -> Decimal:
        return sum((hour.cost_usd for hour in self.hours), Decimal(0))

    def top_models(self, number: int = 5) -> list[Share]:
        return _top(((group.model, None), group) for group in self.groups)[:number]

    def top_keys(self, number: int = 5) -> list[Share]:
        return _top(((group.key_prefix or "no key", group.key_id), group) for group in self.groups)[:number]

    def unpriced_models(self) -> list[Share]:
        """Models that answered without a known price: their calls are missing from the spend."""
        return _top(((group.model, None), group) for group in self.groups if group.is_unpriced)


def last_day(now: datetime | None = None, *, is_sandbox: bool = False) -> Day:
    """Figures of the last 24 clock hours, of real calls or of the sandbox's."""
    moment = now or timezone.now()
    # Whole hours of UTC: an hour must be the same stretch for every viewer, because it is kept.
    current = datetime.fromtimestamp(moment.timestamp() // 3600 * 3600, tz=moment.tzinfo)
    hours: list[Hour] = []
    left_out = 0
    statuses: Counter[str] = Counter()
    for back in reversed(range(HOURS)):
        real, sandbox = _hour(current - back * HOUR, moment)
        hours.append(sandbox if is_sandbox else real)
        left_out += (real if is_sandbox else sandbox).calls
        for group in hours[-1].groups:
            statuses[group.status] += group.calls
    latest = list(
        _calls_between(hours[0].starts_at, hours[-1].ends_at)
        .filter(is_sandbox=is_sandbox, duration_ms__isnull=False)
        .order_by("-id")
        .values_list("duration_ms", "first_byte_ms")[:LATENCY_CALLS]
    )
    return Day(
        is_sandbox=is_sandbox,
        hours=tuple(hours),
        duration=_percentiles(duration for duration, _ in latest),
        first_byte=_percentiles(first_byte for _, first_byte in latest),
        calls_left_out=left_out,
        statuses=statuses,
    )


def latest_errors(day: Day, number: int = 8) -> list[GatewayRequest]:
    """The latest failed calls of that day. Only columns that a list shows are read."""
    if not day.errors:
        return []
    return list(
        _calls_between(day.starts_at, day.hours[-1].ends_at)
        .filter(is_sandbox=day.is_sandbox, status__in=ERRORS)
        .order_by("-id")
        .only(
            "id", "status", "started_at", "asked_model", "upstream_name", "key_prefix", "http_status", "error_code",
            "error_message",
        )[:number]
    )  # fmt: skip


def forget_hours() -> None:
    """Drop what is kept in memory, after ledger rows were written or removed in other ways than by calls."""
    with _lock:
        _kept.clear()


_lock = threading.Lock()
_kept: OrderedDict[tuple[str, datetime], tuple[Hour, Hour]] = OrderedDict()


def _hour(starts_at: datetime, now: datetime) -> tuple[Hour, Hour]:
    """One hour of real calls, and of the sandbox's."""
    key = (router.db_for_read(GatewayRequest), starts_at)
    with _lock:
        if (kept := _kept.get(key)) is not None:
            return kept
    groups: dict[bool, list[Group]] = {False: [], True: []}
    rows = (
        _calls_between(starts_at, starts_at + HOUR)
        .order_by()
        .annotate(model=Case(When(answered_model="", then=F("asked_model")), default=F("answered_model")))
        .values_list("is_sandbox", "status", "model", "key_id", "key_prefix", "is_unpriced")
        .annotate(calls=Count("*"), cost=Sum("cost_usd"))
    )
    for is_sandbox, status, model, key_id, key_prefix, is_unpriced, calls, cost in rows:
        groups[is_sandbox].append(Group(status, model, key_id, key_prefix, is_unpriced, calls, cost or Decimal(0)))
    real, sandbox = _bounded(groups[False]), _bounded(groups[True])
    found = (Hour(starts_at, tuple(real)), Hour(starts_at, tuple(sandbox)))
    is_over = starts_at + HOUR + SETTLING_TIME < now
    if is_over and not any(group.status in OPEN_STATUSES for group in (*real, *sandbox)):
        with _lock:
            _kept[key] = found
            while len(_kept) > MOST_HOURS_KEPT:
                _kept.popitem(last=False)
    return found


def _bounded(groups: list[Group]) -> tuple[Group, ...]:
    """The groups as they are, or the largest of them and the rest without their model's name."""
    if len(groups) <= MOST_GROUPS_PER_HOUR:
        return tuple(groups)
    groups.sort(key=lambda group: -group.calls)
    kept, rest = groups[:MOST_GROUPS_PER_HOUR], groups[MOST_GROUPS_PER_HOUR:]
    merged: dict[tuple[str, int | None, str, bool], Group] = {}
    for group in rest:
        names = (group.status, group.key_id, group.key_prefix, group.is_unpriced)
        so_far = merged.get(names)
        merged[names] = replace(
            group,
            model=OTHER_MODELS,
            calls=group.calls + (so_far.calls if so_far else 0),
            cost_usd=group.cost_usd + (so_far.cost_usd if so_far else 0),
        )
    return (*kept, *merged.values())


def _calls_between(start: datetime, end: datetime) -> QuerySet[GatewayRequest]:
    return GatewayRequest.objects.filter(id__gte=first_uuid_at(start), id__lt=first_uuid_at(end))


def _top(named: Iterable[tuple[tuple[str, int | None], Group]]) -> list[Share]:
    """Sums by name, the most called first."""
    calls: Counter[tuple[str, int | None]] = Counter()
    cost: dict[tuple[str, int | None], Decimal] = {}
    for name, group in named:
        calls[name] += group.calls
        cost[name] = cost.get(name, Decimal(0)) + group.cost_usd
    shares = [Share(name, calls[name, key_id], cost[name, key_id], key_id) for name, key_id in calls]
    return sorted(shares, key=lambda share: (-share.calls, share.name))


def _percentiles(values: Iterable[float | None]) -> Percentiles:
    """By nearest rank: the smallest value that so many percent of all do not exceed."""
    ordered = sorted(value for value in values if value is not None)

    def rank(percent: int) -> float | None:
        return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None

    return Percentiles(rank(50), rank(95), len(ordered))
