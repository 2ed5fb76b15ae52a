"""The installation as the renderer knows it: its directories and the key of its digests."""

import hmac
from dataclasses import dataclass


@dataclass(frozen=True)
class Installation:
    """`runtime_dir`: the directory below which tmpfs are mounted ($XDG_RUNTIME_DIR/xnai). `models_dir`: the directory
    of the GGUF files. `key`: the HMAC key of the digests; without it nobody can guess a secret from a label."""

    runtime_dir: str
    models_dir: str
    key: bytes

    @property
    def installation(self) -> str:
        """The id of this installation, a label of its pods. A user may have two, and neither may stop the pods of the
        other."""
        return hmac.digest(self.key, b"installation", "sha256").hex()[:16]
