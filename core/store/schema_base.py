"""The parent of the store's models: one metadata, one naming of keys, checks and indexes."""

from datetime import datetime
from typing import Any

from sqlalchemy import REAL, MetaData, Text
from sqlalchemy.orm import DeclarativeBase

from core.store.columns import Json, UtcTime

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Parent of the models: one metadata, one naming convention."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy's own class attribute)
        datetime: UtcTime,
        dict[str, Any]: Json,
        float: REAL,
        str: Text,
    }
