"""Which classifier analyses use, and another look at the open slide with it."""

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import QComboBox, QPushButton, QVBoxLayout, QWidget

from app.panels.choice import Choice
from app.panels.count_parts import Note, label
from app.panels.run_texts import duration
from app.preferences import Preferences
from app.shelf import ListedClassifier, Shelf
from core.reading.view import DeskView


class ClassifierChoice(QWidget):
    """Below the choice itself, which its owner lays out: what is known of it, and the offer.

    Args:
        shelf: what can be chosen.
        preferences: keep the choice.

    Attributes:
        box: the choice.

    Signals:
        reclassify_requested: no payload: classify the open slide's candidates anew.
    """

    reclassify_requested = Signal()

    def __init__(
        self, shelf: Shelf, preferences: Preferences, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._shelf, self._preferences = shelf, preferences
        self._view: DeskView | None = None
        self._busy = False
        self.box = Choice()
        self.box.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.box.setMinimumContentsLength(10)
        self.box.activated.connect(self._chosen)
        self.about = label(faint=True)
        self.button = QPushButton(self.tr("Classify anew"))
        self.button.setToolTip(
            self.tr("Makes another analysis of the same candidates; verdicts stay with them")
        )
        self.button.clicked.connect(self.reclassify_requested)
        self.offer = Note("warning", self.button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.about)
        column.addWidget(self.offer)
        shelf.listed.connect(self._fill)
        preferences.changed.connect(self._show)
        self._fill()

    @property
    def chosen(self) -> ListedClassifier | None:
        """The classifier of the next analysis; None while it is not listed."""
        return self._shelf.find(self._preferences.settings.adapter)

    def show_view(self, view: DeskView | None, *, busy: bool) -> None:
        """Offer to classify anew where another classifier's scores are shown.

        Args:
            view: of the open slide.
            busy: whether its analysis runs or waits, or may not be written.
        """
        self._view, self._busy = view, busy
        self._show()

    @Slot()
    def _fill(self) -> None:
        found = self._shelf.classifiers
        with QSignalBlocker(self.box):
            self.box.clear()
            if not found:
                self.box.addItem(self.tr("Mitoscope's own"), "")
            for row, classifier in enumerate(found):
                folder = "" if classifier.folder is None else str(classifier.folder)
                name = classifier.name if folder else self.tr("Mitoscope's own")
                self.box.addItem(name, folder)
                model = self.box.model()
                assert isinstance(model, QStandardItemModel)
                model.item(row).setEnabled(not classifier.fault)
                hint = classifier.fault or folder or classifier.name
                self.box.setItemData(row, hint, Qt.ItemDataRole.ToolTipRole)
        self._show()

    @Slot()
    def _show(self) -> None:
        setting = self._preferences.settings.adapter
        row = self.box.findData(setting)
        with QSignalBlocker(self.box):
            if row < 0 and self._shelf.classifiers:
                # Chosen once and gone since: it is named, and nothing else is used silently.
                self.box.addItem(self.tr("(missing)"), setting)
                row = self.box.count() - 1
            self.box.setCurrentIndex(row)
        self.about.setText(self._about())
        self.about.setVisible(bool(self.about.text()))
        self.offer.show_text(self._offer())

    def _about(self) -> str:
        chosen = self.chosen
        if chosen is None:
            missing = bool(self._shelf.classifiers)
            text = self.tr(
                "This adapter is not there, or the laboratory does not offer it. Choose another."
            )
            return text if missing else ""
        if chosen.fault:
            return self.tr("It cannot be used: {0}").format(chosen.fault)
        info = chosen.info
        if info is None or info.f1_new is None:
            return ""
        text = self.tr("F1 {0} on {1} slides held out").format(f"{info.f1_new:.2f}", info.slides)
        if info.f1_shipped is not None:
            text += self.tr(", Mitoscope's own {0}").format(f"{info.f1_shipped:.2f}")
        return text

    def _offer(self) -> str:
        view, chosen = self._view, self.chosen
        run = None if view is None else view.run
        if self._busy or view is None or run is None or run.state != "done":
            return ""
        if chosen is None or chosen.fault:
            return ""
        if not chosen.sha256 or chosen.sha256 == run.classifier.sha256:
            return ""
        candidates = int((view.figures.key > 0).sum())
        text = self.tr("Shown are the scores of {0}. {1} candidates can be classified anew").format(
            run.classifier.name, candidates
        )
        seconds = run.times.get("classify_s", 0.0)
        if seconds > 0:
            text += self.tr("; with the former classifier that took {0}").format(duration(seconds))
        return text + "."

    @Slot(int)
    def _chosen(self, row: int) -> None:
        self._preferences.change(adapter=self.box.itemData(row))
