"""What a running pod was admitted with, as it is stored in a label of the pod. Sizes in bytes."""

import json
from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class Allocation:
    """The memory and the GPU that a running pod was admitted with. It differs from the demand when the service changed.

    `private_bytes`: memory that is not shared with other pods. `mapped`: weights mapped from `model_file`. `device`:
    the GPU, or empty. `includes_tmpfs`: `private_bytes` includes the tmpfs mounts.
    """

    private_bytes: int
    mapped: int = 0
    model_file: str = ""
    device: str = ""
    includes_tmpfs: bool = False

    def to_text(self) -> str:
        """The value of the pod's label: a JSON array of the fields, in their order."""
        return json.dumps(astuple(self))

    @classmethod
    def from_text(cls, text: str) -> "Allocation":
        """The allocation that `to_text` wrote. Raises ValueError or TypeError when the text is anything else."""
        private_bytes, mapped, model_file, device, includes_tmpfs = json.loads(text)
        return cls(int(private_bytes), int(mapped), str(model_file), str(device), bool(includes_tmpfs))
