"""The record of a kernel's life: every event, numbered, on disk, readable from any point."""
