"""File formats of the export: one module per format."""
