"""Makes small files of every kind, as programs write them but with nothing that a reader does not need."""

import base64
import zlib
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
SLIDES = "http://schemas.openxmlformats.org/presentationml/2006/main"
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OPEN = "urn:oasis:names:tc:opendocument:xmlns"


def archive(members: Mapping[str, str | bytes]) -> bytes:
    """Pack members, in this order."""
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def relations(targets: Iterable[tuple[str, str]]) -> str:
    """Refer to (kind, target) as rId1, rId2 …"""
    rows = (
        f'<Relationship Id="rId{number}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, start=1)
    )
    return f'<Relationships xmlns="{PACKAGE}">{"".join(rows)}</Relationships>'


def properties(title: str = "", author: str = "", created: str = "") -> str:
    return (
        '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/">'
        f"<dc:title>{escape(title)}</dc:title><dc:creator>{escape(author)}</dc:creator>"
        f"<dcterms:created>{created}</dcterms:created></cp:coreProperties>"
    )


# As a French Word names its styles: the id is translated, the name is not.
STYLES = (
    f'<w:styles xmlns:w="{WORD}">'
    '<w:style w:styleId="Titre"><w:name w:val="Title"/></w:style>'
    '<w:style w:styleId="Titre1"><w:name w:val="heading 1"/></w:style>'
    '<w:style w:styleId="Titre2"><w:name w:val="heading 2"/><w:basedOn w:val="Titre1"/></w:style>'
    '<w:style w:styleId="MonTitre"><w:name w:val="Mon titre"/><w:basedOn w:val="Titre2"/></w:style>'
    '<w:style w:styleId="Corps"><w:name w:val="Corps"/><w:pPr><w:outlineLvl w:val="9"/></w:pPr></w:style>'
    '<w:style w:styleId="Puce"><w:name w:val="List Bullet"/>'
    '<w:pPr><w:numPr><w:numId w:val="3"/></w:numPr></w:pPr></w:style>'
    '<w:style w:styleId="TM1"><w:name w:val="toc 1"/></w:style>'
    "</w:styles>"
)


def paragraph(text: str, style: str = "") -> str:
    said = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f'<w:p>{said}<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'


def docx(body: str, footnotes: str = "", **about: str) -> bytes:
    """Make a Word file of the XML of its body; namespace prefix w."""
    notes = {"word/footnotes.xml": f'<w:footnotes xmlns:w="{WORD}">{footnotes}</w:footnotes>'} if footnotes else {}
    targets = [("styles", "styles.xml"), ("footnotes", "footnotes.xml"), ("hyperlink", "../../outside")]
    return archive(
        {
            "[Content_Types].xml": "<Types/>",
            "_rels/.rels": relations([("officeDocument", "word/document.xml")]),
            "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
            "word/_rels/document.xml.rels": relations(targets),
            "word/styles.xml": STYLES,
            "docProps/core.xml": properties(**about),
        }
        | notes
    )


def shape(text: str, placeholder: str = "") -> str:
    kind = f'<p:nvPr><p:ph type="{placeholder}"/></p:nvPr>' if placeholder else ""
    lines = "".join(f"<a:p><a:r><a:t>{escape(line)}</a:t></a:r></a:p>" for line in text.split("\n"))
    return f"<p:sp><p:nvSpPr>{kind}</p:nvSpPr><p:txBody>{lines}</p:txBody></p:sp>"


def pptx(slides: Sequence[str], notes: Mapping[int, str] | None = None, **about: str) -> bytes:
    """Make a presentation of the shapes of its slides; shown in this order, stored in the opposite one."""
    notes = notes or {}
    names = [f"slide{len(slides) - number}.xml" for number in range(len(slides))]
    shown = "".join(f'<p:sldId id="{256 + number}" r:id="rId{number}"/>' for number in range(1, len(slides) + 1))
    members: dict[str, str] = {
        "_rels/.rels": relations([("officeDocument", "ppt/presentation.xml")]),
        "ppt/presentation.xml": f'<p:presentation xmlns:p="{SLIDES}" xmlns:r="{OFFICE}">'
        f"<p:sldIdLst>{shown}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(("slide", f"slides/{name}") for name in names),
        "docProps/core.xml": properties(**about),
    }
    for number, (name, shapes) in enumerate(zip(names, slides, strict=True)):
        tree = f"<p:cSld><p:spTree>{shapes}</p:spTree></p:cSld>"
        members[f"ppt/slides/{name}"] = f'<p:sld xmlns:p="{SLIDES}" xmlns:a="{DRAWING}">{tree}</p:sld>'
        if number in notes:
            tree = f"<p:cSld><p:spTree>{notes[number]}</p:spTree></p:cSld>"
            members[f"ppt/notesSlides/{name}"] = f'<p:notes xmlns:p="{SLIDES}" xmlns:a="{DRAWING}">{tree}</p:notes>'
            members[f"ppt/slides/_rels/{name}.rels"] = relations([("notesSlide", f"../notesSlides/{name}")])
    return archive(members)


DAY_STYLES = f'<styleSheet xmlns="{SHEETS}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>'


def day_cell(serial: float) -> str:
    """Make a cell with a date, as days since 1899-12-30."""
    return f'<c s="1"><v>{serial}</v></c>'


def xlsx(sheets: Mapping[str, Sequence[Sequence[str | float]]], **about: str) -> bytes:
    """Make a workbook; a text that begins with <c is the XML of a cell, "" is an empty one."""
    members: dict[str, str] = {
        "_rels/.rels": relations([("officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": f'<workbook xmlns="{SHEETS}" xmlns:r="{OFFICE}"><sheets>'
        + "".join(
            f'<sheet name="{escape(name)}" sheetId="{number}" r:id="rId{number}"/>'
            for number, name in enumerate(sheets, start=1)
        )
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relations(
            [
                *(("worksheet", f"worksheets/sheet{number}.xml") for number in range(1, len(sheets) + 1)),
                ("styles", "styles.xml"),
            ]
        ),
        "xl/styles.xml": DAY_STYLES,
        "docProps/core.xml": properties(**about),
    }
    for number, rows in enumerate(sheets.values(), start=1):
        lines = "".join(f"<row>{''.join(map(_cell, cells))}</row>" for cells in rows)
        members[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{SHEETS}"><sheetData>{lines}</sheetData></worksheet>'
        )
    return archive(members)


def _cell(value: str | float) -> str:
    if isinstance(value, str) and value.startswith("<c"):
        return value
    if isinstance(value, str):
        return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>' if value else "<c/>"
    return f"<c><v>{value}</v></c>"


def opendocument(kind: str, body: str, about: str = "", manifest: str = "") -> bytes:
    """Make an OpenDocument file of the XML inside office:text or office:spreadsheet."""
    names = " ".join(
        f'xmlns:{prefix}="{OPEN}:{name}:1.0"'
        for prefix, name in (
            ("office", "office"),
            ("text", "text"),
            ("table", "table"),
            ("meta", "meta"),
            ("draw", "drawing"),
        )
    )
    names += ' xmlns:dc="http://purl.org/dc/elements/1.1/"'
    holder = "text" if kind == "text" else "spreadsheet"
    return archive(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": f"<office:document-content {names}><office:body><office:{holder}>{body}</office:{holder}>"
            "</office:body></office:document-content>",
            "meta.xml": f"<office:document-meta {names}><office:meta>{about}</office:meta></office:document-meta>",
            "META-INF/manifest.xml": f"<manifest>{manifest}</manifest>",
        }
    )


def epub(
    chapters: Mapping[str, str], contents: str = "", about: str = "", extra: Mapping[str, str] | None = None
) -> bytes:
    """Make a book of the HTML of its chapters, by file name; contents: of an EPUB 2 navMap."""
    items = "".join(
        f'<item id="c{n}" href="text/{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="c{number}"/>' for number in range(len(chapters)))
    return archive(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container><rootfile full-path="book/package.opf"/></container>',
            "book/package.opf": '<package xmlns:dc="http://purl.org/dc/elements/1.1/">'
            f"<metadata>{about}</metadata><manifest>{items}"
            '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
            f"</manifest><spine>{spine}</spine></package>",
            "book/toc.ncx": f"<ncx><navMap>{contents}</navMap></ncx>",
        }
        | {
            f"book/text/{name}": f"<html><head><title>x</title></head><body>{body}</body></html>"
            for name, body in chapters.items()
        }
        | dict(extra or {})
    )


def pdf(
    pages: Sequence[str],
    outline: Sequence[tuple[str, int]] = (),
    about: Mapping[str, str] | None = None,
    pictures: bool = False,
) -> bytes:
    """Make a PDF of lines of text, in Windows-1252.

    outline: of titles and their pages, counted from 0; all of one level. pictures: each page shows one.
    """
    objects: list[bytes] = []

    def add(content: str | bytes, stream: bytes | None = None) -> int:
        data = content if isinstance(content, bytes) else content.encode("cp1252")
        if stream is not None:
            data = data.replace(b">>", b"/Length %d>>" % len(stream), 1) + b"\nstream\n" + stream + b"\nendstream"
        objects.append(data)
        return len(objects)

    catalog, tree = add(""), add("")
    font = add("<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>")
    gray = zlib.compress(bytes(range(256)) * 4)
    picture = add(
        "<</Type/XObject/Subtype/Image/Width 32/Height 32/ColorSpace/DeviceGray/BitsPerComponent 8"
        "/Filter/FlateDecode>>",
        gray,
    )
    numbers = []
    for text in pages:
        lines = "".join(f"({_pdf_text(line)}) Tj T*\n" for line in text.split("\n"))
        drawn = "q 400 0 0 400 50 50 cm /I Do Q\n" if pictures else ""
        content = add("<<>>", f"{drawn}BT /F 11 Tf 14 TL 50 790 Td\n{lines}ET".encode("cp1252"))
        numbers.append(
            add(
                f"<</Type/Page/Parent {tree} 0 R/MediaBox[0 0 595 842]/Contents {content} 0 R"
                f"/Resources<</Font<</F {font} 0 R>>/XObject<</I {picture} 0 R>>>>>>"
            )
        )
    objects[tree - 1] = f"<</Type/Pages/Count {len(pages)}/Kids[{' '.join(f'{n} 0 R' for n in numbers)}]>>".encode()
    entries = len(objects) + 1
    for place, (title, page) in enumerate(outline):
        following = f"/Next {entries + place + 1} 0 R" if place + 1 < len(outline) else ""
        add(
            f"<</Title({_pdf_text(title)})/Parent {entries + len(outline)} 0 R"
            f"/Dest[{numbers[page]} 0 R/Fit]{following}>>"
        )
    contents = ""
    if outline:
        contents = f"/Outlines {add(f'<</First {entries} 0 R/Last {entries + len(outline) - 1} 0 R>>')} 0 R"
    objects[catalog - 1] = f"<</Type/Catalog/Pages {tree} 0 R{contents}>>".encode()
    info = add("<<" + "".join(f"/{key}({_pdf_text(value)})" for key, value in (about or {}).items()) + ">>")
    out = bytearray(b"%PDF-1.5\n")
    places = []
    for number, data in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + data + b"\nendobj\n"
    start = len(out)
    rows = "".join(f"{place:010} 00000 n \n" for place in places)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{rows}".encode()
    out += f"trailer<</Size {len(objects) + 1}/Root {catalog} 0 R/Info {info} 0 R>>\nstartxref\n{start}\n%%EOF".encode()
    return bytes(out)


def _pdf_text(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


PASSWORD_PDF = zlib.decompress(
    base64.b64decode(
        "eNqNVF1sFFUU3iiVZKooD1SoGC/iJiSGztw7c+cH1gr9s4WSlq5QlCLcmbmzHdjOtLPTdls1KiHpi9aEv1YwwZAoVZtGTDUmCJSE1KCxFWq0CPIA"
        "YRP/CNUIKYJ6Z7dLN1kfnJmHO9/9zjnfOfeeE66vqFoOS0QufPnK+AQHgQBcfTsXiXD8s12tFPDlxCdxN8bx9SRGEwAxQgNXWspRxwyIKM8gzeP4"
        "crfd8QHk+LW2mQCbgRgYgi05puJ/mgaBPMpMM5H4ddS0SZmbZC4E9mINA1VCzBGL4PiMmABShtlAE267ZzCRgccqtptZAJzVzG+q07dTI4PXADmL"
        "Z74ZWVKOrFrqxPxmIMnBfsL3KGnhvjuEQ8625+2mzafm9X24suTd9evOnnx7fVPo6TdvHUg+uCo1lFpRPH2fv2hqx96bLwdeZwxn/OO8tAOpHB9t"
        "1/30bwCyupWRBE0nwVfTeAf1bYNwfKVjuKbtxADfaDurnYSdBXISkPMCzKSdE6OmJV3qRttk6YmIYzHsWLOfXpa7cdeLthKD8Spoh23QZzzSxQTZ"
        "fqKeeuVuS6vrBCeksuLacZ96LIU48WkFZVro3aohNbds5t7CRY+n9izv6R394eORj+6sWnz10oV4WdvE0hN1n6ztu/xFL14d+hxcixd/n1KeKtz3"
        "k/L7KWV6a/jwZKzjzsLRG8I/aNOxL0+fGVjz5M33BncULjtfM3l89Ima+Vsrx8+evvV69bcHHwuHh49Uv98T+rE2cmLNxND1PwdeaHu1H/XtnEec"
        "55rf2qadW4D5sblc0ciCozdUnLp2QJVafl3x6Z7w+YfGHw4XLRnYeaZAqp7afbTg4PSRbyZvP/rOX21jh/r3vdadLLrY/UFJ788DBf2FnbhsaD6+"
        "8Ib2WVHl1fv/6F/WFF04yoVeOvxb7T3FUysf2LDxlXMni690tr84597Fu4YH5zwyBuZ2Cl8X9Di7hpfG9l86ljyO6xv/vj6yWxu+vWTw4le/5F8T"
        "NecUNwZ91ADQ7IUUWJsACWmSJitIQ7MHEfWJYxLP5Pg6ECGCLiHT0FXDMimRRcmUoCQh3bJMiWi6LBpEVy1VVg0ZyoIFdV0URVU1TIgtbBmEdcwG"
        "ENENkViCiDA0LKSqhGIZIkiwoVNNUqEkyoYBRazJMqZYlS1VYCSsQF3UoSWoKLe5kh61OAFonJB9FCBjLGJggbsYZC0SPMCZxWQpD4NIzMOQks8T"
        "FSEPk2QlP4aQ4cEcLRqCszzfI3aceukjidrdlKXBN7gum3KZAVRTwYZURFEkRHQkIwQREYiiiqpuKJBCiVABEa30/1C2pFvd62plXZadUgmfeH66"
        "gJCVmwuHK+uquH8BVAHS6g=="
    )
)
"""A page that says "Secret.", encrypted with the password "mot de passe" (RC4, by pypdf): not to be made by hand."""
