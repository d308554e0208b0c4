"""Checks and measurements on real sites, served on loopback: see README.md."""
