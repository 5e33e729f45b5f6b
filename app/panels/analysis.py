"""The analysis panel: by which rule, where, on what; start, stop, and how far it is."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import shapely
from PySide6.QtCore import QPoint, QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.panels.choice import Choice
from app.panels.classifier_choice import ClassifierChoice
from app.panels.run_texts import models_text, rate_text, result_text
from app.panels.scrolled import fill_scrolled
from app.preferences import Preferences
from app.room import Room
from app.shelf import Shelf
from app.worker import (
    AnalysisWorker,
    DeviceNews,
    RunDone,
    RunProgress,
    RunRequest,
    RunStopped,
    make_request,
)
from core.analysis.progress import Progress
from core.counting.protocols import Protocol
from core.ports import DEVICES
from core.reading.view import DeskView

ALL_TISSUE, TUMOUR = 0, 1


class AnalysisPanel(QWidget):
    """Starts and stops runs and says how they go; the work is the worker's.

    Signals:
        start_failed: a `UserError` while a request was made.
    """

    start_failed = Signal(object)

    def __init__(
        self,
        room: Room,
        worker: AnalysisWorker,
        preferences: Preferences,
        shelf: Shelf,
        protocols: dict[str, Protocol],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._room, self._worker, self._preferences = room, worker, preferences
        self._run_ids: dict[int, int] = {}  # token of the worker → run, once known
        self.classifier = ClassifierChoice(shelf, preferences)
        self._make_choices(protocols)
        self._make_progress()
        self._lay_out()
        room.slide_opened.connect(self._renew)
        room.slide_closing.connect(self._slide_closing)
        room.view_changed.connect(self._show_view)
        worker.queue_changed.connect(self._show_queue)
        worker.progressed.connect(self._show_progress)
        worker.device_chosen.connect(self._show_device)
        worker.finished.connect(self._finished)
        worker.cancelled.connect(self._stopped)
        worker.failed.connect(self._stopped)
        self.classifier.reclassify_requested.connect(self.reclassify)
        self._renew()

    # What is shown.

    def _make_choices(self, protocols: dict[str, Protocol]) -> None:
        self.protocol = Choice()
        for protocol in protocols.values():
            self.protocol.addItem(protocol.name, protocol.id)
            self.protocol.setItemData(
                self.protocol.count() - 1, protocol.source, Qt.ItemDataRole.ToolTipRole
            )
        self._show_protocol(self._room.protocol_id)
        self.protocol.activated.connect(self._protocol_chosen)
        self.where = Choice()
        self.where.addItems([self.tr("All tissue"), self.tr("Tumour regions")])
        self.device = Choice()
        names = {"auto": self.tr("Best there is"), "cuda": "NVIDIA (cuda)", "mps": "Apple (mps)"}
        for name in DEVICES:
            self.device.addItem(names.get(name, "CPU"), name)
        self.device.setCurrentIndex(DEVICES.index(self._preferences.settings.device))
        self.device.activated.connect(self._device_chosen)
        for box in (self.protocol, self.where, self.device):
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            box.setMinimumContentsLength(10)
        self.device_note = _faint()
        self.models_note = _faint()

    def _make_progress(self) -> None:
        self.start_button = QPushButton(self.tr("Analyse"))
        self.start_button.setDefault(True)
        self.start_button.clicked.connect(self.start)
        self.cancel_button = QPushButton(self.tr("Stop"))
        self.cancel_button.clicked.connect(self._cancel)
        self.more = QToolButton(text="⋯", toolTip=self.tr("More"))
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.more)
        self.again_action = menu.addAction(self.tr("Analyse anew, beside the earlier result"))
        self.again_action.triggered.connect(self._again)
        self.more.setMenu(menu)
        self.phase = QLabel(wordWrap=True)
        self.bar = QProgressBar(textVisible=False)
        self.rate = _faint()
        self.queue = QListWidget()
        self.queue.setMaximumHeight(96)
        self.queue.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.queue.customContextMenuRequested.connect(self._queue_menu)
        self.queue_title = QLabel(self.tr("Waiting"))
        self.queue_title.setProperty("strong", True)
        self.result = QLabel(wordWrap=True)
        self.result.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.result.linkActivated.connect(self._go_to_window)
        self.trouble = QFrame()
        self.trouble.setProperty("note", "warning")
        self.trouble_text = QLabel(wordWrap=True)
        QVBoxLayout(self.trouble).addWidget(self.trouble_text)
        self.trouble.hide()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        form.addRow(self.tr("Protocol"), self.protocol)
        form.addRow(self.tr("Look in"), self.where)
        form.addRow(self.tr("Device"), self.device)
        form.addRow(self.tr("Classifier"), self.classifier.box)
        buttons = QHBoxLayout()
        buttons.addWidget(self.start_button, 1)
        buttons.addWidget(self.cancel_button)
        buttons.addWidget(self.more)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(10, 8, 10, 8)
        column.addLayout(form)
        column.addWidget(self.classifier)
        column.addWidget(self.device_note)
        column.addWidget(self.models_note)
        column.addLayout(buttons)
        for widget in (self.phase, self.bar, self.rate, self.trouble, self.result):
            column.addWidget(widget)
        column.addWidget(self.queue_title)
        column.addWidget(self.queue)
        column.addStretch(1)
        fill_scrolled(self, inner)

    # What the reader asks for.

    @Slot()
    def start(self) -> None:
        """Analyse the open slide, or go on with its run."""
        if self._room.opened is not None:
            self.start_slides([self._room.opened.slide_id])

    @Slot()
    def _again(self) -> None:
        if self._room.opened is not None:
            self.start_slides([self._room.opened.slide_id], again=True)

    @Slot()
    def reclassify(self) -> None:
        """Classify the candidates of the open slide's run anew, the count area first."""
        view = self._room.view
        if view is None or view.run is None:
            return
        of, area = view.run, view.area
        how = self._how(again=False)

        def requests() -> list[RunRequest]:
            first0 = None if area is None else area.polygon0
            return [replace(how(of.slide_id), reclassifies=of.id, first0=first0)]

        self._submit(requests)

    def start_slides(self, slide_ids: list[int], *, again: bool = False) -> None:
        """Queue slides of the store.

        Args:
            slide_ids: of the store, in order.
            again: make new runs.
        """
        how = self._how(again=again)
        self._submit(lambda: [how(slide_id) for slide_id in slide_ids])

    def _how(self, *, again: bool) -> Callable[[int], RunRequest]:
        """How to ask for a slide, as everything is set now; to be called on the desk thread."""
        settings = self._preferences.settings
        return partial(
            make_request,
            self._room.store,
            device=settings.device,
            backend=self._room.backend,
            tumour_only=self.where.currentIndex() == TUMOUR,
            again=again,
            hide_names=self._room.hide_names,
            adapter=Path(settings.adapter) if settings.adapter else None,
        )

    def _submit(self, requests: Callable[[], list[RunRequest]]) -> None:
        self.trouble.hide()
        self._room.desk_thread.submit(requests, self._start_all, self.start_failed.emit)

    def _start_all(self, requests: list[RunRequest]) -> None:
        for request in requests:
            self._worker.start(request)

    @Slot()
    def _cancel(self) -> None:
        if self._worker.queue:
            self._worker.cancel(self._worker.queue[0].slide_id)
            self.phase.setText(self.tr("Stopping after this batch…"))
            self.cancel_button.setEnabled(False)

    @Slot(int)
    def _protocol_chosen(self, _index: int) -> None:
        self._preferences.change(protocol=self.protocol.currentData())
        self._room.set_protocol(self.protocol.currentData())

    @Slot(int)
    def _device_chosen(self, _index: int) -> None:
        self._preferences.change(device=self.device.currentData())
        self.device_note.setText("")

    @Slot(QPoint)
    def _queue_menu(self, place: QPoint) -> None:
        item = self.queue.itemAt(place)
        if item is None:
            return
        menu = QMenu(self)
        menu.addAction(self.tr("Take out of the queue"))
        if menu.exec(self.queue.mapToGlobal(place)) is not None:
            self._worker.cancel(item.data(Qt.ItemDataRole.UserRole))

    @Slot(str)
    def _go_to_window(self, kind: str) -> None:
        view = self._room.view
        if view is None:
            return
        windows = view.failed_windows0 if kind == "failed" else view.blurred_windows0
        if windows:
            middle = shapely.union_all(list(windows)).representative_point()
            self._room.go_to(middle.x, middle.y, 10.0)

    # What the worker and the desk say.

    @Slot(object)
    def _show_progress(self, news: RunProgress) -> None:
        progress = news.progress
        self.phase.setText(self._phase(news.slide_id, progress))
        self.bar.setRange(0, progress.total)  # 0: of unknown length
        self.bar.setValue(progress.done)
        self.rate.setText(rate_text(progress))
        if news.run_id is not None and self._is_open(news.slide_id):
            if self._run_ids.get(news.token) != news.run_id:
                self._run_ids[news.token] = news.run_id
                self._room.use_run(news.slide_id, news.run_id)
            else:
                self._room.refresh_soon()

    @Slot(object)
    def _show_device(self, news: DeviceNews) -> None:
        self.device_note.setText(self.tr("Runs on: {0}").format(news.why or news.device))

    @Slot(object)
    def _finished(self, done: RunDone) -> None:
        if self._is_open(done.slide_id):
            self._room.use_run(done.slide_id, done.summary.run.id)
        notes = (*done.summary.notes, *done.notes)
        if notes:
            self._tell_trouble(done.request.name, "; ".join(notes))
        self._renew()

    @Slot(object)
    def _stopped(self, stopped: RunStopped) -> None:
        if stopped.error is not None:
            self._tell_trouble(
                stopped.request.name, f"{stopped.error.message} {stopped.error.hint}".strip()
            )
        if stopped.run_id is not None:
            self._room.use_run(stopped.slide_id, stopped.run_id)
        self._renew()

    def _tell_trouble(self, name: str, text: str) -> None:
        self.trouble_text.setText(f"{name}: {text}")
        self.trouble.show()

    @Slot(object)
    def _show_queue(self, queue: tuple[RunRequest, ...]) -> None:
        self.queue.clear()
        for request in queue[1:]:
            item = QListWidgetItem(request.name)
            item.setData(Qt.ItemDataRole.UserRole, request.slide_id)
            self.queue.addItem(item)
        self._renew()

    @Slot(object)
    def _show_view(self, view: DeskView) -> None:
        if view.count is not None:
            self._show_protocol(view.count.protocol.id)
        self._renew()

    @Slot(object)
    def _slide_closing(self, _opened: object) -> None:
        self.result.setText("")
        self.models_note.setText("")
        self.classifier.show_view(None, busy=False)
        self.start_button.setEnabled(False)

    @Slot()
    def _renew(self) -> None:
        """Show what can be done now, and what the run of the open slide gave."""
        queue = self._worker.queue
        opened, view = self._room.opened, self._room.view
        mine = opened is not None and any(r.slide_id == opened.slide_id for r in queue)
        can_start = opened is not None and view is not None and view.mpp is not None
        self.start_button.setEnabled(can_start and not mine and not self._room.store.read_only)
        self.start_button.setText(self._start_text(view))
        self.again_action.setEnabled(self.start_button.isEnabled())
        self.cancel_button.setEnabled(bool(queue))
        self.classifier.show_view(view, busy=mine or self._room.store.read_only)
        for widget in (self.phase, self.bar, self.rate):
            widget.setVisible(bool(queue))
        if queue and self._worker.lent:
            text = self.tr("{0}: waits until the adapting is done")
            self.phase.setText(text.format(queue[0].name))
            self.bar.setRange(0, 0)
        self.queue_title.setVisible(len(queue) > 1)
        self.queue.setVisible(len(queue) > 1)
        if view is not None:
            self._show_where(view)
            # Where it is not computed here, the program was ended in the middle, or another window
            # is at it.
            here = view.run is not None and any(r.slide_id == view.run.slide_id for r in queue)
            self.result.setText(result_text(view, computing=here))
            self.models_note.setText(models_text(view))
        self.models_note.setVisible(bool(self.models_note.text()))
        self.device_note.setVisible(bool(self.device_note.text()))

    def _start_text(self, view: DeskView | None) -> str:
        if view is not None and view.run is not None and view.run.state != "done":
            return self.tr("Go on")
        return self.tr("Analyse")

    def _show_where(self, view: DeskView) -> None:
        drawn = any(region.kind == "tumour" for region in view.regions)
        model = self.where.model()
        model.item(TUMOUR).setEnabled(drawn)  # type: ignore[attr-defined]
        if not drawn and self.where.currentIndex() == TUMOUR:
            self.where.setCurrentIndex(ALL_TISSUE)

    def _show_protocol(self, protocol_id: str) -> None:
        with QSignalBlocker(self.protocol):
            self.protocol.setCurrentIndex(self.protocol.findData(protocol_id))
        self.protocol.setToolTip(self.protocol.currentText())

    def _phase(self, slide_id: int, progress: Progress) -> str:
        name = next((r.name for r in self._worker.queue if r.slide_id == slide_id), "")
        phases = {
            "tissue": self.tr("{0}: looking for tissue"),
            "windows": self.tr("{0}: analysing"),
            "candidates": self.tr("{0}: taking up earlier candidates"),
            "scores": self.tr("{0}: classifying anew"),
            "subtypes": self.tr("{0}: telling atypical mitoses apart"),
            "done": self.tr("{0}: done"),
        }
        return phases[progress.phase].format(name)

    def _is_open(self, slide_id: int) -> bool:
        return self._room.opened is not None and self._room.opened.slide_id == slide_id


def _faint() -> QLabel:
    label = QLabel(wordWrap=True)
    label.setProperty("faint", True)
    return label
