"""Files, sizes and memory of the machine."""
