"""A server for programs in any language: JSON-RPC 2.0 in the base protocol of LSP, made of the table of commands."""
