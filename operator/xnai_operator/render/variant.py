"""How the running pod of a service differs from what its resource declares. The pod carries its variant as a label."""

import json
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Variant:
    """`reduced`: the model is loaded with less context and a smaller cache. `on_disk`: mount paths of the tmpfs that
    are volumes instead. `without_limits`: cgroup controllers (`memory`, `cpu`) whose limits the runtime cannot set and
    the pod goes without."""

    reduced: bool = False
    on_disk: frozenset[str] = frozenset()
    without_limits: frozenset[str] = frozenset()

    def to_text(self) -> str:
        """The text of the pod's label; empty when the pod is as declared."""
        fields = {
            "reduced": self.reduced,
            "onDisk": sorted(self.on_disk),
            "withoutLimits": sorted(self.without_limits),
        }
        given = {name: value for name, value in fields.items() if value}
        return json.dumps(given, separators=(",", ":")) if given else ""

    @classmethod
    def from_text(cls, text: str) -> "Variant":
        """The variant of a label that `to_text` gave. Fields of another version are left out. Raises ValueError or
        TypeError when the text is no such label."""
        fields = json.loads(text) if text else {}
        if not isinstance(fields, dict):
            raise ValueError(f"{text!r} is not a variant")
        return cls(
            reduced=fields.get("reduced") is True,
            on_disk=frozenset(map(str, fields.get("onDisk", []))),
            without_limits=frozenset(map(str, fields.get("withoutLimits", []))),
        )


AS_DECLARED: Final = Variant()


def _named(values: frozenset[str]) -> str:
    return ", ".join(sorted(values)) or "none"


def variant_change(old: Variant, new: Variant) -> str:
    """What differs between the variants of the running pod and of the rendered one; empty when nothing does."""
    changes = (
        ("model", "reduced" if new.reduced else "as declared", "reduced" if old.reduced else "as declared"),
        ("tmpfs on disk", _named(new.on_disk), _named(old.on_disk)),
        ("limits left out", _named(new.without_limits), _named(old.without_limits)),
    )
    return "; ".join(f"{what}: {after} instead of {before}" for what, after, before in changes if after != before)
