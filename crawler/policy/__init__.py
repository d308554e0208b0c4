"""Values to verdicts. Pure: no clock, no I/O."""
