"""XML bodies: content without prefixes, attributes apart, and no document types at all."""

from __future__ import annotations

import pytest

from bridge.errors import DecodeError
from bridge.model import Decoder, Json
from bridge.receive.decode import decode

from .webhooks import VECTORS

XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def read(body: str | bytes, **bounds: int) -> Json:
    raw = body.encode() if isinstance(body, str) else body
    return decode(Decoder.XML, raw, **{"max_depth": 64, **bounds})


@pytest.mark.parametrize(
    ("body", "document"),
    [
        ("<a/>", {"a": ""}),
        ("<a>text &amp; &#233;</a>", {"a": "text & é"}),
        ("<a> kept </a>", {"a": " kept "}),
        ("<a><b>1</b>\n <b>2</b><c/></a>", {"a": {"b": ["1", "2"], "c": ""}}),
        ("<a><b/><b/><b><c/></b></a>", {"a": {"b": ["", "", {"c": ""}]}}),
        ('<a x="1">t</a>', {"a": {"@x": "1", "#text": "t"}}),
        ('<a x="1"><x>2</x></a>', {"a": {"@x": "1", "x": "2"}}),
        ("<a>one <b/> two</a>", {"a": {"b": "", "#text": "one  two"}}),
        ("<a><![CDATA[<b>&]]></a>", {"a": "<b>&"}),
        ("<!-- c --><?pi x?><a/><!-- d -->", {"a": ""}),
        ('<p:a xmlns:p="urn:x" p:y="1"><p:b>2</p:b></p:a>', {"a": {"@y": "1", "b": "2"}}),
        ('<a xmlns="urn:x"><b/></a>', {"a": {"b": ""}}),
        (f'<a {XSI}><b xsi:nil="true"/><c xsi:nil="1"/></a>', {"a": {"b": None, "c": None}}),
        (f'<a {XSI}><b xsi:nil="false">x</b></a>', {"a": {"b": "x"}}),
        (f'<a {XSI}><b xsi:nil="true"/><b>x</b></a>', {"a": {"b": [None, "x"]}}),
        ('<a nil="true">x</a>', {"a": {"@nil": "true", "#text": "x"}}),
        (b'\xef\xbb\xbf<?xml version="1.0"?><a>\xc3\xa9</a>', {"a": "é"}),
        (b'\n <?xml version="1.0" encoding="ISO-8859-1"?><a>\xe9</a>', {"a": "é"}),
    ],
)
def test_what_is_read_and_how(body: str | bytes, document: Json) -> None:
    assert read(body) == document


def test_a_real_outbound_message() -> None:
    document = read((VECTORS / "salesforce-outbound-message.xml").read_bytes())
    message = document["Envelope"]["Body"]["notifications"]
    assert message["OrganizationId"] == "00D5e00000A1bCdEAJ"
    assert message["SessionId"] is None
    first, second = (one["sObject"] for one in message["Notification"])
    assert first["@type"] == "sf:Contact"
    assert (first["Department"], first["DoNotCall"], first["Phone"]) == ("R&D", "true", None)
    assert (second["FirstName"], second["MobilePhone"]) == ("José", None)
    assert "Department" not in second


LAUGHS = "<!DOCTYPE l [" + "".join(
    f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha"}">' for n in range(10)
)


@pytest.mark.parametrize(
    "body",
    [
        LAUGHS + "]><l>&l9;</l>",
        "<!DOCTYPE a><a/>",
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><a/>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/"> %x;]><a/>',
        '<?xml version="1.0"?>\n<!DOCTYPE a [<!ATTLIST a b CDATA "c">]><a/>',
    ],
)
def test_document_types_are_refused_where_they_begin(body: str) -> None:
    with pytest.raises(DecodeError, match="document types and entities are not read") as caught:
        read(body)
    assert str(caught.value).startswith("line ")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("text", "line 1 column 1: "),
        ("<a><b></a>", "line 1 column 9: mismatched tag"),
        ("<a>\n&undefined;</a>", "line 2 column 1: "),
        ("<a/><b/>", "line 1 column 5: junk"),
        ("<p:a/>", "unbound prefix"),
        ("<a>\x00</a>", "line 1"),
        (b"<a>\xe9</a>", "line 1 column 4: "),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "encoding"),
        (b'<?xml version="1.0" encoding="utf-7"?><a/>', "encoding"),
        ("<a", "line 1"),
    ],
)
def test_what_is_refused_says_where_or_why(body: str | bytes, why: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read(body)
    assert why in str(caught.value)
    assert len(str(caught.value)) < 200


def test_depth_and_number_of_elements_are_bounded() -> None:
    assert read("<a>" * 4 + "</a>" * 4, max_depth=4) is not None
    for body in ("<a>" * 5 + "</a>" * 5, "<a>" * 100_000):
        with pytest.raises(DecodeError, match="deeper than 4 levels"):
            read(body, max_depth=4)
    assert read("<a>" + "<b/>" * 49 + "</a>", max_keys=50) is not None
    assert read("<a>" + '<b c="1"/>' * 24 + "</a>", max_keys=50) is not None
    for body in ("<a>" + "<b/>" * 50 + "</a>", "<a>" + '<b c="1"/>' * 25 + "</a>"):
        with pytest.raises(DecodeError, match="more than 50 keys"):
            read(body, max_keys=50)
