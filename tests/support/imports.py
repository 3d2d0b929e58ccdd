"""What Python imports by, before a binding of Qt that some test loads puts a function of its own there."""

import builtins

plain_import = builtins.__import__
