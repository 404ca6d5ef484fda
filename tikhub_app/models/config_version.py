"""One number that tells every process that its view of keys, upstreams, routes or prices is old.

Every save, delete and queryset update of a configured model raises the number in the same transaction, so whoever
reads the number after that transaction also reads the change. Processes poll it (``gateway/configuration.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self, TypeVar

from django.db import models, router, transaction
from django.db.models import F
from django.db.models.signals import post_delete, post_save
from django.utils import timezone


class ConfigVersion(models.Model):
    """The single row (id 1) that counts configuration changes."""

    version = models.BigIntegerField(default=0, help_text="Raised by every change of keys, upstreams, routes, prices.")
    changed_at = models.DateTimeField(default=timezone.now, help_text="When the last change was made.")

    class Meta:
        verbose_name = "configuration version"

    def __str__(self) -> str:
        return f"configuration {self.version}"

    @classmethod
    def bump(cls, using: str | None = None) -> None:
        """Raise the number; call it inside the transaction that makes the change."""
        alias = using or router.db_for_write(cls)
        rows = cls.objects.using(alias)
        if not rows.filter(pk=1).update(version=F("version") + 1, changed_at=timezone.now()):
            rows.get_or_create(pk=1, defaults={"version": 1})


ModelT = TypeVar("ModelT", bound=models.Model, covariant=True)


class ConfiguredQuerySet(models.QuerySet[ModelT]):
    """Writes in bulk that tell about themselves; single saves and deletes do so by signal."""

    def update(self, **kwargs: Any) -> int:
        with transaction.atomic(using=self.db):
            changed = super().update(**kwargs)
            ConfigVersion.bump(self.db)
        return changed

    def update_quietly(self, **kwargs: Any) -> int:
        """Update columns that no cached decision depends on (last used, last error) without a new version."""
        return super().update(**kwargs)

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        with transaction.atomic(using=self.db):
            created = super().bulk_create(objs, *args, **kwargs)
            ConfigVersion.bump(self.db)
        return created

    def bulk_update(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> int:
        with transaction.atomic(using=self.db):
            changed = super().bulk_update(objs, *args, **kwargs)
            ConfigVersion.bump(self.db)
        return changed


class ConfiguredModel(models.Model):
    """Base of the tables that processes keep in memory."""

    objects: ClassVar[Any] = ConfiguredQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        with transaction.atomic(using=kwargs.get("using") or router.db_for_write(type(self), instance=self)):
            super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        with transaction.atomic(using=kwargs.get("using") or router.db_for_write(type(self), instance=self)):
            return super().delete(*args, **kwargs)

    @classmethod
    def all_rows(cls) -> ConfiguredQuerySet[Self]:
        return cls._default_manager.all()  # type: ignore[return-value]  # the manager is built from the queryset


def bump_on_change(sender: type[models.Model], using: str, **_: object) -> None:
    """Signal receiver for saves and deletes, cascades included."""
    if issubclass(sender, ConfiguredModel):
        ConfigVersion.bump(using)


post_save.connect(bump_on_change, dispatch_uid="tikhub_app.config_version.save")
post_delete.connect(bump_on_change, dispatch_uid="tikhub_app.config_version.delete")
