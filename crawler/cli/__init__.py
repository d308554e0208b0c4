"""The command line: what a person types and reads. One file per command."""
