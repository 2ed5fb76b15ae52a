"""What the ConfigMaps and Secrets of a namespace hold."""

from collections.abc import Mapping

ContentKey = tuple[str, str]
"""(kind, name); the kind is `ConfigMap` or `Secret`."""

Contents = Mapping[ContentKey, Mapping[str, bytes]]
"""The files of each object of one namespace: key -> bytes."""
