"""Checking a site: what is broken on it, and where."""
