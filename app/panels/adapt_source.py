"""Where the labels of an adapter come from: the verdicts of this store, or a labelled folder."""

from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidgetItem,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.adapting.request import FolderSource, StoreSource
from app.label_counts import ALL, CONSENSUS, LabelCount, SlideLabels
from app.panels.choice import Choice
from app.panels.count_parts import FitList, label

STORE, FOLDER = 0, 1
ONE_READER = "one reader"


class LabelledSlides(FitList):
    """The slides with verdicts; those ticked are learnt from.

    Signals:
        ticks_changed: no payload.
    """

    ticks_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._left_out: set[int] = set()  # by the person here, not for want of labels
        self.itemChanged.connect(self._tick)

    def show_slides(self, slides: tuple[SlideLabels, ...], who: str, reader: str) -> None:
        """Show other slides, or the same with other labels; new ones are ticked.

        A slide without such labels cannot be ticked, and is ticked as before once it has some.
        """
        blocked = self.blockSignals(True)
        self.clear()
        for slide in slides:
            count = slide.count(who, reader)
            self.add_row(f"{slide.name}   {self._text(count)}")
            item = self.item(self.count() - 1)
            ticked = slide.slide_id not in self._left_out and count.total > 0
            item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
            item.setData(Qt.ItemDataRole.UserRole, slide.slide_id)
            if not count.total:
                item.setFlags(Qt.ItemFlag.NoItemFlags)
        self.blockSignals(blocked)
        self.updateGeometry()
        self.ticks_changed.emit()

    @property
    def ticked(self) -> tuple[int, ...]:
        """Ids of the slides to learn from."""
        return tuple(item.data(Qt.ItemDataRole.UserRole) for item in self._items() if _is_on(item))

    @property
    def whole(self) -> bool:
        """Whether every slide with labels is ticked."""
        return all(_is_on(item) or not item.flags() for item in self._items())

    @Slot(QListWidgetItem)
    def _tick(self, item: QListWidgetItem) -> None:
        slide_id = item.data(Qt.ItemDataRole.UserRole)
        if _is_on(item):
            self._left_out.discard(slide_id)
        else:
            self._left_out.add(slide_id)
        self.ticks_changed.emit()

    def _items(self) -> list[QListWidgetItem]:
        return [self.item(row) for row in range(self.count())]

    def _text(self, count: LabelCount) -> str:
        return self.tr("{0} mitoses, {1} imposters").format(count.mitoses, count.imposters)


class SourceChoice(QWidget):
    """Chooses the labels, and says how many there are.

    Args:
        store_path: of this program's store.

    Signals:
        changed: no payload: another source, or other labels.
    """

    changed = Signal()

    def __init__(self, store_path: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._store_path = store_path
        self._slides: tuple[SlideLabels, ...] = ()
        self.kind = Choice()
        self.kind.addItems([self.tr("Verdicts in this store"), self.tr("A labelled folder")])
        self.kind.currentIndexChanged.connect(self._kind_changed)
        self.pages = QStackedWidget()
        self._pages = (self._make_store_page(), self._make_folder_page())
        for page in self._pages:
            self.pages.addWidget(page)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.kind)
        column.addWidget(self.pages)
        self._kind_changed(STORE)

    def _make_store_page(self) -> QWidget:
        self.readers = Choice()
        self.readers.currentIndexChanged.connect(self._renew)
        self.slides = LabelledSlides()
        self.slides.ticks_changed.connect(self._count)
        self.total = label(strong=True)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.readers, self.slides, self.total):
            column.addWidget(widget)
        return page

    def _make_folder_page(self) -> QWidget:
        self.folder = QLineEdit(placeholderText=self.tr("Folder"))
        self.folder.textChanged.connect(self.changed)
        choose = QPushButton(self.tr("Choose…"))
        choose.clicked.connect(self._choose)
        self.mpp = QDoubleSpinBox(minimum=0.05, maximum=2.0, decimals=3, singleStep=0.05)
        self.mpp.setValue(FolderSource(Path()).mpp)
        self.mpp.setSuffix(self.tr(" µm/px"))
        self.mpp.valueChanged.connect(self.changed)
        row = QHBoxLayout()
        row.addWidget(self.folder, 1)
        row.addWidget(choose)
        form = QFormLayout()
        form.addRow(self.tr("Where images do not say"), self.mpp)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addLayout(form)
        text = self.tr(
            "With fields.csv and patches.csv, with a MIDOG JSON and its images, or with a folder "
            "of crops for each class."
        )
        column.addWidget(label(text, faint=True))
        column.addStretch(1)
        return page

    def show_slides(self, slides: tuple[SlideLabels, ...]) -> None:
        """Show what the store has by now."""
        self._slides = slides
        was = self.readers.currentData()
        blocked = self.readers.blockSignals(True)
        self.readers.clear()
        self.readers.addItem(self.tr("All readers, where they agree"), (ALL, ""))
        self.readers.addItem(self.tr("What readers settled on"), (CONSENSUS, ""))
        for name in sorted({name for slide in slides for name in slide.by_reader}):
            self.readers.addItem(self.tr("Only {0}").format(name), (ONE_READER, name))
        # Qt hands a tuple back as a list.
        rows = [tuple(self.readers.itemData(row)) for row in range(self.readers.count())]
        self.readers.setCurrentIndex(rows.index(tuple(was)) if was and tuple(was) in rows else 0)
        self.readers.blockSignals(blocked)
        self._renew()

    @property
    def source(self) -> StoreSource | FolderSource | None:
        """What was chosen; None where nothing is."""
        if self.kind.currentIndex() == FOLDER:
            text = self.folder.text().strip()
            return FolderSource(Path(text), mpp=self.mpp.value()) if text else None
        if not self.slides.ticked:
            return None
        who, reader = self._who
        return StoreSource(
            self._store_path,
            None if self.slides.whole else self.slides.ticked,
            (reader,) if reader else "consensus" if who == CONSENSUS else "all",
        )

    @property
    def labels(self) -> LabelCount | None:
        """How many labels the ticked slides give; None for a folder, which is not read yet."""
        if self.kind.currentIndex() == FOLDER:
            return None
        ticked, total = set(self.slides.ticked), LabelCount()
        for slide in self._slides:
            if slide.slide_id in ticked:
                total += slide.count(*self._who)
        return total

    @property
    def _who(self) -> tuple[str, str]:
        who, reader = self.readers.currentData() or (ALL, "")
        return who, reader

    @Slot()
    def _renew(self) -> None:
        self.slides.show_slides(self._slides, *self._who)
        self.slides.setVisible(bool(self._slides))

    @Slot()
    def _count(self) -> None:
        count = self.labels
        if not self._slides:
            text = self.tr("No verdicts yet. Review some candidates first.")
        elif count is None or not count.total:
            text = self.tr("Nothing is chosen.")
        else:
            slides = len(self.slides.ticked)
            of = self.tr("1 slide") if slides == 1 else self.tr("{0} slides").format(slides)
            text = self.tr("{0} mitoses ({1} atypical) and {2} imposters of {3}").format(
                count.mitoses, count.atypical, count.imposters, of
            )
        self.total.setText(text)
        self.changed.emit()

    @Slot(int)
    def _kind_changed(self, index: int) -> None:
        self.pages.setCurrentIndex(index)
        for at, page in enumerate(self._pages):  # a hidden page must not keep its height
            height = QSizePolicy.Policy.Preferred if at == index else QSizePolicy.Policy.Ignored
            page.setSizePolicy(QSizePolicy.Policy.Preferred, height)
        self._count()

    @Slot()
    def _choose(self) -> None:
        name = QFileDialog.getExistingDirectory(
            self, self.tr("Labelled folder"), self.folder.text()
        )
        if name:
            self.folder.setText(name)


def _is_on(item: QListWidgetItem) -> bool:
    return item.checkState() == Qt.CheckState.Checked
