"""Exact US dollars on every database.

SQLite has no decimal type: it would keep amounts as binary floats and sum them so. The column is therefore a 64-bit
integer of pico-dollars (10**-12 USD), which is exact in rows, comparisons and sums, and Python sees ``Decimal``.
One row holds up to 9.2 million USD; so does a sum on SQLite (PostgreSQL sums in ``numeric``).
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from django import forms
from django.core import checks, exceptions
from django.db import models

if TYPE_CHECKING:
    from django.db.models.expressions import Combinable

    _StoredField = models.BigIntegerField
else:

    class _StoredField(models.BigIntegerField):
        """Django's fields take type arguments in their stubs only."""

        def __class_getitem__(cls, _: object) -> type:
            return cls


SetType = TypeVar("SetType", contravariant=True)
GetType = TypeVar("GetType", covariant=True)

PICO = Decimal(10) ** 12
QUANTUM = Decimal(1) / PICO


def to_pico(amount: Decimal) -> int:
    """Pico-dollars of an amount, rounded half to even at the twelfth decimal place."""
    return int((amount * PICO).to_integral_value(ROUND_HALF_EVEN))


def from_pico(value: int) -> Decimal:
    return Decimal(value).scaleb(-12)


class UsdField(_StoredField[SetType, GetType]):
    """``Decimal`` US dollars with twelve decimal places, stored as an integer of pico-dollars."""

    if TYPE_CHECKING:
        # Read by the Django plugin: what may be assigned, and what comes back.
        _pyi_private_set_type: Decimal | int | str | Combinable  # type: ignore[assignment]
        _pyi_private_get_type: Decimal  # type: ignore[assignment]

    description = "US dollars, exact to 12 decimal places"

    def from_db_value(self, value: int | Decimal | None, *_: object) -> Decimal | None:
        return None if value is None else from_pico(int(value))

    def to_python(self, value: Any) -> Decimal | None:
        if value is None or isinstance(value, Decimal):
            return value
        try:
            return Decimal(str(value))
        except ArithmeticError as error:
            raise exceptions.ValidationError(f"“{value}” is not an amount in US dollars.") from error

    def get_prep_value(self, value: Any) -> int | None:
        amount = self.to_python(value)
        return None if amount is None else to_pico(amount)

    def formfield(self, **kwargs: Any) -> Any:
        defaults = {"form_class": forms.DecimalField, "max_digits": 19, "decimal_places": 12}
        return models.Field.formfield(self, **{**defaults, **kwargs})

    @property
    def validators(self) -> list[Any]:
        # The integer range validators of BigIntegerField speak of pico-dollars; Decimal values are checked on save.
        return list(self.__dict__["_validators"])

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        return list(models.Field.check(self, **kwargs))

    def value_to_string(self, obj: models.Model) -> str:
        value = self.value_from_object(obj)
        return "" if value is None else format(value, "f")
