"""What an XML document says before its content begins: enough to tell its kind, and to refuse what it must not hold."""

from __future__ import annotations

from typing import NamedTuple
from xml.parsers import expat

from testlab_tools.errors import BadInput

_STEP = 64 * 2**10


class XmlRoot(NamedTuple):
    """The root element: `name` without its prefix, and the namespaces it declares."""

    name: str
    namespaces: tuple[str, ...]


def xml_root(content: bytes) -> XmlRoot:
    """Read as far as the root element.

    A document type can stand only before it, and entities (the bombs among them) only in a document type: so a document
    that gets past here declares none.

    Raises:
        BadInput: it is no XML, or it declares a document type.
    """
    found: list[XmlRoot] = []

    def begun(name: str, attributes: dict[str, str]) -> None:
        if not found:
            spaces = tuple(value for key, value in attributes.items() if key.partition(":")[0] == "xmlns")
            found.append(XmlRoot(name.rpartition(":")[2], spaces))

    def refuse(*_: object) -> None:
        raise BadInput(
            "The XML report declares a document type",
            "Entities could hide in it, and no test framework writes one",
            "Take the <!DOCTYPE …> out of the file.",
        )

    parser = expat.ParserCreate()
    parser.StartElementHandler = begun
    parser.StartDoctypeDeclHandler = refuse
    try:
        for place in range(0, len(content), _STEP):
            parser.Parse(content[place : place + _STEP], False)
            if found:
                return found[0]
    except (expat.ExpatError, ValueError):
        pass
    raise BadInput(
        "The report is not XML",
        f"It is {len(content)} bytes that break off or are no XML before the first element",
        "Give the file whole, as the test framework wrote it.",
    )
