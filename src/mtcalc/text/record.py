# SPDX-License-Identifier: GPL-2.0-only
"""Record: typing.NamedTuple for the modules that a quick lookup loads.

To make one NamedTuple class takes a tenth of a millisecond: it compiles a constructor and looks at every annotation.
Thirty of them were a quarter of what lookup costs besides click. Type checkers see NamedTuple itself, and a test
holds the two alike in all that is used of them. Elsewhere NamedTuple is what to take.
"""

from operator import itemgetter
from typing import TYPE_CHECKING

__all__ = ["Record"]

if TYPE_CHECKING:
    from typing import NamedTuple as Record
else:

    class _Maker(type):
        """Makes of a class with annotations a tuple whose places have names, as NamedTuple does."""

        def __new__(cls, name, bases, space):
            if not bases:
                return super().__new__(cls, name, bases, space)
            fields = tuple(space.get("__annotations__", ()))
            defaults = {field: space[field] for field in fields if field in space}
            space.update((field, property(itemgetter(at))) for at, field in enumerate(fields))
            space |= {"__slots__": (), "__match_args__": fields, "_fields": fields, "_field_defaults": defaults}
            space["_last"] = tuple(defaults.values())
            return type(name, (_Tuple, *bases[1:]), space)

    class _Tuple(tuple):
        """What every record can do."""

        __slots__ = ()

        def __new__(cls, *values, **named):
            lacking = len(cls._fields) - len(values)
            if named or not 0 <= lacking <= len(cls._last):
                values = _completed(cls, values, named)
            elif lacking:
                values += cls._last[-lacking:]
            return tuple.__new__(cls, values)

        def __getnewargs__(self):
            return tuple(self)

        def __repr__(self):
            pairs = ", ".join(f"{field}={value!r}" for field, value in self._asdict().items())
            return f"{type(self).__name__}({pairs})"

        @classmethod
        def _make(cls, values):
            return cls(*values)

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def _replace(self, **named):
            values = [named.pop(field, value) for field, value in zip(self._fields, self, strict=True)]
            if named:
                raise ValueError(f"{type(self).__name__} has no {', '.join(named)}")
            return tuple.__new__(type(self), values)

    def _completed(cls, values, named):
        """Values by place, by name and by default, in order. Raises TypeError as a function does."""
        given = dict(zip(cls._fields, values, strict=False))
        if len(values) > len(cls._fields) or given.keys() & named.keys() or named.keys() - set(cls._fields):
            raise TypeError(f"{cls.__name__}() takes {', '.join(cls._fields)}, each once")
        found = {**cls._field_defaults, **given, **named}
        missing = [field for field in cls._fields if field not in found]
        if missing:
            raise TypeError(f"{cls.__name__}() lacks {', '.join(missing)}")
        return [found[field] for field in cls._fields]

    class Record(metaclass=_Maker):
        """The base to name; what is made has it no more, as with NamedTuple."""
