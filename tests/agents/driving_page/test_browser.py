"""The page in a real browser: headless Chromium, driven through chromedriver; skipped where they are not installed."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from longdwm_env.agents.driving_page.page_server import PageServer
from longdwm_env.io.figures import save_picture

from .conftest import PATIENCE_S, street

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or CHROMEDRIVER is None, reason="no browser: apt-get install chromium chromium-driver"
)

DROP = """
const [name, bytes] = arguments;
const told = new DataTransfer();
told.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
for (const kind of ["dragenter", "dragover", "drop"])
  document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: told, bubbles: true, cancelable: true }));
"""

SOCKETS = """
window.sockets = [];
const Plain = window.WebSocket;
window.WebSocket = class extends Plain { constructor(...given) { super(...given); window.sockets.push(this); } };
"""


class Page:
    """What a person sees of the page, and the keys that are typed at it."""

    def __init__(self, driver: Any, server: PageServer) -> None:
        self.driver, self.server = driver, server

    def js(self, expression: str, *given: Any) -> Any:
        return self.driver.execute_script(f"return {expression}", *given)

    def key(self, key: str, code: str, down: bool) -> None:
        kind = "rawKeyDown" if down else "keyUp"
        self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": code})

    def press(self, key: str, code: str) -> None:
        self.key(key, code, True)
        self.key(key, code, False)

    def until(self, holds: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + 2 * PATIENCE_S
        while time.monotonic() < end:
            if found := holds():
                return found
            time.sleep(0.05)
        raise AssertionError(f"never: {what}; {self.text('body')[:300]!r}; {self.driver.get_log('browser')}")

    def text(self, selector: str) -> str:
        return str(self.js("document.querySelector(arguments[0]).innerText", selector))

    @property
    def time_s(self) -> float:
        return float(re.findall(r"([\d.]+) s\b", self.text("#place"))[0])

    @property
    def scene(self) -> str:
        return re.findall(r"(\S+) +[\d.]+ s\b", self.text("#place"))[0]

    def drives(self) -> bool:
        return bool(self.js("document.body.dataset.driving === 'true'"))

    def pixels(self) -> list[int]:
        """A few pixels of the picture."""
        return list(
            self.js(
                "(() => { const c = document.getElementById('picture'); const p = c.getContext('2d');"
                "return [0.1, 0.3, 0.7, 0.9].flatMap((x) => [...p.getImageData(c.width * x, c.height / 5, 1, 1).data]);"
                "})()"
            )
        )


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1280,800"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": SOCKETS})
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: Any, server: PageServer) -> Iterator[Page]:
    browser.get(server.address)
    page = Page(browser, server)
    page.until(lambda: page.js("document.body.dataset.world"), "the first picture")
    page.until(page.drives, "the wheel")
    yield page
    # What was refused on purpose is logged as a network error; a fault of the page, or of its policy, is another kind.
    assert [one for one in browser.get_log("browser") if one["level"] == "SEVERE" and one["source"] != "network"] == []
    browser.get("about:blank")


def test_keys_move_the_car_and_rewind_goes_back(page):
    assert page.server.token not in page.driver.current_url
    before = page.pixels()
    page.key("ArrowUp", "ArrowUp", True)
    page.until(lambda: page.time_s > 1.2, "the car drives")
    page.key("a", "KeyA", True)
    page.until(lambda: "left" in page.text("#wheel"), "it steers")
    page.key("a", "KeyA", False)
    page.key("ArrowUp", "ArrowUp", False)
    assert int(page.text("#speed b")) > 0
    assert page.pixels() != before
    gone_s = page.time_s
    page.press("Backspace", "Backspace")
    page.until(lambda: page.time_s < gone_s, "it stands at an earlier moment")
    page.until(lambda: "ms" in page.text("#numbers"), "the latency is shown")
    assert "real time" in page.text("#numbers")


def test_photo_that_is_dropped_on_the_page_starts_a_drive(page, tmp_path):
    save_picture(tmp_path / "mine.png", street(21))
    page.driver.execute_script(DROP, "mine.png", list((tmp_path / "mine.png").read_bytes()))
    page.until(lambda: page.scene.startswith("photo-"), "the drive begins in the photo")
    page.key("w", "KeyW", True)
    page.until(lambda: page.time_s > 0.3, "it is driven into")
    page.key("w", "KeyW", False)
    page.driver.execute_script(DROP, "bad.png", list(b"not a picture"))
    page.until(lambda: "JPEG" in page.text("#note"), "what is no photo is refused with a reason")
    page.js("document.getElementById('open-scenes').click()")
    page.until(lambda: page.js("document.querySelectorAll('.tile img').length") > 10, "scenes to choose")
    unseen = "[...document.querySelectorAll('.tile img:not(.drawn)')]"
    placeholders = page.js(
        f"{unseen}.map((i) => [getComputedStyle(i).opacity, getComputedStyle(i.parentNode).backgroundImage,"
        "i.parentNode.clientHeight, i.closest('.tile').innerText])"
    )
    assert placeholders, "the last scenes are out of sight, and not fetched"
    for opacity, road, height, name in placeholders:
        assert float(opacity) < 1
        assert "conic-gradient" in road
        assert height > 40
        assert name.strip()
    page.until(lambda: page.js("[...document.querySelectorAll('.tile img')].some((i) => i.naturalWidth)"), "thumbnails")
    page.until(lambda: page.js("!!document.querySelector('.tile img.drawn')"), "they are shown")
    page.js("[...document.querySelectorAll('.tile')].find((t) => t.innerText.includes('street')).click()")
    page.until(lambda: page.scene == "street.png", "the scene that was chosen")


def test_page_connects_again_after_the_socket_is_cut_and_drives_on(page):
    page.key("ArrowUp", "ArrowUp", True)
    page.until(lambda: page.time_s > 0.5, "the car drives")
    page.key("ArrowUp", "ArrowUp", False)
    at_s = page.time_s
    page.js("window.sockets.at(-1).close()")
    page.until(lambda: page.js("window.sockets.length") > 1, "a new socket")
    page.until(lambda: not page.js("document.body.classList.contains('cut')"), "it is connected")
    page.until(page.drives, "the wheel is the same page's")
    page.key("ArrowUp", "ArrowUp", True)
    page.until(lambda: page.time_s > at_s + 0.3, "it drives on where it was")
    page.key("ArrowUp", "ArrowUp", False)


def test_three_drives_a_link_and_a_video(page):
    page.press("Home", "Home")
    page.until(lambda: page.text("#banner").startswith("Ready"), "the start")
    page.press("r", "KeyR")
    page.key("ArrowUp", "ArrowUp", True)
    page.until(lambda: page.time_s > 0.5, "the car drives")
    page.key("ArrowUp", "ArrowUp", False)
    page.press("b", "KeyB")
    page.until(lambda: page.js("document.getElementById('branches').open"), "three drives")
    drawn = "(c) => c.getContext('2d').getImageData(9, 9, 1, 1).data[3]"
    page.until(lambda: page.js(f"[...document.querySelectorAll('#ways canvas')].every({drawn})"), "all three drawn")
    at_s = page.time_s
    page.js("document.querySelectorAll('#ways button')[1].click()")
    page.until(lambda: page.time_s > at_s + 1, "one of them goes on")
    page.press("r", "KeyR")
    page.js("document.getElementById('open-share').click()")
    link = page.until(lambda: page.js("document.getElementById('link').value"), "a link")
    page.until(lambda: page.js("document.querySelectorAll('#files a[download]').length") == 2, "a video to download")
    size = "fetch(document.querySelector('#files a').href).then((answer) => answer.blob()).then((video) => video.size)"
    assert page.js(size) > 1000
    page.js("document.getElementById('share').close()")
    end_s = page.time_s
    page.driver.get("about:blank")
    page.driver.get(link)
    page.until(lambda: "#drive" not in page.driver.current_url and page.js("!!document.body.dataset.world"), "the page")
    page.until(lambda: "replay ends" in page.text("#note"), "the link drives the same again")
    assert page.time_s == pytest.approx(end_s, abs=0.15)


PHONES = [(360, 640), (844, 390)]


def test_everything_fits_and_fingers_drive(page):
    page.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
    try:
        page.js("document.body.classList.add('fingers')")
        for width, height in PHONES:
            phone = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
            page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
            page.until(lambda width=width: page.js("innerWidth") == width, "the screen turns")
            page.press("Home", "Home")
            page.until(lambda: page.text("#banner").startswith("Ready"), "the start")
            outside = page.js(
                "[...document.querySelectorAll('#tools button, #picture, #speed, #moments, #touch > div')].filter((e)=>"
                "{ const b = e.getBoundingClientRect(); return b.left < -1 || b.top < -1 || b.right > innerWidth + 1 ||"
                "b.bottom > innerHeight + 1 || b.width < 20 || b.height < 10 }).map((e) => e.id || e.innerText)"
            )
            assert outside == [], (width, height)
            box = page.js("document.getElementById('touch-throttle').getBoundingClientRect().toJSON()")
            at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 3}
            page.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
            page.until(lambda: page.time_s > 0.2, f"a finger drives at {width} x {height}")
            page.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
            page.until(lambda: not page.js("!!document.querySelector('#touch .held')"), "the pedal is let go")
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
