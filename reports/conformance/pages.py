# SPDX-License-Identifier: MIT OR Apache-2.0
"""Pages, judged by Chromium and by axe-core. Each check returns its complaints."""

import json
from importlib.resources import files

from selenium import webdriver
from selenium.common.exceptions import UnexpectedAlertPresentException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
AXE = (files("axe_playwright_python") / "axe.min.js").read_text()

# What an element of a hostile word would be, or what one of ours would do for it.
INTRUDERS = "script, img, iframe, object, embed, link, base, form, .hostile, [href^='javascript:' i], [onerror], [onload]"
# Characters that turn the direction of writing, or steer a terminal.
ACTIVE = r"[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe]"


class Browser:
    """Debian's Chromium without a window, that reaches no network."""

    def __init__(self, chromium="/usr/bin/chromium", driver="/usr/bin/chromedriver"):
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        # Its sandbox does not work for root, who CI is; /dev/shm is small in containers.
        for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars",
                     "--host-resolver-rules=MAP * ~NOTFOUND"):
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        options.unhandled_prompt_behavior = "accept"
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(driver))
        self.driver.set_script_timeout(120)

    def close(self):
        self.driver.quit()

    def show(self, file, width=1280, scheme="light", scripts=True):
        """Loads a page from its file. Returns what it complained of meanwhile, and what it asked others for."""
        command = self.driver.execute_cdp_cmd
        command("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600})
        command("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        command("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        self._logs()
        address = file.resolve().as_uri()
        self.driver.get(address)
        complaints = []
        try:
            self.driver.title
        except UnexpectedAlertPresentException as error:
            complaints.append(f"a dialog opened: {error.alert_text}")
        browser, requests = self._logs()
        complaints += [f"console: {entry['level']}: {entry['message']}" for entry in browser]
        complaints += [f"request: {url}" for url in requests if url != address]
        return complaints

    def _logs(self):
        """Lines of the console, and addresses that were asked for, since the last look."""
        console = self.driver.get_log("browser")
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return console, [event["params"]["request"]["url"] for event in events
                         if event["method"] == "Network.requestWillBeSent"]

    def js(self, words, *args):
        return self.driver.execute_script(words, *args)

    def picture(self, whole=False):
        """What is on the screen, or the whole page, as PNG in base64."""
        return self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": whole})["data"]


def accessible(browser):
    """What axe-core calls serious or critical, in the page that is shown, all folds open."""
    browser.js("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    browser.js(AXE)
    found = browser.driver.execute_async_script(
        "axe.run(document, {resultTypes: ['violations']}).then(arguments[0], error => arguments[0]({error: `${error}`}))")
    if "error" in found:
        return [found["error"]]
    return [f"axe: {one['impact']}: {one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}"
            for one in found["violations"] if one["impact"] in ("serious", "critical")]


def fits(browser, width):
    """Whether the page is as wide as the screen, so that a reader with a telephone scrolls in one direction only."""
    wide = browser.js("return document.documentElement.scrollWidth")
    return [f"the page is {wide} pixels wide on a screen of {width}"] if wide > width else []


def drawn(browser):
    """Whether each shape of a picture has a colour of the page's style, and each word is within its picture."""
    return browser.js("""
        const complaints = [];
        for (const picture of document.querySelectorAll("svg")) {
            const room = picture.viewBox.baseVal;
            for (const shape of picture.querySelectorAll("rect, line, circle, polygon, polyline, path")) {
                const {fill, stroke} = getComputedStyle(shape);
                if (fill == "rgb(0, 0, 0)" && stroke == "none") complaints.push(`no colour: ${shape.outerHTML}`);
            }
            for (const word of picture.querySelectorAll("text")) {
                const {x, y, width, height} = word.getBBox();
                if (x < -1 || y < -1 || x + width > room.width + 1 || y + height > room.height + 1)
                    complaints.push(`cut off: ${word.outerHTML}`);
            }
        }
        return complaints""")


def inert(browser, visible=None):
    """Whether the page has no element that runs, loads or leads elsewhere, and no active character. `visible`: words that must be
    there to be read."""
    text = browser.js("return document.documentElement.textContent")
    complaints = [f"an element of a hostile word: {html}" for html in browser.js(
        "return [...document.querySelectorAll(arguments[0])].map(one => one.outerHTML.slice(0, 200))", INTRUDERS)]
    complaints += [f"an active character: {one!r}" for one in browser.js(
        "return [...new Set(document.documentElement.textContent.match(new RegExp(arguments[0], 'g')))]", ACTIVE)]
    if visible is not None and visible not in text:
        complaints.append(f"the page does not show the words {visible}")
    return complaints


def works_by_keyboard(browser):
    """Whether each link within the page leads somewhere, and each fold opens by the Enter key. With scripts off, too."""
    complaints = []
    for link in browser.driver.find_elements(By.CSS_SELECTOR, "a[href^='#']"):
        target = link.get_dom_attribute("href").removeprefix("#")
        if not browser.driver.find_elements(By.ID, target):
            complaints.append(f"a link leads nowhere: #{target}")
    for fold in browser.driver.find_elements(By.TAG_NAME, "summary"):
        fold.send_keys(Keys.ENTER)
        if not browser.js("return arguments[0].parentElement.open", fold):
            complaints.append(f"the fold `{fold.text}` does not open")
    return complaints
