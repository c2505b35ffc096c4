"""Any state is a link: it round-trips, and one that can't be followed says so and leaves a page that works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convscope.studio.state import parse_state
from studio_page import StudioPage, link_of

if TYPE_CHECKING:
    from playwright.sync_api import Route

STATES: list[dict[str, object]] = [
    {"m": "given", "i": "sample:1", "l": "stem", "c": 3, "at": "4,7"},
    {"m": "given", "i": "sample:0", "l": "stem", "c": 1, "order": "energy", "scale": "network", "map": "magma"},
    {"m": "given", "i": "sample:0", "l": "again", "c": 2, "at": "1,1", "step": 3},
    {"m": "given", "i": "sample:2", "l": "stem", "c": 0, "x": "shift:3,-2;blur:1.5;off:stem:5"},
    {"m": "given", "i": "sample:0", "l": "stem", "c": 0, "x": "rotate:10;crop:2,2,30,30;occlude:4,4,12,12"},
    {"m": "given", "i": "sample:0", "l": "stem", "c": 0, "x": "kernel:stem:0:1:1,0,-1/2,0,-2/1,0,-1"},
    {"m": "given", "i": "sample:0", "l": "stem", "c": 0, "a": "gradient", "class": 2},
    {"m": "given", "i": "sample:0", "l": "stem", "c": 0, "m2": "lenet5"},
]

# With what the page says of each.
BAD: list[tuple[dict[str, object], str]] = [
    ({"m": "resnet1800", "i": "sample:0"}, "resnet1800"),
    ({"m": "run:nothing", "i": "sample:0"}, "nothing"),
    ({"m": "../../etc/passwd", "i": "sample:0"}, "passwd"),
    ({"m": "given", "i": "upload:0123456789abcdef"}, "here no more|again"),
    ({"m": "given", "i": "sample:99999"}, "sample"),
    ({"m": "given", "i": "file:///etc/passwd"}, "passwd|image"),
    ({"m": "given", "i": "sample:0", "l": "no.such.layer"}, "no.such.layer"),
    ({"m": "given", "i": "sample:0", "l": "stem", "c": 5000}, "5000"),
    ({"m": "given", "i": "sample:0", "l": "stem", "c": 1, "at": "99,99"}, "99,99"),
    ({"m": "given", "i": "sample:0", "l": "stem", "page": 500}, "page|500"),
    ({"m": "given", "i": "sample:0", "l": "stem", "c": "x"}, "whole number"),
    ({"m": "given", "i": "sample:0", "l": "stem", "x": "explode:1"}, "change"),
    ({"m": "given", "i": "sample:0", "l": "stem", "class": 999}, "999"),
    ({"m": "given", "i": "sample:0", "l": "stem", "a": "astrology"}, "astrology"),
    ({"m": "given", "i": "sample:0", "l": "stem", "m2": "nothing"}, "nothing"),
]


def same_state(link: str, wanted: str) -> None:
    found, notes = parse_state(link)
    expected, _ = parse_state(wanted)
    assert found == expected
    assert not notes


def test_links_round_trip(page: StudioPage) -> None:
    for state in STATES:
        link = link_of("explore", state)
        page.go(link)
        same_state(page.link, link)
    page.page.reload()
    page.rest()
    same_state(page.link, link_of("explore", STATES[-1]))
    for state in reversed(STATES[:-1]):
        page.page.go_back()
        page.rest()
        same_state(page.link, link_of("explore", state))


def test_each_room_has_links_of_its_own_and_is_left_as_it_was(page: StudioPage) -> None:
    explored = link_of("explore", STATES[2])
    page.go(explored)
    rooms = page.page.get_by_role("navigation", name="Rooms")
    rooms.get_by_role("link", name="Learn").click()
    page.page.locator(".learn-room h2").first.wait_for()
    assert page.link == "#/learn?v=1"
    page.go("#/learn/3?seed=7")
    page.go("#/train?v=1")
    rooms.get_by_role("link", name="Explore").click()
    page.rest()
    same_state(page.link, explored)
    rooms.get_by_role("link", name="Learn").click()
    page.rest()
    assert page.link.startswith("#/learn/3?") and page.state["seed"] == "7" and "m" not in page.state


def test_a_page_of_maps_that_comes_while_learn_is_open_changes_no_link_of_it(page: StudioPage) -> None:
    """The channel to begin with is chosen once Explore is open again."""
    held: list[Route] = []
    page.page.route("**/maps/**", lambda route: held.append(route))
    with page.page.expect_request("**/maps/**"):
        page.go("#/explore?v=1&m=given&i=sample:0&l=again", rest=False)
    page.go("#/learn/1", rest=False)
    page.page.locator(".learn-room h2").first.wait_for()
    with page.page.expect_response("**/maps/**"):
        for route in held:
            route.continue_()
    page.page.unroute("**/maps/**")
    page.rest()
    assert page.link.startswith("#/learn/1") and not {"c", "page", "m"} & set(page.state)
    page.page.get_by_role("link", name="Explore", exact=True).click()
    page.rest()
    assert page.state["c"] == "0" and page.channels


def test_links_that_cant_be_followed(page: StudioPage) -> None:
    page.faults.expect("Failed to load resource.*status of 4")
    for state, said in BAD:
        page.go(link_of("explore", state))
        page.says(said)
        page.explore(m="given", i="sample:0", l="stem", c=1)
        assert page.channels, f"the page did not go on after {state}"
