"""What the parts of a report say, each from the frozen details of its count."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from core.counting.statistics import AREA_TOLERANCE, HOT_SPOT_NOTE
from core.exchange.report.facts import Facts, number_of, signs
from core.exchange.report.model import Row, Section, Tick, printable

ALL_COUNTED = "All of the tissue was counted. The interval speaks of chance in it."
_ORIGINS = {
    "openslide.mpp": "stated by the slide file",
    "tiff resolution": "from the resolution tags of the TIFF file",
    "typed": "typed in",
}


# The head of the report.


def status(facts: Facts) -> str:
    """Who signed and when, or that nobody did."""
    reader = printable(facts.details["reader"])
    if facts.signed:
        return f"Signed by {reader}, {facts.time(facts.count.created_at)}"
    left = len(facts.details.get("blockers", ()))
    if left:
        points = "1 point" if left == 1 else f"{left} points"
        return f"Reading of {reader}. Not signed: {points} still to settle (see below)."
    return f"Reading of {reader}. Nothing stands in the way, but it is not signed."


def rate(facts: Facts) -> str:
    """Mitoses per mm² with the interval."""
    interval, mm2 = facts.details["interval"], facts.count.counted_mm2
    low, high = interval["low"] / mm2, interval["high"] / mm2
    level = _level(interval["level"])
    return f"{facts.count.mitoses / mm2:.2f} per mm² ({level} interval {low:.2f} to {high:.2f})"


def category(facts: Facts) -> str:
    """The protocol's category; empty where there is none."""
    return signs(facts.details["category"] or "")


def warnings(facts: Facts) -> tuple[str, ...]:
    """What must be known before the number is used."""
    details, tally = facts.details, facts.details["tally"]
    found = [printable(text) for text in details.get("blockers", ())]
    if facts.reopened:
        found.append(f"An earlier signature was taken back, {facts.reopened}")
    if tally["unreviewed"]:
        found.append(
            f"{tally['unreviewed']} of the {facts.count.mitoses} mitoses rest on the model alone: "
            "no reader gave a verdict."
        )
    others = [name for name in details["reached"] if name != details["category"]]
    if details["near_border"] and others:
        names = ", ".join(signs(name) for name in others)
        found.append(f"Near a border: the interval also reaches {names}.")
    if not details["category"] and details["reached"]:
        found.append(signs(details["category_reason"]))
    if not facts.protocol["verified"]:
        found.append("This protocol was not checked against its source.")
    if details["mpp_note"]:
        found.append(printable(details["mpp_note"]))
    if details["better"] is not None:
        found.append(
            f"Another place holds more: {details['better']} against {facts.count.mitoses}."
        )
    if len(missing := [name for name, ticked in details["checklist"].items() if not ticked]):
        points = "point" if len(missing) == 1 else "points"
        found.append(f"{len(missing)} {points} of the checklist not ticked.")
    return tuple(found)


# Sections.


def result(facts: Facts) -> Section:
    """The count and what it says."""
    details, count, tally = facts.details, facts.count, facts.details["tally"]
    rows = [
        Row("Mitotic count", f"{count.mitoses} in {count.counted_mm2:.2f} mm²", strong=True),
        Row("Of these atypical", str(tally["atypical"])),
        Row("Per mm²", f"{count.mitoses / count.counted_mm2:.2f}"),
        Row(_interval_name(facts), _interval(facts)),
    ]
    if _same_area(facts):
        rows.append(Row("In the protocol's unit", f"{details['value']:.4g} {details['unit']}"))
    named = category(facts)
    text = named or f"none: {signs(details['category_reason'])}"
    rows.append(Row("Category", text, strong=bool(named)))
    rows += _expectation(details)
    note = ALL_COUNTED if facts.area["shape"] == "tissue" else HOT_SPOT_NOTE
    return Section("Result", tuple(rows), notes=(note,))


def _interval_name(facts: Facts) -> str:
    return f"{_level(facts.details['interval']['level'])} interval (Garwood)"


def _interval(facts: Facts) -> str:
    interval, mm2 = facts.details["interval"], facts.count.counted_mm2
    low, high = interval["low"], interval["high"]
    return f"{low / mm2:.2f} to {high / mm2:.2f} per mm² ({low:.1f} to {high:.1f} mitoses)"


def _same_area(facts: Facts) -> bool:
    """Whether the planned area was counted; another count is never rescaled."""
    planned = facts.count.planned_mm2
    return abs(facts.count.counted_mm2 - planned) <= AREA_TOLERANCE * planned


def _expectation(details: Mapping[str, Any]) -> list[Row]:
    """What the probabilities say beside the verdicts."""
    rows = []
    expected = details.get("expected")
    if expected and expected["open"]:
        level = _level(expected["level"])
        text = (
            f"{expected['mean']:.1f} ({level} interval {expected['low']} to {expected['high']}), "
            f"{number_of(expected['open'], 'candidate')} still to review"
        )
        if unknown := expected.get("unknown"):
            text += f"; {unknown} of unknown probability, each expected as one half"
        rows.append(Row("Expected once all is reviewed", text))
    if chances := details.get("chances"):
        text = "; ".join(f"{signs(name)}: {_share(chance)}" for name, chance in chances)
        rows.append(Row("The true rate lies in", text))
    return rows


def _share(probability: float) -> str:
    if probability < 0.001:
        return "under 0.1 %"
    if probability > 0.999:
        return "over 99.9 %"
    return f"{100 * probability:.1f} %"


def _level(level: float) -> str:
    return f"{100 * level:g} %"


def rule(facts: Facts) -> Section:
    """The protocol: rule, source, whether it was checked."""
    protocol = facts.protocol
    rows = [
        Row("Protocol", signs(protocol["name"])),
        Row("Rule", _rule_text(protocol["rule"])),
    ]
    rows.append(Row("Source", signs(protocol["source"])))
    doubt = protocol.get("doubt") or "not checked against the source"
    rows.append(Row("Verified", "yes" if protocol["verified"] else f"no. {signs(doubt)}"))
    return Section("Counting rule", tuple(rows))


def _rule_text(text: str) -> str:
    """A protocol's rule in sentences, without the source, which has a line of its own."""
    sentences = signs(text.partition(" source: ")[0]).split(". ")
    return ". ".join(sentence[:1].upper() + sentence[1:] for sentence in sentences)


def checklist(facts: Facts) -> Section | None:
    """The protocol's points and whether the reader ticked them."""
    points: Mapping[str, bool] = facts.details["checklist"]
    if not points:
        return None
    order = facts.details.get("checklist_order", ())
    texts = [*(text for text in order if text in points), *sorted(set(points) - set(order))]
    ticks = tuple(Tick(printable(text), bool(points[text])) for text in texts)
    return Section("Checklist", ticks=ticks)


def area_rows(facts: Facts) -> tuple[Row, ...]:
    """Where was counted, and how many mm²."""
    area, details = facts.area, facts.details
    rows = [
        Row("Counted", f"{area['counted_mm2']:.3f} mm²", strong=True),
        Row("Planned", _planned(facts)),
        Row("Shape", _shape(area)),
        Row("Placed", _placed(facts)),
    ]
    if sets := area.get("sets"):
        each = ", ".join(str(number) for number in sets)
        rows.append(Row("Sets of fields", f"{len(sets)}, with {each} mitoses; the highest counts"))
    if area["shape"] in ("rectangle", "circle"):
        x, y = area["centre0"]
        rows.append(Row("Centre", f"x {x:.0f}, y {y:.0f} (level-0 pixels)"))
    kinds = Counter(region["kind"] for region in details["regions"])
    tumour = number_of(kinds["tumour"], "region") if kinds["tumour"] else "no region drawn"
    if details["all_tissue_is_tumour"] and not kinds["tumour"]:
        tumour = "all tissue, as stated by a reader"
    rows.append(Row("Tumour", tumour))
    if kinds["excluded"]:
        rows.append(Row("Excluded", number_of(kinds["excluded"], "region")))
    return tuple(rows)


def _planned(facts: Facts) -> str:
    planned, counted = facts.area["planned_mm2"], facts.area["counted_mm2"]
    text = f"{planned:.4g} mm²"
    if not _same_area(facts):
        kind = "more" if counted > planned else "short"
        text += f" ({abs(counted - planned):.2f} mm² {kind})"
    return text


def _shape(area: Mapping[str, Any]) -> str:
    fields = len(area.get("fields0", ()))
    if area["shape"] == "tissue":
        if area.get("plan") == "whole":
            return "all readable tissue of the tumour"
        return "all readable tissue, which is smaller than the planned area"
    if fields:
        one = _outline(area.get("field", "rectangle"), area)
        return f"{number_of(fields, 'field')}, each a {one}"
    text = _outline(area["shape"], area)
    if area["angle_deg"]:
        text += f", turned by {area['angle_deg']:.1f}°"
    return text if area["locked"] else f"{text}; area unlocked"


def _outline(kind: str, area: Mapping[str, Any]) -> str:
    wide, high = area["width_um"], area["height_um"]
    return (
        f"circle, {wide:.0f} µm across"
        if kind == "circle"
        else f"{kind}, {wide:.0f} × {high:.0f} µm"
    )


def _placed(facts: Facts) -> str:
    area = facts.area
    if area["shape"] == "tissue":
        return "over all of the tissue"
    by = "accepted by the reader" if area["state"] == "accepted" else "proposed by Mitoscope"
    spots = facts.details["spots"]
    # Sets of fields are found one field after another: only one outline is searched exactly.
    exact = area.get("plan", "one") == "one"
    if exact and spots and spots[0]["mitoses"] <= facts.count.mitoses:
        return f"{by}; no other place holds more (exact search)"
    return by


def readers(facts: Facts) -> Section:
    """Who read, what was said, and how far readers agree."""
    details, tally = facts.details, facts.details["tally"]
    said = "Signed by" if facts.signed else "Reading of"
    rows = [Row(said, printable(details["reader"]), strong=True)]
    if facts.signed:
        rows.append(Row("Signed at", facts.time(facts.count.created_at)))
    else:
        rows.append(Row("Signature", "none: this is a draft"))
    if details.get("blinded"):
        rows.append(Row("Blinded", "yes: scores and other readers' verdicts were hidden"))
    parts = [f"{tally['confirmed']} confirmed by verdict"]
    if tally["unreviewed"]:
        parts.append(f"{tally['unreviewed']} by the model alone")
    rows.append(Row("Mitoses", ", ".join(parts)))
    rows.append(Row("Atypical", f"{tally['atypical']} of {facts.count.mitoses}"))
    other = ", ".join(f"{name} {tally[name]}" for name in ("imposters", "unsure", "deleted"))
    rows.append(Row("Not counted in the area", other))
    rows += _second_readings(facts)
    return Section("Readers and verdicts", tuple(rows))


def _second_readings(facts: Facts) -> list[Row]:
    """What other readers said of the counted mitoses, and what was settled."""
    figures = facts.figures or ()
    by_reader: dict[str, Counter[str]] = {}
    for figure in figures:
        for said in figure["by_reader"]:
            by_reader.setdefault(said["reader"], Counter())[said["verdict"]] += 1
    by_reader.pop(facts.details["reader"], None)
    rows = []
    for name, words in sorted(by_reader.items()):
        parts = ", ".join(f"{number} {word}" for word, number in words.most_common())
        text = f"of the counted mitoses: {parts}"
        rows.append(Row(f"Second reading, {printable(name)}", text))
    settled = sum(figure["consensus"] is not None for figure in figures)
    if settled:
        rows.append(Row("Consensus", f"settled among readers for {settled} of the counted mitoses"))
    if not rows:
        rows.append(Row("Second reading", "none of the counted mitoses"))
    return rows


def pixel_size(facts: Facts) -> Section:
    """The slide file, and how large its pixels are and who says so."""
    details, mpp = facts.details, facts.mpp
    slide = details["slide"]
    size = f"{mpp.x:.5g} µm" if mpp.x == mpp.y else f"{mpp.x:.5g} × {mpp.y:.5g} µm"
    origin = _ORIGINS.get(details["mpp_origin"], printable(details["mpp_origin"]) or "unknown")
    rows = [
        Row("Slide", facts.slide, strong=True),
        Row("Format", f"{facts.vendor}, {facts.size0[0]} × {facts.size0[1]} pixels"),
        Row(f"Identity, {slide['hash_kind']}", slide["hash"]),
        Row("Pixel size (level 0)", size),
        Row("Pixel size from", origin),
    ]
    calibration = details.get("calibration")
    if calibration and calibration["at"]:
        by = printable(calibration["reader"]) or "the file, at its first opening"
        rows.append(Row("Set by", f"{by}, {facts.time(calibration['at'])}"))
    return Section("Slide file and pixel size", tuple(rows))


def analysis(facts: Facts) -> Section:
    """The models, their thresholds, and what could not be analysed."""
    details, models = facts.details, facts.details["models"]
    if models is None:
        note = "Counted by hand: no analysis was run."
        return Section("Analysis", notes=(note,))
    rows = []
    known = {
        "Detector": models["detector"],
        "Classifier": models["classifier"],
        "Atypical or normal": details.get("subtype"),
    }
    for role, model in known.items():
        if model:
            rows.append(Row(role, printable(model["name"]), strong=True))
            rows.append(Row("SHA-256", model["sha256"]))
            rows.append(Row("Ran on", f"{model['device']}, {model['precision']}"))
    thresholds = [
        ("detector", models.get("detector_threshold")),
        ("review", details["review_threshold"]),
        ("count", details["count_threshold"]),
    ]
    text = ", ".join(f"{name} {value:.3g}" for name, value in thresholds if value is not None)
    rows.append(Row("Thresholds", text))
    if times := details.get("run_times"):
        rows.append(Row("Started", facts.time(times["started_at"])))
        rows.append(Row("Finished", facts.time(times["finished_at"]) or "not finished"))
    if windows := details.get("windows"):
        rows.append(Row("Windows that failed", _windows(windows, "failed")))
        text = _windows(windows, "blurred")
        if windows["blurred"] and details["blur_acknowledged"]:
            text += "; acknowledged by the reader"
        rows.append(Row("Windows out of focus", text))
    rows.append(Row("Key of the run", models["run_key"]))
    rows.append(Row("Made with", f"Mitoscope {models['run_app_version']}"))
    return Section("Analysis", tuple(rows))


def _windows(windows: Mapping[str, int], kind: str) -> str:
    number, inside = windows[kind], windows[f"{kind}_in_area"]
    return f"{number}, of these {inside} touch the count area" if number else "none"


def record(facts: Facts) -> Section:
    """The version of the program, and the digests to hold against the audit trail."""
    rows = [Row("Program", f"Mitoscope {facts.details['app_version']}")]
    count, signature = facts.count, facts.signature
    if signature is not None:
        rows.append(Row("Count", f"{count.id}, version {count.version}"))
        rows.append(Row("Signature in the audit trail", f"event {signature.id}"))
        rows.append(Row("Its digest", signature.hash))
    rows.append(Row("Audit head at printing", facts.audit_head))
    note = (
        "A digest is the SHA-256 of an event of the store's audit trail and of all before it; "
        "mitoscope audit verify STORE --head DIGEST holds the trail against it."
    )
    return Section("Record", tuple(rows), notes=(note,))
