"""The pictures that code has shown: small ones to choose from, and the chosen one large."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QCloseEvent, QGuiApplication, QIcon, QImage, QPainter, QPixmap, QWheelEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QGraphicsScene,
    QGraphicsView,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from rpyc_kernel.faces.frontend.plots import Picture
from rpyc_kernel.faces.frontend.transcript import Item
from rpyc_kernel.faces.qt.calls import Calls
from rpyc_kernel.faces.qt.images import read_image

_SMALL = QSize(96, 64)
_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/svg+xml": "svg"}
_ITEM = Qt.ItemDataRole.UserRole


class PlotsPane(QWidget):
    """Shows pictures; `ConsoleWidget.plots_changed` tells which.

    Args:
        parent: of the widget.

    Attributes:
        list: the small ones.
        view: the large one.

    Example:
        >>> from rpyc_kernel.qt import PlotsPane
        >>> plots = PlotsPane()  # in a program that has a QApplication
        >>> console.plots_changed.connect(plots.show_pictures)  # doctest: +SKIP
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pictures: dict[Item, Picture] = {}
        self._rows: dict[Item, QListWidgetItem] = {}
        self._to_read: dict[Item, None] = {}
        self._is_reading = False
        self._calls = Calls("plots")
        self.destroyed.connect(self._calls.close)
        self._image: QImage | None = None
        self.list = QListWidget(self)
        self.view = _LargeView(self)
        self._name = QLabel(self)
        self._name.setTextFormat(Qt.TextFormat.PlainText)
        self._buttons = [
            self._make_button("Fit", "Fit the picture into the window", self.view.fit),
            self._make_button("1:1", "Show each pixel as one", self.view.show_pixels),
            self._make_button("Copy", "Copy the picture", self.copy),
            self._make_button("Save as…", "Save the picture as a file", self._ask_to_save),
        ]
        self._place_widgets()
        self._choose()

    def _make_button(self, text: str, tip: str, act: object) -> QToolButton:
        button = QToolButton(self)
        button.setText(text)
        button.setToolTip(tip)
        button.setAutoRaise(True)
        button.clicked.connect(lambda *_: act())  # type: ignore[operator]
        return button

    def _place_widgets(self) -> None:
        self.list.setViewMode(QListWidget.ViewMode.IconMode)
        self.list.setFlow(QListWidget.Flow.LeftToRight)
        self.list.setWrapping(False)
        self.list.setMovement(QListWidget.Movement.Static)
        self.list.setIconSize(_SMALL)
        self.list.setFixedHeight(_SMALL.height() + 48)
        self.list.setFrameShape(QListWidget.Shape.NoFrame)
        self.list.setAccessibleName("plots")
        self.list.currentItemChanged.connect(lambda *_: self._choose())
        row = QHBoxLayout()
        row.setContentsMargins(6, 3, 6, 3)
        row.addWidget(self._name, 1)
        for button in self._buttons:
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(row)
        column.addWidget(self.view, 1)
        column.addWidget(self.list)

    # ------------------------------------------------------------------ which there are

    def show_pictures(self, pictures: Mapping[Item, Picture]) -> None:
        """Have these, oldest first; who looks at the newest one goes on to do so."""
        last = self.list.count() - 1
        follows = self.list.currentRow() == last
        for item in [item for item in self._rows if item not in pictures]:
            self.list.takeItem(self.list.row(self._rows.pop(item)))
        changed = [item for item, picture in pictures.items() if self._pictures.get(item) is not picture]
        self._pictures = dict(pictures)
        for item in changed:
            if item not in self._rows:
                row = self._rows[item] = QListWidgetItem(_name(item))
                row.setData(_ITEM, item)
                row.setTextAlignment(Qt.AlignmentFlag.AlignHCenter)
                row.setSizeHint(QSize(_SMALL.width() + 12, _SMALL.height() + 26))
                self.list.addItem(row)
        self._to_read |= dict.fromkeys(changed)
        if follows or self.list.currentRow() < 0:
            self.list.setCurrentRow(self.list.count() - 1)
        self.list.setVisible(self.list.count() > 0)
        self._read_next()

    @property
    def _chosen(self) -> Item | None:
        row = self.list.currentItem()
        return row.data(_ITEM) if row is not None else None

    def _choose(self) -> None:
        """Another one is to be seen large."""
        item = self._chosen
        self._show_large(None, "no plots yet" if item is None else f"{_name(item)} …")
        for button in self._buttons:
            button.setEnabled(item is not None)
        if item is not None:
            self._to_read = {item: None, **self._to_read}
            self._read_next()

    def _show_large(self, image: QImage | None, name: str) -> None:
        self._image = image
        self.view.show_image(image)
        self._name.setText(name)

    # ------------------------------------------------------------------ reading them, in a thread

    @property
    def is_drawn(self) -> bool:
        """Whether nothing is left to draw."""
        return not self._is_reading and not self._to_read

    def _read_next(self) -> None:
        """Read one at a time: many may have come at once, and each be another one before it is read."""
        while self._to_read and not self._is_reading:
            item = next(iter(self._to_read))
            del self._to_read[item]
            if item in self._pictures:
                self._is_reading = True
                self._calls.ask(partial(_read, self._pictures[item]), partial(self._take, item))

    def _take(self, item: Item, found: tuple[QImage, QImage] | None) -> None:
        self._is_reading = False
        if item in self._rows:
            icon = QIcon()
            if found is not None:
                small = QPixmap.fromImage(found[1])
                icon.addPixmap(small)
                icon.addPixmap(small, QIcon.Mode.Selected)  # without the colour of the selection over it
            self._rows[item].setIcon(icon)
            if item is self._chosen and found is None:
                self._show_large(None, "too large, or broken; it can be saved")
            elif item is self._chosen and found is not None:
                self._show_large(found[0], f"{_name(item)}  {found[0].width()} × {found[0].height()}")
        self._read_next()

    # ------------------------------------------------------------------ what users do

    def copy(self) -> None:
        """Put the chosen picture on the clipboard."""
        if self._image is not None:
            QGuiApplication.clipboard().setImage(self._image)

    def save(self, path: str) -> None:
        """Write the chosen picture, as it came, to a file.

        Raises:
            OSError: it cannot be written.
        """
        if self._chosen is not None:
            Path(path).write_bytes(self._pictures[self._chosen].content)

    def _ask_to_save(self) -> None:
        item = self._chosen
        if item is None:
            return
        ending = _ENDINGS[self._pictures[item].mime]
        path, _ = QFileDialog.getSaveFileName(self, "Save the picture", f"plot-{item.seq}.{ending}", f"*.{ending}")
        if path:
            try:
                self.save(path)
            except OSError as error:
                self._name.setText(f"not saved: {error}")

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """End the threads."""
        self._calls.close()
        super().closeEvent(event)


class _LargeView(QGraphicsView):
    """One picture, which fits the widget until the wheel says otherwise."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setScene(QGraphicsScene(self))
        self.setFrameShape(QGraphicsView.Shape.NoFrame)
        self.setDragMode(QGraphicsView.DragMode.ScrollHandDrag)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.AnchorUnderMouse)
        self._fits = True
        self._shown: object = None

    def show_image(self, image: QImage | None) -> None:
        """Show this, or nothing."""
        self.scene().clear()
        if image is not None:
            item = self.scene().addPixmap(QPixmap.fromImage(image))
            item.setTransformationMode(Qt.TransformationMode.SmoothTransformation)
            self.scene().setSceneRect(item.boundingRect())
        self.fit()

    def fit(self) -> None:
        """Fit the picture, but enlarge it no further than to twice its size."""
        self._fits = True
        self.resetTransform()
        rectangle = self.scene().sceneRect()
        if rectangle.isEmpty():
            return
        room = self.viewport().size()
        scale = min((room.width() - 8) / rectangle.width(), (room.height() - 8) / rectangle.height(), 2.0)
        if scale > 0:
            self.scale(scale, scale)

    def show_pixels(self) -> None:
        """One pixel of the picture is one of the screen."""
        self._fits = False
        self.resetTransform()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        """Zoom."""
        self._fits = False
        factor = 1.25 if event.angleDelta().y() > 0 else 0.8
        if 0.02 < self.transform().m11() * factor < 50:
            self.scale(factor, factor)

    def resizeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Go on to fit."""
        super().resizeEvent(event)
        if self._fits:
            self.fit()


def _name(item: Item) -> str:
    number = "" if item.execution is None else f"[{item.execution}]"
    is_others = bool(item.whose) and item.whose != str(item.execution)
    return " ".join(part for part in (number, item.whose if is_others else "") if part) or "plot"


def _read(picture: Picture) -> tuple[QImage, QImage] | None:
    """The picture, and a small one; None if it cannot be drawn."""
    image = read_image(picture)
    return None if image is None else (image, _make_small(image))


def _make_small(image: QImage) -> QImage:
    """The picture in the middle of a place that is as large as that of all others."""
    small = image.scaled(_SMALL, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
    made = QImage(_SMALL, QImage.Format.Format_ARGB32_Premultiplied)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    painter.drawImage((_SMALL.width() - small.width()) // 2, (_SMALL.height() - small.height()) // 2, small)
    painter.end()
    return made
