"""The base of what a connection offers its peer, so that nobody outside this folder needs to import rpyc for it."""

from __future__ import annotations

from rpyc.core.service import ModuleNamespace, Service, VoidService

__all__ = ["ModuleNamespace", "Service", "VoidService"]
