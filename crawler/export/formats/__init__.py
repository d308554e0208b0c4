"""File formats of the export: one module each."""
