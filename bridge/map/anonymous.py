"""Personal data of a payload replaced, the same value always by the same stand-in.

Phone numbers become numbers that are reserved for fiction (``+1 415 555 0100`` and on), e-mail
addresses end in ``example.com``, names become others. Ids, types and times stay, and so does every
word that the mapping itself compares with: the case shall go the way the delivery went.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bridge.map.phone import every_e164
from bridge.map.unusable import Unusable
from bridge.model import Json

_AREAS = (415, 212, 303, 512, 617, 702, 808, 919)
_FIRST = ("Jane", "John", "Ann", "Ray", "Eve", "Max", "Ida", "Tom")
_LAST = ("Doe", "Roe", "Poe", "Coe", "Low", "Moe", "Noe", "Zoe")
_EMAIL = re.compile(r"[^\s@,;<>\"']+@[^\s@,;<>\"']+\.[A-Za-z]{2,}")
_SHAPED = re.compile(r"\+[1-9][0-9 ().\-/]{6,20}[0-9]|\(?[0-9]{3}\)?[ .\-][0-9]{3}[ .\-][0-9]{4}")
_PLAIN_NUMBER = re.compile(r"\+?[0-9][0-9 ().\-/]{5,22}\Z")
_PHONE_KEY = re.compile(
    r"phone|mobile|\btel|cell|fax|msisdn|whatsapp|caller|\bfrom\b|\bto\b", re.IGNORECASE
)
_NAME_KEY = re.compile(
    r"(first|last|full|given|family|middle|maiden|sur|nick|contact|display) ?name|"
    r"(?<!property )(?<!event )(?<!field )(?<!object )(?<!campaign )(?<!tag )\bname\b",
    re.IGNORECASE,
)
_PRIVATE_KEY = re.compile(
    r"address|street|custom fields? value|\bcity\b|postal|zip|birth|\bdob\b|company|"
    r"organi[sz]ation|(^|[_ -])ip($|[_ -])|note|message|comment|description|"
    r"\btext\b|signature|avatar|photo",
    re.IGNORECASE,
)
_NAME_OF_KEY = ("propertyName", "property", "field", "key", "name", "fieldKey")
_VALUE_OF_KEY = ("propertyValue", "value", "newValue", "previousValue", "oldValue", "fieldValue")


@dataclass(slots=True)
class Anonymous:
    """Replaces personal data. ``keep``: texts that stay as they are.

    ``replaced`` is what has been replaced so far: text → stand-in.
    """

    region: str
    keep: frozenset[str] = frozenset()
    replaced: dict[str, str] = field(default_factory=dict)
    _phones: dict[str, str] = field(default_factory=dict)
    _people: dict[str, int] = field(default_factory=dict)
    _emails: dict[str, str] = field(default_factory=dict)

    def learn(self, phones: Iterable[str], names: Mapping[str, Json]) -> None:
        """Takes down what a mapping found to be personal: numbers in E.164, and fields."""
        for phone in phones:
            self._phone(phone)
        for key in ("first_name", "last_name"):
            value = names.get(key)
            if isinstance(value, str) and value.strip():
                self.replaced.setdefault(value.strip(), self._name(key, value.strip()))

    def document(self, value: Json, key: str = "") -> Json:
        """A JSON value with its personal data replaced."""
        if isinstance(value, dict):
            named = next((value[n] for n in _NAME_OF_KEY if isinstance(value.get(n), str)), key)
            return {
                name: self.document(item, f"{named} {name}" if name in _VALUE_OF_KEY else name)
                for name, item in value.items()
            }
        if isinstance(value, list):
            return [self.document(item, key) for item in value]
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int | float):
            return self._number(value, key)
        return self.text(str(value), key)

    def _number(self, value: float, key: str) -> Json:
        known = self._known(str(value))
        if known is None and not _PHONE_KEY.search(_words(key)):
            return value
        phone = known or self._known(str(value), new=True)
        return value if phone is None else int(phone.removeprefix("+"))

    def text(self, value: str, key: str) -> str:
        """A text under a key, with its personal data replaced."""
        plain = value.strip()
        words = _words(key)
        if not plain or plain in self.keep:
            return value
        if plain in self.replaced:
            return value.replace(plain, self.replaced[plain])
        if _PLAIN_NUMBER.match(plain):
            new = bool(_PHONE_KEY.search(words)) or plain.startswith("+")
            phone = self._known(plain, new=new)
            return value if phone is None else self._note(value, phone)
        if _NAME_KEY.search(words) and not _EMAIL.search(plain):
            return self._note(value, self._name(words, plain))
        if _PRIVATE_KEY.search(words) and not _EMAIL.fullmatch(plain):
            return self._note(value, "Something")
        changed = _EMAIL.sub(lambda found: self._email(found[0]), value)
        changed = _SHAPED.sub(lambda found: self._shaped(found[0]), changed)
        for old in sorted(self.replaced, key=len, reverse=True):
            if len(old) > 3 and old in changed:
                changed = changed.replace(old, self.replaced[old])
        return changed

    def _note(self, old: str, new: str) -> str:
        self.replaced[old.strip()] = new
        return new

    def _known(self, text: str, *, new: bool = False) -> str | None:
        """The stand-in of a phone number as typed; None if it is none, or not known yet."""
        try:
            numbers, _ = every_e164(text.removesuffix(".0"), self.region)
        except Unusable:
            return None
        for number in numbers:
            if number in self._phones or new:
                return self._phone(number)
        return None

    def _shaped(self, text: str) -> str:
        phone = self._known(text, new=True)
        return text if phone is None else self._note(text, phone)

    def _phone(self, number: str) -> str:
        if number not in self._phones:
            area, place = divmod(len(self._phones), 100)
            self._phones[number] = f"+1{_AREAS[area % len(_AREAS)]}55501{place:02d}"
        return self._phones[number]

    def _email(self, address: str) -> str:
        if address not in self._emails:
            number = len(self._emails) + 1
            self._emails[address] = f"person{number}@example.com"
            self.replaced[address] = self._emails[address]
        return self._emails[address]

    def _name(self, words: str, value: str) -> str:
        last = bool(re.search(r"last|family|sur", words, re.IGNORECASE))
        pool = _LAST if last else _FIRST
        place = self._people.setdefault(f"{last}{value}", len(self._people))
        name = pool[place % len(pool)]
        if re.search(r"first|given|nick|middle", words, re.IGNORECASE) or last:
            return name
        return f"{name} {_LAST[place % len(_LAST)]}"

    def phone(self, number: str) -> str:
        """The stand-in of a number in E.164."""
        return self._phone(number)


def _words(key: str) -> str:
    """A key as words, so that ``firstName`` and ``first_name`` read alike."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\-.]", " ", key)
