"""A number that is written in E.164 already takes a short way, to the same end."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.map import phone

CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


def long_way(text: str, region: str) -> str | None:
    return phone._parsed(text, region)


@given(
    code=st.sampled_from(CODES),
    national=st.from_regex(r"[0-9]{1,13}", fullmatch=True),
    region=st.sampled_from(["US", "DE", "MX", "IT", "GB"]),
)
@example(code=52, national="15512345678", region="MX")
@example(code=39, national="0612345678", region="IT")
@example(code=44, national="02079460000", region="GB")
@example(code=1, national="12025550143", region="US")
def test_both_ways_lead_to_the_same_number(code: int, national: str, region: str) -> None:
    text = f"+{code}{national}"
    assert phone._parse(text, region) == long_way(text, region)


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_an_example_of_every_country_comes_out_as_it_went_in(region: str) -> None:
    number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    if number is None:
        pytest.skip("no example of a mobile number")
    text = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert phone._parse(text, "US") == long_way(text, "US") == text


def test_the_short_way_is_taken() -> None:
    phone._parsed.cache_clear()
    assert phone._parse("+14155550143", "US") == "+14155550143"
    assert phone._parsed.cache_info().misses == 0
