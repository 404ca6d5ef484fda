"""What every page of the console has in common: the stylesheet, and read-only pages for stored facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

ModelT = TypeVar("ModelT", bound=Model)

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin
    StackedInline = admin.StackedInline
    TabularInline = admin.TabularInline
    _CountingPaginator = Paginator[Any]
else:
    # The type checker wants to know which model an admin class is for; Django's classes cannot say so at run time.
    class _NamesItsModel:
        def __class_getitem__(cls, _: object) -> type:
            return cls

    class ModelAdmin(_NamesItsModel, admin.ModelAdmin): ...

    class StackedInline(_NamesItsModel, admin.StackedInline): ...

    class TabularInline(_NamesItsModel, admin.TabularInline): ...

    _CountingPaginator = Paginator


class ConsoleAdmin(ModelAdmin[ModelT]):
    """A page of the console."""

    list_per_page = 50
    # "Show counts" would count the rows behind every choice of every filter.
    show_facets = admin.ShowFacets.NEVER

    class Media:
        css = {"all": ("tikhub_app/console.css",)}


class CappedPaginator(_CountingPaginator):
    """Counts no further than a thousand pages' worth of rows would need anybody to read.

    ``COUNT(*)`` over a ledger of millions takes seconds, and so does an OFFSET deep into it; filters and the time
    window lead to older rows.
    """

    most_counted = 10_000

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        return min(rows.order_by()[: self.most_counted + 1].count(), self.most_counted)

    @property
    def is_capped(self) -> bool:
        return self.count >= self.most_counted


class FactsChangeList(ChangeList):
    """Django's list, that offers "Show all" only where a search or filter leaves something out."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not (self.query or self.has_active_filters):
            self.full_result_count = self.result_count


class FactsAdmin(ConsoleAdmin[ModelT]):
    """Rows that the gateway wrote: shown to those with Django's view permission, changed by nobody."""

    actions = None
    sortable_by = ()
    show_full_result_count = False
    paginator = CappedPaginator
    change_list_template = "tikhub_app/admin/facts_change_list.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return FactsChangeList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ModelT | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ModelT | None = None) -> bool:
        return False


class FactsInline(TabularInline[Any, Any]):
    """Rows of the above kind on their parent's page."""

    extra = 0
    max_num = 0
    can_delete = False
    show_change_link = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def may(request: HttpRequest, permission: str) -> bool:
    """Whether the person has a permission of this app, named without the app."""
    return request.user.is_active and request.user.has_perm(f"tikhub_app.{permission}")


def by_pk(queryset: QuerySet[ModelT], text: str) -> list[ModelT]:
    """The rows of a comma-separated list of integer keys, in that order; what is not a key is left out."""
    wanted = [int(part) for part in text.split(",") if part.isdecimal()]
    found = queryset.in_bulk(wanted)
    return [found[pk] for pk in wanted if pk in found]
