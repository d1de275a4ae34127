"""The HTML pages as people with and without a screen reader get them, judged by axe-core.

Chromium opens a copy of each page that carries axe-core, in a frame of a screen's or a telephone's
width (its own window is never narrower than 500 pixels), and takes down what that finds.
"""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from portfolio import FIRST, SECOND

pytestmark = pytest.mark.pages
AXE = Path(__file__).parents[2] / "build/pages/node_modules/axe-core/axe.min.js"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDTHS = (1400, 961, 390)  # a screen, the narrowest one that has the wide charts, a telephone
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
# What is wider than the window, tables that scroll by themselves left aside; and the charts shown.
JUDGE = """<script>%s</script><script>
document.querySelectorAll('details').forEach(block => block.open = true);
axe.run(document, {resultTypes: ['violations', 'incomplete']}).then(found => {
  const root = document.documentElement, window_width = innerWidth;
  const findings = found.violations.map(rule => [rule.impact, rule.id, rule.help,
    rule.nodes.map(node => node.target.join(' ')).slice(0, 5)]);
  const shown = [...document.querySelectorAll('svg')].filter(svg => svg.getClientRects().length);
  const texts = shown.flatMap(svg => [...svg.querySelectorAll('text')]
    .map(text => parseFloat(getComputedStyle(text).fontSize) * svg.getScreenCTM().a));
  const scrolling = [...document.querySelectorAll('figure')]
    .filter(figure => figure.scrollWidth > figure.clientWidth).length;
  parent.postMessage(JSON.stringify({findings, passed: found.passes.length, window_width,
    wide: root.scrollWidth - root.clientWidth, scrolling, charts: shown.length,
    smallest: Math.min(...texts, 99), figures: document.querySelectorAll('figure').length}), '*');
});
</script>"""
FRAME = """<!doctype html><iframe src="judged.html" style="border:0;width:%dpx;height:2000px"></iframe>
<pre id="judged"></pre><script>
onmessage = event => document.getElementById('judged').textContent = event.data;
</script>"""


@pytest.fixture(scope="module")
def browser():
    """Return the browser's path, or skip."""
    paths = [path for name in BROWSERS if (path := shutil.which(name))]
    if not paths or not AXE.is_file():
        pytest.skip("no Chromium, or no axe-core under build/pages: make test-pages")
    return paths[0]


@pytest.fixture(scope="module")
def pages(browser, finished, tmp_path_factory):
    """Every kind of HTML page, by name, of the tiny portfolio."""
    portfolio = finished.copy_to(tmp_path_factory.mktemp("pages"))
    told = {"pairs": [["boosted", "frequency"]], "two_way": [["place", "power"]], "quantiles": 5}
    portfolio.set("evaluate", told)
    portfolio.set("explain", {"models": ["frequency", "boosted"]})
    portfolio.must(f"run --batch {FIRST} --batch {SECOND} --stages explain,evaluate")
    reports = portfolio.base / "artefacts" / "evaluation"
    made = {
        "evaluation": reports / f"{FIRST}-full.html",
        "evaluation without claims": reports / f"{SECOND}-full.html",
        "prices of a batch": portfolio.folder / "prices.html",
        "price of a policy": portfolio.folder / "price.html",
        "portfolio": portfolio.folder / "portfolio.html",
        "card of a GLM": portfolio.folder / "frequency-1.html",
        "card of boosted trees": portfolio.folder / "boosted-1.html",
    }
    one_policy = f"--policy P010 --model boosted --html {made['price of a policy']}"
    portfolio.must(f"explain --batch {FIRST} {one_policy}")
    portfolio.must(f"explain --batch {FIRST} --model boosted --html {made['prices of a batch']}")
    portfolio.must(f"report --out {made['portfolio']}")
    for model in ("frequency", "boosted"):
        portfolio.must(f"card {model} --out {portfolio.folder}")
    return {name: path.read_text(encoding="utf-8") for name, path in made.items()}


def judged(browser, page, width, folder):
    """Return axe-core's findings on a page of a width, what is too wide there, and its charts."""
    assert POLICY.search(page) and "<script" not in page
    script = JUDGE % AXE.read_text(encoding="utf-8")
    copy = POLICY.sub("", page).replace("</body>", f"{script}</body>")
    (folder / "judged.html").write_text(copy, encoding="utf-8")
    frame = folder / "frame.html"
    frame.write_text(FRAME % width, encoding="utf-8")
    # Each run has a profile of its own; a container has no second process's sandbox, and little
    # shared memory.
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         f"--user-data-dir={folder / 'profile'}", "--window-size=1500,2000",
         "--virtual-time-budget=60000", "--dump-dom", frame.as_uri()],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    found = re.search(r'<pre id="judged">(.+?)</pre>', done.stdout, re.DOTALL)
    assert found, f"no findings of axe-core: {done.stderr[-2000:]}"
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_shuts_anybody_out(browser, pages, width, tmp_path):
    for name, page in pages.items():
        result = judged(browser, page, width, tmp_path)
        grave = [f for f in result["findings"] if f[0] in ("serious", "critical")]
        assert not grave, f"{name}, {width} pixels: {json.dumps(grave, indent=1)}"
        assert result["window_width"] == width
        assert result["wide"] <= 0, f"{name}: {result['wide']} pixels wider than {width}"
        assert not result["scrolling"], f"{name}, {width} pixels: charts that scroll sideways"
        assert result["smallest"] >= 9, f"{name}, {width}: a text of {result['smallest']} pixels"
        assert result["charts"] == result["figures"], f"{name}, {width}: not one chart a figure"


def test_a_page_that_shuts_people_out_is_found(browser, tmp_path):
    """Else the test above may find nothing for another reason."""
    policy = '<meta http-equiv="Content-Security-Policy" content="">'
    page = (
        f'<!doctype html><html><head>{policy}<title>x</title></head><body><svg role="img"></svg>'
        '<p style="color:#bbb">faint</p><div style="width:2000px">wide</div></body></html>'
    )
    result = judged(browser, page, 1400, tmp_path)
    assert {rule for _, rule, *_ in result["findings"]} >= {
        "color-contrast", "html-has-lang", "svg-img-alt",
    }  # fmt: skip
    assert result["wide"] > 0
