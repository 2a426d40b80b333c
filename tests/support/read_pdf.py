"""Reads a PDF with two readers and prints what they understood, as JSON: text by page (pypdfium2), structure (pikepdf).

    python read_pdf.py FILE
"""

import json
import sys

import pikepdf
import pypdfium2

path = sys.argv[1]

document = pypdfium2.PdfDocument(path)
pages = [page.get_textpage().get_text_bounded() for page in document]
sizes = [page.get_size() for page in document]

file = pikepdf.open(path)
root = file.Root
tags = {}


def walk(element):
    """Counts elements by tag; kids are elements, marked content references or numbers."""
    if not isinstance(element, pikepdf.Dictionary):
        return
    if str(element.get("/Type")) == "/StructElem":
        tag = str(element.S).lstrip("/")
        tags[tag] = tags.get(tag, 0) + 1
    kids = element.get("/K")
    for kid in kids if isinstance(kids, pikepdf.Array) else []:
        walk(kid)


walk(root.StructTreeRoot)
names = set()
for thing in file.objects:
    if isinstance(thing, pikepdf.Dictionary):
        names.update(thing.keys())
json.dump(
    {
        "pages": pages,
        "sizes": sizes,
        "problems": file.check_pdf_syntax(),
        "title": str(file.docinfo.get("/Title")),
        "language": str(root.Lang),
        "marked": bool(root.MarkInfo.Marked),
        "tags": tags,
        "fonts": sorted(str(thing.BaseFont) for thing in file.objects
                        if isinstance(thing, pikepdf.Dictionary) and str(thing.get("/Subtype")) == "/Type0"),
        "active": sorted(names & {"/URI", "/JS", "/JavaScript", "/AA", "/OpenAction", "/EmbeddedFiles", "/Launch"}),
    },
    sys.stdout,
)
