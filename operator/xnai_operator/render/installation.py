"""What rendering must know of the installation: paths and the key of the hashes. Read once, passed in."""

import hashlib
import hmac
from dataclasses import dataclass


@dataclass(frozen=True)
class Installation:
    """`runtime_dir`: where tmpfs directories are mounted ($XDG_RUNTIME_DIR/xnai). `models_dir`: GGUF files.
    `key`: the installation's HMAC key, so that no secret can be guessed from a label."""

    runtime_dir: str
    models_dir: str
    key: bytes
    cores: int
    """Physical cores the inference threads may use."""
    cpus: frozenset[int] = frozenset({0, 1})
    """Numbers of the CPUs, those of hardware threads included."""

    @property
    def installation(self) -> str:
        """The id of this installation, a label of its pods: two of one user must not stop each other's."""
        return hmac.new(self.key, b"installation", hashlib.sha256).hexdigest()[:16]
