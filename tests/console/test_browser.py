"""The console as an operator uses it, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import axe_playwright_python
from bridge_process import Bridge
from playwright.sync_api import Browser, Page, expect

from .conftest import CONFIRMED, PATIENCE_MS, STANDING, TOKEN, Story, saved

expect.set_options(timeout=PATIENCE_MS)

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}

LISTS = (
    "opt-outs",
    "leads",
    "outcomes",
    "dead-letters",
    "deliveries",
    "refusals",
    "mappings",
    "replays",
    "export",
)
VIOLATIONS = {"resultTypes": ["violations"]}
CONTRAST = {"runOnly": ["color-contrast"], **VIOLATIONS}
LOOKS = (
    (DESKTOP, "light", VIOLATIONS),
    (PHONE, "dark", VIOLATIONS),
    (PHONE, "light", CONTRAST),
    (DESKTOP, "dark", CONTRAST),
)
AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"


def find(page: Page, text: str) -> None:
    page.goto("/console/leads")
    page.get_by_role("searchbox").fill(text)
    page.get_by_role("button", name="Find").click()


def test_signing_in_and_finding_a_lead_by_its_number_as_people_write_it(
    browser: Browser, bridge: Bridge, told: Story
) -> None:
    context = browser.new_context(base_url=bridge.url)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto("/console/")
    page.get_by_label("Token").fill("not the token")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("This is not the token.")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_label("Your name").fill("Ada")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("searchbox").fill("(415) 555-0103")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(CONFIRMED)
    # a number in an address would end in logs and histories
    assert re.fullmatch(r"/console/leads/\d+", page.evaluate("location.pathname + location.search"))
    expect(page.get_by_role("heading", name="Opt-out confirmed")).to_have_count(2)
    story = page.locator(".story > li").last
    for step in (
        "verified by bearer",
        "Rules opt-out, details",
        "do_not_call true",
        "HTTP 503",
        "Lead updated successfully",
        "after the webhook was accepted",
    ):
        expect(story).to_contain_text(step)
    for typed in ("+1 415 555 01 03", "415.555.0103"):
        find(page, typed)
        expect(page.get_by_role("heading", level=1)).to_have_text(CONFIRMED)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    context.close()


def test_an_opt_out_that_is_not_confirmed_says_so(page: Page) -> None:
    find(page, STANDING)
    expect(page.get_by_role("heading", name="Not confirmed yet")).to_have_count(2)
    expect(page.get_by_role("heading", name="Opt-out confirmed")).to_have_count(0)


def test_what_a_stranger_wrote_is_shown_and_never_run(page: Page, told: Story) -> None:
    page.goto(f"/console/deliveries/{told.unreadable}")
    expect(page.locator("pre")).to_have_text("[<script>document.title='owned'</script>")
    expect(page.locator(".state.dead").first).to_be_visible()
    page.goto("/console/refusals")
    page.locator("tbody a").first.click()
    expect(page.locator("pre")).to_contain_text("<script>")
    assert "owned" not in page.title()


def test_a_mapping_is_broken_and_mended_in_the_playground(
    page: Page, bridge: Bridge, told: Story
) -> None:
    before = saved(bridge)
    page.goto("/console/mappings/crm")
    page.get_by_label("A stored delivery").select_option(told.opt_out)
    result = page.locator("#result")
    expect(result).to_contain_text(f"{CONFIRMED} in one: do_not_call true")
    mapping = page.get_by_label("Mapping", exact=True)
    text = mapping.input_value()
    mapping.fill(text.replace("do_not_call: {value: true}", "do_not_cal: {value: true}", 1))
    expect(result).to_contain_text("1 mistake")
    expect(result).to_contain_text("crm.yaml:17:7")
    page.get_by_role("link", name="crm.yaml:17:7").click()
    expect(mapping).to_be_focused()
    mapping.fill(text.replace("do_not_call: {value: true}", "do_not_call: {value: true}"))
    expect(result).to_contain_text(f"{CONFIRMED} in two: do_not_call true")
    assert saved(bridge) == before


def test_a_source_that_nobody_has_set_up_is_folded_away(page: Page, told: Story) -> None:
    page.goto("/console/")
    sources = page.get_by_role("region", name="Sources")
    expect(sources.get_by_role("link", name="crm", exact=True)).to_be_visible()
    expect(sources.get_by_text("NOBODY_SETS_THIS")).to_be_hidden()
    sources.get_by_text("1 not configured").click()
    expect(sources.get_by_text("NOBODY_SETS_THIS")).to_be_visible()


def test_a_dead_letter_is_replayed_after_a_look_at_the_plan(page: Page) -> None:
    page.goto("/console/dead-letters")
    came = _times(page)
    page.get_by_role("link", name="Plan a replay of these").click()
    expect(page.get_by_role("heading", name="The plan")).to_be_visible()
    expect(page.get_by_text("Nothing was done yet.")).to_be_visible()
    page.get_by_role("button", name="Run this replay").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Replay")
    for _ in range(200):
        if page.get_by_text("settled").count():
            break
        page.get_by_role("link", name="Look again").click()
    expect(page.locator("h1")).to_contain_text("settled")
    expect(page.get_by_text("100 % done")).to_be_visible()
    page.goto("/console/campaigns")
    expect(page.locator("section tbody tr").first).to_contain_text(
        re.compile(r"started replay \d+ of: newest outcome dead; mapped by the current files")
    )
    page.goto("/console/dead-letters")  # each still tells when its webhook came
    assert sorted(_times(page)) == sorted(came)
    rows = page.locator("tbody tr")
    assert rows.count() == page.get_by_role("row").filter(has_text=re.compile(r"replay \d")).count()
    rows.first.get_by_role("link").first.click()
    expect(page.locator("dl")).to_contain_text(re.compile(r"Taken up.* by replay \d"))


def _times(page: Page) -> list[str]:
    """When the rows of a list came in."""
    return [str(one.get_attribute("datetime")) for one in page.locator("tbody time").all()]


def test_a_campaign_is_paused_and_resumed_each_after_a_second_look(page: Page) -> None:
    page.goto("/console/campaigns")
    page.get_by_role("link", name="Pause one …").click()
    page.get_by_label("Reason").fill("maintenance")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_contain_text("one is paused")
    row = page.get_by_role("row").filter(has_text="paused by hand")
    expect(row).to_contain_text("maintenance by Ada (console, 127.0.0.1)")
    page.get_by_role("link", name="Resume one …").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("status")).to_contain_text("one is resumed")
    expect(page.locator("section tbody tr").first).to_contain_text("resumed one")


def test_pages_can_be_used_by_keyboard_alone(page: Page) -> None:
    page.goto("/console/")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    search = page.get_by_role("searchbox")
    for _ in range(30):  # what is not well comes first, each concern a link
        page.keyboard.press("Tab")
        if search.evaluate("it => it === document.activeElement"):
            break
    expect(search).to_be_focused()
    page.keyboard.type("(415) 555-0103")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(CONFIRMED)


def test_no_page_keeps_anybody_out(bridge: Bridge, page: Page) -> None:
    """axe finds nothing, at phone and desktop width, by day and by night."""
    page.context.add_init_script(AXE.read_text())
    find(page, "(415) 555-0103")
    page.get_by_role("heading", name="Where it stands").wait_for()
    story = page.url
    first = ["/console/", story, "/console/mappings/crm"]
    wrong: list[str] = []
    for path in (*first, *_pages(page)):
        page.goto(path)
        # every page has the same few colours, so those that have them all stand for the others
        for size, scheme, rules in LOOKS if path in first else LOOKS[:2]:
            page.set_viewport_size(size)  # type: ignore[arg-type]
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found = page.evaluate("(options) => axe.run(document, options)", rules)
            wrong += [
                f"{path} {size['width']} {scheme}: {one['id']}: {node['failureSummary']}"
                for one in found["violations"]
                for node in one["nodes"]
            ]
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if wide > 0:
                wrong.append(f"{path} is {wide} px wider than {size['width']}")
    assert not wrong, "\n".join(wrong)
    assert TOKEN not in page.content()


def _pages(page: Page) -> list[str]:
    """Every list, and the first of each that can be opened."""
    found = ["/console/campaigns", "/console/campaigns/pause?name=one"]
    found += ["/console/replays/new?state=dead", "/console/replays/new"]
    for name in LISTS:
        page.goto(f"/console/{name}")
        found.append(page.url)
        if name != "leads":
            first = page.locator("tbody a, .files a")
            if first.count():
                found.append(str(first.first.get_attribute("href")))
    return found
