"""Policies: from values to verdicts (scope, robots.txt, politeness, traps). Pure: no clock, no I/O."""
