"""A room of Millpond; see docs/architecture.md."""
