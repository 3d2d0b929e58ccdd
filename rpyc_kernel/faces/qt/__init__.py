"""Widgets and a window of Qt, by qtpy: PySide6, PyQt6 and PyQt5 serve."""
