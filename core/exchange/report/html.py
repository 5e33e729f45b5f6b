"""The report as one HTML file: pictures inside it, every text escaped, no script, no network."""

from base64 import b64encode
from collections.abc import Iterator
from html import escape
from pathlib import Path
from string import Template

from core.exchange.files import replacing
from core.exchange.report.model import DRAFT, NO_PICTURE, TITLE, Crop, Picture, Report, Section

# Nothing may be loaded or run, whatever a text manages to say.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="Mitoscope">
<meta name="description" content="$use">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
$body
</main>
<footer><p>$use</p></footer>
</body>
</html>
""")

# The margin boxes repeat on every printed page; browsers without them print $mark and $use once.
_STYLE = Template("""
@page { size: auto; margin: 18mm 16mm 18mm 16mm;
  @top-left { content: "$kind"; font: 8pt sans-serif; color: #5a6068; }
  @top-right { content: "$mark"; font: bold 8pt sans-serif; color: #b3261e; }
  @bottom-left { content: "$use"; font: 8pt sans-serif; color: #5a6068; }
  @bottom-right { content: "Page " counter(page) " of " counter(pages);
    font: 8pt sans-serif; color: #5a6068; } }
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f2f3f5; color: #1c1f23; line-height: 1.45;
  font: 15px/1.45 "Noto Sans", "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.2rem 2.6rem 1.5rem; background: #fff; }
footer { max-width: 60rem; margin: 0 auto; padding: .2rem 2.6rem 2rem; background: #fff;
  color: #5a6068; font-size: .87rem; }
.use { color: #5a6068; font-size: .87rem; margin: 0; }
.kind { color: #5a6068; margin: 0 0 .15rem; }
h1 { font-size: 1.65rem; line-height: 1.25; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; padding-bottom: .25rem;
  border-bottom: 1px solid #cfd3d8; break-after: avoid; }
.status { margin: .2rem 0 1rem; }
.draft { display: inline-block; margin: 0 .6rem 0 0; padding: .1rem .55rem; color: #b3261e;
  border: 1.5px solid #b3261e; border-radius: 3px; font-weight: 600; letter-spacing: .03em; }
.signed { display: inline-block; margin: 0 .6rem 0 0; padding: .1rem .55rem; color: #1b6b3a;
  border: 1.5px solid #1b6b3a; border-radius: 3px; font-weight: 600; letter-spacing: .03em; }
.count { display: flex; gap: 1.4rem; align-items: center; padding: 1rem 1.3rem;
  background: #f6f7f9; border: 1px solid #dde0e4; border-radius: 4px; break-inside: avoid; }
.count b { font-size: 3.1rem; line-height: 1; font-weight: 600; }
.count p { margin: .1rem 0; }
.count .category { font-weight: 600; }
ul.warnings { margin: .8rem 0 0; padding: .6rem 1rem .6rem 2rem; background: #fdf6e7;
  border: 1px solid #ecd9a8; border-radius: 4px; break-inside: avoid; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .22rem 0;
  border-bottom: 1px solid #eceef0; }
tr { break-inside: avoid; }
th { width: 15rem; padding-right: 1.2rem; font-weight: 400; color: #5a6068; }
td { overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
td.strong { font-weight: 600; }
ul.ticks { list-style: none; margin: 0; padding: 0; }
ul.ticks li { padding: .12rem 0 .12rem 1.9rem; text-indent: -1.9rem; break-inside: avoid; }
ul.ticks span { display: inline-block; width: 1.9rem; text-indent: 0; font-weight: 600; }
p.note { color: #41464d; font-size: .92em; margin: .6rem 0 0; }
figure { margin: .7rem 0 0; break-inside: avoid; }
figure img { display: block; max-width: 100%; width: auto; height: auto;
  border: 1px solid #cfd3d8; }
figure img.small { max-height: 26rem; }
@media print { figure img.small { max-height: 88mm; } figure img.large { max-height: 170mm; } }
figcaption { color: #41464d; font-size: .87em; margin-top: .3rem; }
.crops { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.6rem, 1fr));
  gap: 1rem .9rem; margin-top: .8rem; }
.crop { margin: 0; }
.crop img, .crop .none { display: block; width: 100%; aspect-ratio: 1; }
.crop .none { display: grid; place-items: center; color: #5a6068; background: #f2f3f5;
  border: 1px solid #cfd3d8; font-size: .85rem; }
figure + table { margin-top: .8rem; }
.crop p { margin: .15em 0 0; font-size: .84em; line-height: 1.3; overflow-wrap: anywhere; }
.crop p.top { display: flex; justify-content: space-between; }
.crop .atypical { color: #006e8c; }
@media print { body, main, footer { background: #fff; }
  main, footer { max-width: none; padding: 0; }
  body { font-size: 10pt; } footer, .use { display: none; }
  .crops { grid-template-columns: repeat(5, 1fr); } }
""")


def write_html(path: Path, report: Report) -> None:
    """Write the report as one HTML file.

    Args:
        path: of the file; replaced as a whole.
        report: to write.

    Raises:
        UserError: the file cannot be written; the old one stays.
    """
    with replacing(path) as file:
        file.writelines(html_parts(report))


def html_parts(report: Report) -> Iterator[str]:
    """The HTML file in pieces, so that many pictures are not held twice."""
    # Only words of ours go into the style sheet, where escaping is another one.
    style = _STYLE.substitute(kind=TITLE, mark="" if report.signed else DRAFT, use=report.footer)
    mark = "\0"
    page = _PAGE.substitute(
        policy=escape(_POLICY), title=_text(report.title), use=_text(report.footer),
        style=style, body=mark,
    )  # fmt: skip
    before, after = page.split(mark)
    yield before
    yield from _head(report)
    for section in report.sections:
        yield from _section(section)
    yield after


def _head(report: Report) -> Iterator[str]:
    kind, word = ("signed", "SIGNED") if report.signed else ("draft", DRAFT)
    yield f'<p class="use">{_text(report.footer)}</p>\n'
    yield f'<p class="kind">{TITLE}</p>\n<h1 dir="auto">{_text(report.slide)}</h1>\n'
    yield f'<p class="kind" dir="auto">{_text(report.protocol)}</p>\n'
    yield f'<p class="status"><span class="{kind}">{word}</span> {_text(report.status)}</p>\n'
    yield f'<div class="count"><b>{_text(report.number)}</b><div>'
    yield f"<p>mitoses in {_text(report.area)}</p><p>{_text(report.rate)}</p>"
    if report.category:
        yield f'<p class="category">{_text(report.category)}</p>'
    yield "</div></div>\n"
    if report.warnings:
        items = "".join(f"<li>{_text(text)}</li>" for text in report.warnings)
        yield f'<ul class="warnings">{items}</ul>\n'


def _section(section: Section) -> Iterator[str]:
    yield f"<section>\n<h2>{_text(section.title)}</h2>\n"
    for picture in section.pictures:
        caption = _text(picture.caption)
        yield f"<figure>{_image(picture, caption)}<figcaption>{caption}</figcaption></figure>\n"
    if section.rows:
        yield "<table>\n"
        for row in section.rows:
            strong = ' class="strong"' if row.strong else ""
            yield f'<tr><th scope="row" dir="auto">{_text(row.caption)}</th>'
            yield f'<td{strong} dir="auto">{_text(row.text)}</td></tr>\n'
        yield "</table>\n"
    if section.ticks:
        yield '<ul class="ticks">\n'
        for tick in section.ticks:
            sign, word = ("☑", "ticked") if tick.ticked else ("☐", "not ticked")
            yield f'<li><span title="{word}">{sign}</span>{_text(tick.text)}</li>\n'
        yield "</ul>\n"
    yield from (f'<p class="note">{_text(note)}</p>\n' for note in section.notes)
    if section.crops:
        yield '<div class="crops">\n'
        yield from map(_crop, section.crops)
        yield "</div>\n"
    yield "</section>\n"


def _crop(crop: Crop) -> str:
    picture = f'<div class="none">{NO_PICTURE}</div>'
    if crop.data is not None:
        picture = f'<img alt="mitosis {crop.number}" src="{_uri(crop.data)}">'
    kind = ' class="atypical"' if crop.atypical else ""
    lines = "".join(f'<p dir="auto">{_text(line)}</p>' for line in crop.lines)
    top = f'<p class="top"><b{kind}>{crop.number}</b><span>{_text(crop.score)}</span></p>'
    return f'<figure class="crop">{picture}{top}{lines}</figure>\n'


def _image(picture: Picture, caption: str) -> str:
    size = f'width="{picture.width_px}" height="{picture.height_px}"'
    kind = "large" if picture.large else "small"
    return f'<img class="{kind}" alt="{caption}" {size} src="{_uri(picture.data)}">'


def _uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{b64encode(jpeg).decode('ascii')}"


def _text(text: str) -> str:
    return escape(text, quote=True)
