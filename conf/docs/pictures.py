"""Draw the docs' pictures of pages from the demo's tables, in Chromium: `make pictures`.

Each is the top of a page as kyros wrote it, cut where nothing is cut through.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DEMO, BATCH, POLICY = "conf/demo.yaml", "2025", "P00140578"
REPORT = ROOT / f"build/demo/tables/artefacts/evaluation/{BATCH}-full.html"
GAP = 14  # empty lines of pixels: more than between two lines of text
COLOURS = 128


def kyros(*words: str) -> None:
    """Run a command of kyros."""
    subprocess.run([sys.executable, "-m", "kyros_spark", *words], cwd=ROOT, check=True)


def draw(browser: str, page: Path, target: Path, width: int, most: int) -> None:
    """Write the top of a page in a window of a width as PNG, at most so many pixels of it."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.png"
        subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--hide-scrollbars", f"--user-data-dir={folder}/profile", f"--screenshot={whole}",
             f"--window-size={width},{most}", page.as_uri()],
            check=True, capture_output=True, timeout=300,
        )  # fmt: skip
        picture = Image.open(whole).convert("RGB")
    picture = picture.crop((0, 0, width, bottom_of(picture)))
    picture.quantize(COLOURS).save(target, optimize=True)
    sys.stderr.write(f"pictures: {target.relative_to(ROOT)}, {target.stat().st_size:,} bytes\n")


def bottom_of(picture: Image.Image) -> int:
    """Return where to cut: below all that is drawn, or in the last gap if it goes on."""
    grey = picture.convert("L")
    is_empty = [grey.crop((0, y, grey.width, y + 1)).getextrema()[0] == 255
                for y in range(grey.height)]  # fmt: skip
    for y in range(grey.height, GAP, -1):
        if all(is_empty[y - GAP : y]):
            while is_empty[y - 1]:
                y -= 1
            return y + GAP
    return grey.height


def main() -> None:
    """Draw all pictures; the demo is run first where it has not been."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        sys.exit("pictures: expected Chromium or Chrome, found none")
    if not REPORT.is_file():
        kyros("demo")
    why = ROOT / "build/why.html"
    words = ("--model", "frequency_boost", "--policy", POLICY, "--html", str(why))
    kyros("explain", "--config", DEMO, "--batch", BATCH, *words)
    draw(browser, REPORT, ROOT / "docs/evaluate.png", 1320, 2740)
    draw(browser, why, ROOT / "docs/explain.png", 1000, 1500)


if __name__ == "__main__":
    main()
