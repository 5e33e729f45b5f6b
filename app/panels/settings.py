"""The settings dialog: what a reader may choose, each taken at once."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.preferences import Preferences
from core.settings import FIELD_DIAMETERS_MM, THEMES
from core.slides.choice import BACKENDS


class SettingsDialog(QDialog):
    """Edits the preferences.

    Args:
        preferences: read and changed.
        store_note: where results are kept now, and why not as usual.
        parent: the window.

    Signals:
        keys_requested: no payload: show and change the keys.
    """

    keys_requested = Signal()

    def __init__(
        self, preferences: Preferences, store_note: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Settings"))
        self.setMinimumWidth(460)
        self._preferences = preferences
        settings = preferences.settings
        self.theme = _combo(
            dict(
                zip(
                    THEMES,
                    (self.tr("As the system"), self.tr("Light"), self.tr("Dark")),
                    strict=True,
                )
            ),
            settings.theme,
        )
        self.theme.activated.connect(self._take)
        self.backend = _combo(
            dict(
                zip(
                    BACKENDS,
                    (self.tr("the fastest that agrees"), "OpenSlide", "libjpeg-turbo", "fastslide"),
                    strict=True,
                )
            ),
            settings.backend,
        )
        self.backend.activated.connect(self._take)
        self.crop = QDoubleSpinBox(minimum=16, maximum=256, decimals=0, suffix=" µm")
        self.crop.setValue(settings.crop_um)
        self.crop.valueChanged.connect(self._take)
        self.idle = QSpinBox(minimum=1, maximum=480, suffix=self.tr(" min"))
        self.idle.setValue(settings.idle_minutes)
        self.idle.valueChanged.connect(self._take)
        least, most = FIELD_DIAMETERS_MM
        self.field = QDoubleSpinBox(
            minimum=least, maximum=most, decimals=2, singleStep=0.01, suffix=" mm"
        )
        self.field.setToolTip(
            self.tr("Field number of the eyepiece by the objective: 22 at 40x is 0.55 mm")
        )
        self.field.setValue(settings.field_diameter_mm)
        self.field.valueChanged.connect(self._take)
        self.hide_names = QCheckBox(self.tr("Show aliases or numbers in place of file names"))
        self.hide_names.setChecked(settings.hide_names)
        self.hide_names.toggled.connect(self._take)
        self.store = QLineEdit(settings.store, placeholderText=self.tr("the usual place"))
        self.store.editingFinished.connect(self._take)
        self._lay_out(store_note)

    def _lay_out(self, store_note: str) -> None:
        browse = QPushButton(self.tr("Choose…"), autoDefault=False)
        browse.clicked.connect(self._choose_store)
        keys = QPushButton(self.tr("Keys…"), autoDefault=False)
        keys.clicked.connect(self.keys_requested)
        store_row = QHBoxLayout()
        store_row.addWidget(self.store, 1)
        store_row.addWidget(browse)
        form = QFormLayout()
        form.addRow(self.tr("Theme"), self.theme)
        form.addRow(self.tr("Gallery crops"), self.crop)
        form.addRow(self.tr("Ask who reads after"), self.idle)
        form.addRow(self.tr("Microscope’s field"), self.field)
        form.addRow(self.tr("Names"), self.hide_names)
        form.addRow(self.tr("Slides are read by"), self.backend)
        form.addRow(self.tr("Store, from the next start"), store_row)
        form.addRow(self.tr("Keys"), keys)
        note = QLabel(store_note, wordWrap=True)
        note.setProperty("faint", True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(note)
        column.addWidget(buttons)

    @Slot()
    def _take(self) -> None:
        self._preferences.change(
            theme=self.theme.currentData(),
            backend=self.backend.currentData(),
            crop_um=self.crop.value(),
            idle_minutes=self.idle.value(),
            field_diameter_mm=round(self.field.value(), 2),
            hide_names=self.hide_names.isChecked(),
            store=self.store.text().strip(),
        )

    @Slot()
    def _choose_store(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self,
            self.tr("Store"),
            self.store.text(),
            self.tr("Stores (*.sqlite)"),
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if name:
            self.store.setText(name)
            self._take()


def _combo(texts: dict[str, str], chosen: str) -> QComboBox:
    box = QComboBox()
    for value, text in texts.items():
        box.addItem(text, value)
    box.setCurrentIndex(box.findData(chosen))
    return box
