"""The Adapt panel: from labels to an adapter of one's own, compared before it is offered."""

import re
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.adapter_maker import AdapterMaker
from app.adapting.request import AdaptProgress, AdaptReport, AdaptRequest, Targets
from app.label_counts import SlideLabels, count_labels
from app.panels.adapt_result import AdaptResult
from app.panels.adapt_source import SourceChoice
from app.panels.adapt_texts import mode_names, mode_text, progress_text
from app.panels.choice import Choice
from app.panels.count_parts import Note, label
from app.panels.scrolled import fill_scrolled
from app.preferences import Preferences
from app.room import Room
from app.shelf import Shelf
from core.errors import UserError


@dataclass(frozen=True, slots=True)
class ListedBackbone:
    """A backbone whose weights are on this computer."""

    id: str
    title: str
    params_m: float
    licence: str
    has_attention: bool


def list_backbones() -> tuple[ListedBackbone, ...]:
    """The backbones whose weights are here, the shipped one first, then the smallest."""
    from models import hub
    from models.registry import backbones

    here = [
        (place != "shipped", entry.params_m, entry)
        for entry in backbones().values()
        if (place := hub.place(entry)) != "missing"
    ]
    return tuple(
        ListedBackbone(e.id, e.title, e.params_m, e.licence, bool(e.lora_attention))
        for _, _, e in sorted(here, key=lambda row: row[:2])
    )


class AdaptPanel(QWidget):
    """Asks what to learn from and how, shows how far it is and what came of it.

    Args:
        room: whose store holds the verdicts.
        maker: does the work.
        shelf: where adapters are kept.
        preferences: device, and the classifier in use.

    Signals:
        reclassify_requested: no payload: classify the open slide anew with the adapter in use.
    """

    reclassify_requested = Signal()

    def __init__(
        self,
        room: Room,
        maker: AdapterMaker,
        shelf: Shelf,
        preferences: Preferences,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._room, self._maker, self._shelf = room, maker, shelf
        self._preferences = preferences
        self._report: AdaptReport | None = None
        self._make_parts()
        self._lay_out()
        maker.changed.connect(self._renew)
        maker.progressed.connect(self._show_progress)
        maker.finished.connect(self._finished)
        maker.failed.connect(self._show_trouble)
        shelf.listed.connect(self._renew)
        preferences.changed.connect(self._renew)
        room.view_changed.connect(self._renew)
        room.slide_closing.connect(self._renew)
        self._mode_chosen()
        self._renew()

    # The parts.

    def _make_parts(self) -> None:
        self.blinded = Note("warning")
        self.source = SourceChoice(self._room.store.path)
        self.source.changed.connect(self._renew)
        self.backbone = Choice()
        self.backbone.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.backbone.setMinimumContentsLength(10)
        self.backbone.currentIndexChanged.connect(self._mode_chosen)
        self.mode = Choice()
        for mode, text in mode_names().items():
            self.mode.addItem(text, mode)
        self.mode.currentIndexChanged.connect(self._mode_chosen)
        self.mode_note = label(faint=True)
        self.targets = Choice()
        self.targets.addItem(self.tr("Attention and MLP"), "all")
        self.targets.addItem(self.tr("Attention only"), "attention")
        self.targets.currentIndexChanged.connect(self._renew)
        self.name = QLineEdit(placeholderText=self.tr("Name of the adapter"))
        self.name.textChanged.connect(self._renew)
        self.name_note = label(faint=True)
        self.start_button = QPushButton(self.tr("Adapt"))
        self.start_button.clicked.connect(self.start)
        self.cancel_button = QPushButton(self.tr("Stop"))
        self.cancel_button.clicked.connect(self._cancel)
        self.phase = QLabel(wordWrap=True)
        self.bar = QProgressBar(textVisible=False)
        self.trouble = Note("error")
        self.trouble.show_text("")
        self.result = AdaptResult()
        self.result.use_requested.connect(self._use)
        self.result.reclassify_requested.connect(self.reclassify_requested)

    def _lay_out(self) -> None:
        self.form = QFormLayout()
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.form.addRow(self.tr("Backbone"), self.backbone)
        self.form.addRow(self.tr("Way"), self.mode)
        self.form.addRow(self.tr("LoRA in"), self.targets)
        self.form.addRow(self.tr("Name"), self.name)
        buttons = QHBoxLayout()
        buttons.addWidget(self.start_button, 1)
        buttons.addWidget(self.cancel_button)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(10, 8, 10, 10)
        column.setSpacing(8)
        column.addWidget(self.blinded)
        column.addWidget(label(self.tr("Learn from"), strong=True))
        column.addWidget(self.source)
        column.addLayout(self.form)
        for widget in (self.mode_note, self.name_note):
            column.addWidget(widget)
        column.addLayout(buttons)
        below: tuple[QWidget, ...] = (self.phase, self.bar, self.trouble, self.result)
        for part in below:
            column.addWidget(part)
        column.addStretch(1)
        self._area = fill_scrolled(self, inner)

    # What is shown.

    @Slot(bool)
    def came_to_front(self, visible: bool) -> None:
        """Look anew at what there is to learn from; a dock behind others gets no show event."""
        if visible:
            self.renew()

    @Slot()
    def renew(self) -> None:
        """Read verdicts and backbones anew, on another thread."""
        store, hide = self._room.store, self._room.hide_names
        thread = self._shelf.work_thread
        thread.submit(
            lambda: count_labels(store, hide_names=hide), self._show_labels, self._show_trouble
        )
        thread.submit(list_backbones, self._show_backbones, self._show_trouble)

    def _show_labels(self, slides: tuple[SlideLabels, ...]) -> None:
        self.source.show_slides(slides)

    def _show_backbones(self, found: tuple[ListedBackbone, ...]) -> None:
        known = [self.backbone.itemData(row).id for row in range(self.backbone.count())]
        if known == [backbone.id for backbone in found]:
            return
        was = self.backbone.currentData()
        blocked = self.backbone.blockSignals(True)
        self.backbone.clear()
        for backbone in found:
            self.backbone.addItem(f"{backbone.title} ({backbone.params_m:g} M)", backbone)
            row = self.backbone.count() - 1
            self.backbone.setItemData(row, backbone.licence, Qt.ItemDataRole.ToolTipRole)
        ids = [backbone.id for backbone in found]
        self.backbone.setCurrentIndex(ids.index(was.id) if was and was.id in ids else 0)
        self.backbone.blockSignals(blocked)
        self._mode_chosen()

    @Slot()
    def _renew(self) -> None:
        """Show what can be done now."""
        running = self._maker.running is not None
        read_only = self._room.store.read_only
        self.blinded.show_text(
            self.tr("You read blinded: end that first. What others said would show here.")
            if self._room.blinded
            else ""
        )
        self.source.setVisible(not self._room.blinded)
        request = self.request
        goes_on = request is not None and request == self._maker.unfinished
        self.start_button.setText(self.tr("Go on") if goes_on else self.tr("Adapt"))
        self.start_button.setEnabled(
            request is not None and not running and not self._room.blinded and not read_only
        )
        self.cancel_button.setEnabled(running)
        for widget in (self.source, self.backbone, self.mode, self.targets, self.name):
            widget.setEnabled(not running)
        self.phase.setVisible(running or goes_on)
        self.bar.setVisible(running)
        if goes_on:
            self.phase.setText(self.tr("Stopped; what is finished is kept."))
        self.name_note.setText(self._name_note())
        self.name_note.setVisible(bool(self.name_note.text()))
        self._show_result()

    def _show_result(self) -> None:
        report, view = self._report, self._room.view
        used = report is not None and self._preferences.settings.adapter == report.folder
        can = view is not None and view.run is not None and view.run.state == "done"
        shown = None if self._maker.running is not None else report
        self.result.show_report(shown, used=used, can_reclassify=can)

    @Slot()
    def _mode_chosen(self) -> None:
        mode, backbone = self.mode.currentData(), self.backbone.currentData()
        self.mode_note.setText(mode_text(mode))
        chooses = mode == "lora" and backbone is not None and backbone.has_attention
        self.form.setRowVisible(self.targets, chooses)
        self._renew()

    @property
    def _taken(self) -> bool:
        """Whether there is an adapter of this name."""
        folder = self._folder
        return folder is not None and any(c.folder == folder for c in self._shelf.classifiers)

    def _name_note(self) -> str:
        folder = self._folder
        if folder is None or (self._report is not None and self._report.folder == str(folder)):
            return ""
        if self._taken:
            return self.tr("There is an adapter of this name. Choose another.")
        if folder.name in self._shelf.unfinished and self._maker.running is None:
            return self.tr("It was begun and not ended: with the same choices it goes on.")
        return ""

    @Slot(object)
    def _show_progress(self, progress: AdaptProgress) -> None:
        self.phase.setText(progress_text(progress))
        self.bar.setRange(0, progress.total)  # 0: of unknown length
        self.bar.setValue(progress.done)

    @Slot(object)
    def _finished(self, report: AdaptReport) -> None:
        self._report = report
        self._shelf.renew()
        self._renew()
        self._bring_up(self.result)

    def _bring_up(self, widget: QWidget) -> None:
        """Scroll to a part once it is laid out."""
        area = self._area
        QTimer.singleShot(0, area, lambda: area.ensureWidgetVisible(widget, 0, 8))

    @Slot(object)
    def _show_trouble(self, error: UserError) -> None:
        self.trouble.show_text(f"{error.message} {error.hint}".strip())
        self._shelf.renew()

    # What the reader asks for.

    @property
    def request(self) -> AdaptRequest | None:
        """What the form says; None while something is missing."""
        source, backbone, folder = self.source.source, self.backbone.currentData(), self._folder
        if source is None or backbone is None or folder is None or self._taken:
            return None
        targets: Targets = self.targets.currentData() if backbone.has_attention else "all"
        return AdaptRequest(
            backbone=backbone.id,
            mode=self.mode.currentData(),
            source=source,
            out=folder,
            targets=targets,
            device=self._preferences.settings.device,
            name=self.name.text().strip(),
        )

    @property
    def _folder(self) -> Path | None:
        """Where the adapter will lie; None without a name."""
        name = re.sub(r"[^\w-]+", "-", self.name.text().strip()).strip("-_")
        return self._shelf.folder / name if name else None

    @Slot()
    def start(self) -> None:
        """Begin, or go on with what was stopped."""
        request = self.request
        if request is None:
            return
        self.trouble.show_text("")
        self._report = None
        self.phase.setText(self.tr("Beginning…"))
        self.bar.setRange(0, 0)
        if self._maker.start(request):
            self._bring_up(self.bar)

    @Slot()
    def _cancel(self) -> None:
        self._maker.cancel()
        self.phase.setText(self.tr("Stopping after this step…"))
        self.cancel_button.setEnabled(False)

    @Slot(str)
    def _use(self, folder: str) -> None:
        self._preferences.change(adapter=folder)
