"""From what is desired and observed to ordered actions with reasons. Pure: no clock, no I/O."""
