"""How much memory services need and whether the machine has it. Pure."""
