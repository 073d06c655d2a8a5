"""Orders from tests: named settings of the simulated Azure, declared by whoever obeys them."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

type Setting = bool | float | str | dict[str, object] | list[object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    name: str
    default: Setting
    meaning: str
    choices: tuple[str, ...] = ()


class Knobs:
    """Declared settings with defaults; an unknown name or a value of another type is an error."""

    def __init__(self) -> None:
        self._declared: dict[str, Knob] = {}
        self._values: dict[str, Setting] = {}

    def declare(
        self, name: str, default: Setting, meaning: str, *, choices: Iterable[str] = ()
    ) -> None:
        """Add a knob; ``choices`` are the only texts it takes."""
        self._declared[name] = Knob(
            name=name, default=default, meaning=meaning, choices=tuple(choices)
        )

    def turn(self, settings: Mapping[str, object]) -> None:
        """Set several at once, or none: raise ValueError naming the first that is wrong."""
        checked = {name: self._checked(name, value) for name, value in settings.items()}
        self._values.update(checked)

    def restore(self) -> None:
        self._values.clear()

    def value(self, name: str) -> Setting:
        return self._values.get(name, self._declared[name].default)

    def flag(self, name: str) -> bool:
        return bool(self.value(name))

    def number(self, name: str) -> float:
        value = self.value(name)
        if not isinstance(value, (int, float)):
            raise TypeError(f"knob {name} is no number")
        return float(value)

    def text(self, name: str) -> str:
        return str(self.value(name))

    def listed(self) -> list[dict[str, object]]:
        return [
            {
                "name": knob.name,
                "value": self.value(knob.name),
                "default": knob.default,
                "meaning": knob.meaning,
            }
            for _, knob in sorted(self._declared.items())
        ]

    def _checked(self, name: str, value: object) -> Setting:
        knob = self._declared.get(name)
        if knob is None:
            near = difflib.get_close_matches(name, self._declared, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"there is no knob {name!r}{hint}")
        if knob.choices and value not in knob.choices:
            raise ValueError(f"knob {name!r} takes one of {', '.join(knob.choices)}, not {value!r}")
        match knob.default, value:
            case bool(), bool():
                return value
            case bool(), _:
                pass
            case int() | float(), int() | float() if not isinstance(value, bool):
                return float(value)
            case str(), str():
                return value
            case dict(), dict():
                return value
            case list(), list():
                return value
        raise ValueError(f"knob {name!r} takes {type(knob.default).__name__}, not {value!r}")
