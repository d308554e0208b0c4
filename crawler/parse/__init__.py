"""Bytes to values. Pure: no clock, no I/O."""
