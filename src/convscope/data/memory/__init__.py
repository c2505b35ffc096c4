"""Images that a caller holds in memory, as a data source."""
