# SPDX-License-Identifier: MIT OR Apache-2.0
"""check.py SWAPSTORM TREE FOLDER: has every format of a report judged by tools of other people.

SWAPSTORM is the program, TREE a source tree of Linux, FOLDER is made anew and gets the reports and pictures of the pages. For each
judge there is a control: an input that is wrong, which it must complain of. README.md tells more.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import logs
import machines
import pages


class Score:
    """Counts what passed, and says what did not."""

    def __init__(self):
        self.passed = self.failed = 0

    def good(self, name, complaints):
        """What must be without a complaint."""
        self._count(name, not complaints, complaints)

    def bad(self, name, complaints, words):
        """A control: one of the complaints must have these words."""
        self._count(f"{name} is noticed", any(words in one for one in complaints), complaints or ["nothing is said"])

    def _count(self, name, passed, complaints):
        self.passed += passed
        self.failed += not passed
        print("ok    " if passed else "FAILED", name, flush=True)
        if not passed:
            for complaint in complaints[:20]:
                print("      ", complaint, flush=True)


def main(program, tree, folder):
    shutil.rmtree(folder, ignore_errors=True)
    runs = {
        "night": logs.night(21), "hostile": logs.hostile(logs.night(21)), "search": logs.search(),
        "hunt": logs.hunt(), "before": logs.night(20, shows=False),
    }
    for name, log in runs.items():
        logs.write(log, folder / name)

    # Nobody's own history has a part in it.
    environment = {**os.environ, "XDG_DATA_HOME": str(folder / "data")}
    environment.pop("SWAPSTORM_HISTORY", None)

    def swapstorm(*args):
        # Exit codes tell what the runs found; 2 says that they could not be read.
        done = subprocess.run([program, *map(str, args)], capture_output=True, cwd=folder, env=environment,
                              encoding="utf-8")
        if done.returncode == 2 or not done.stdout:
            sys.exit(f"{' '.join(map(str, args))} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def report(run, format):
        return swapstorm("report", run, "--format", format)

    score = Score()
    for_machines(score, runs, report, machines.Ktap(tree))
    # What is new beside the night before stands in the pages, too.
    swapstorm("history", "record", "before")
    made = {f"{run}.html": report(run, "html") for run in ("night", "hostile", "search", "hunt")}
    made["nights.html"] = swapstorm("report", "before", "night", "--format", "html")
    for name, run in {"history.html": "night", "history-hostile.html": "hostile"}.items():
        made[name] = swapstorm("history", run, "--format", "html")
    score.good("news beside the night before", [] if "no night before" in made["night.html"] else ["nothing is new"])
    for name, text in made.items():
        (folder / name).write_text(text)
    browser = pages.Browser()
    try:
        for name in made:
            for_people(score, browser, folder / name)
        controls(score, browser, folder, made["night.html"])
    finally:
        browser.close()
    print(f"conformance: {score.passed} passed, {score.failed} failed")
    return score.failed == 0


def for_machines(score, runs, report, ktap):
    """JUnit, KTAP and KCIDB, by their schemas and by the kernel's parser."""
    # As logs.night() has them: the harness's own trouble is no pass either.
    cells = {"passed": 2, "failed": 4, "skipped": 2}
    for run in runs:
        score.good(f"the log of {run}", json.loads(report(run, "json"))["problems"])
        score.good(f"junit of {run}", machines.junit(report(run, "junit")))
        score.good(f"kcidb of {run}", machines.kcidb(report(run, "kcidb")))
    for run in ("night", "hostile"):
        score.good(f"ktap of {run}", ktap(report(run, "ktap"), cells))

    junit = report("night", "junit")
    score.bad("an unknown attribute in junit", machines.junit(junit.replace("<testcase ", "<testcase verdict='x' ", 1)), "verdict")
    score.bad("cut junit", machines.junit(junit[:len(junit) // 2]), "")
    score.bad("an unknown field in kcidb", machines.kcidb(report("night", "kcidb").replace('"origin"', '"orign"', 1)), "orign")
    text = report("night", "ktap")
    score.bad("a cut line of ktap", ktap(text.replace("    ok 1 fixed-x86_64\n", "", 1), cells), "cells are read as")
    score.bad("a wrong number in ktap", ktap(text.replace("\nnot ok 1 ", "\nnot ok 5 ", 1), cells), "ERROR")


def for_people(score, browser, page):
    """A page on wide and narrow screens, in both colour schemes, with scripts and without."""
    visible = logs.VISIBLE if "hostile" in page.name else None
    for width in pages.WIDTHS:
        for scheme in pages.SCHEMES:
            where = f"{page.name} at {width} pixels, {scheme}"
            score.good(f"{where}: nothing on the console, no request", browser.show(page, width, scheme))
            score.good(f"{where}: as wide as the screen", pages.fits(browser, width))
            score.good(f"{where}: no hostile word is more than text", pages.inert(browser, visible))
            score.good(f"{where}: pictures", pages.drawn(browser))
            score.good(f"{where}: axe-core", pages.accessible(browser))
    for width, scheme in zip(pages.WIDTHS, pages.SCHEMES):
        browser.show(page, width, scheme)
        page.with_name(f"{page.stem}-{width}-{scheme}.png").write_bytes(base64.b64decode(browser.picture(whole=True)))
    browser.show(page)
    with_scripts = browser.picture()
    browser.show(page, scripts=False)
    alike = browser.picture() == with_scripts
    score.good(f"{page.name} without JavaScript looks the same", [] if alike else ["the pictures differ"])
    score.good(f"{page.name} without JavaScript: links and folds", pages.works_by_keyboard(browser))


def controls(score, browser, folder, page):
    """Faults put into a page: whoever does not see them has not looked."""
    def faulty(html, policy=False):
        text = page if policy else re.sub("<meta http-equiv=.*?>", "", page, count=1)
        file = folder / "faulty.html"
        file.write_text(text.replace("</main>", f"{html}</main>", 1))
        return file

    script = "<script>document.querySelector('h1').textContent = 'changed'</script>"
    score.bad("a script that the policy forbids", browser.show(faulty(script, policy=True)), "console: ")
    score.bad("a picture from elsewhere", browser.show(faulty("<img src='http://swapstorm.invalid/x.png'>")), "request: ")
    hostile = faulty(logs.HOSTILE)
    score.bad("a dialog", browser.show(hostile, scripts=True), "a dialog opened")
    score.bad("an element of a hostile word", pages.inert(browser), "an element of a hostile word")
    score.bad("an active character", pages.inert(browser), "an active character")
    score.bad("a word that is not shown", pages.inert(browser, "words that are nowhere"), "does not show")
    faint = "<style>main p { color: #999 !important; background: #aaa !important }</style>"
    for scheme in pages.SCHEMES:
        browser.show(faulty(faint), scheme=scheme)
        score.bad(f"faint text, {scheme}", pages.accessible(browser), "color-contrast")
    browser.show(faulty("<div style='width: 2000px'>wide</div>"), 390)
    score.bad("a page that is too wide", pages.fits(browser, 390), "pixels wide")
    square = "<svg viewBox='0 0 40 40'>{}</svg>"
    browser.show(faulty(square.format("<rect class='nothing' width='9' height='9'/>")))
    score.bad("a shape without a colour", pages.drawn(browser), "no colour")
    browser.show(faulty(square.format("<text y='39'>words that are long</text>")))
    score.bad("a word that is cut off", pages.drawn(browser), "cut off")
    changed = faulty(script)
    browser.show(changed)
    with_script = browser.picture()
    browser.show(changed, scripts=False)
    score.bad("a script that changes the page", ["differs"] if browser.picture() != with_script else [], "differs")
    browser.show(faulty("<a href='#nowhere'>x</a>"), scripts=False)
    score.bad("a link that leads nowhere", pages.works_by_keyboard(browser), "#nowhere")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(not main(*(Path(word).resolve() for word in sys.argv[1:])))
