"""Make the images of the documentation site from runs of the cookbook: ``python scripts/site_images.py``.

Needs the extras ``quickstart`` and ``plot``. Private servers are started; nothing is downloaded.
"""

from __future__ import annotations

import html
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
COOKBOOK = ROOT / "cookbook"
LINES = 40


def output(program: str, *arguments: str) -> str:
    """Run a program of the cookbook, and return what it printed."""
    command = [sys.executable, str(COOKBOOK / program), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return ended.stdout


def terminal(text: str, title: str) -> str:
    """Draw text as an SVG image of a terminal."""
    lines = text.rstrip().splitlines()[:LINES]
    width, height = 12 + round(7.85 * max(map(len, lines))), 50 + 18 * len(lines)
    rows = "\n".join(
        f'<text x="14" y="{52 + 18 * number}" xml:space="preserve">{html.escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'font-family="ui-monospace, monospace" font-size="13" fill="#d6deeb">\n'
        f"<title>{html.escape(title)}</title>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="#011627"/>\n'
        f'<text x="14" y="24" fill="#7fdbca">$ {html.escape(title)}</text>\n{rows}\n</svg>\n'
    )


def calibration_plot(path: Path) -> None:
    """Plot precision and hit rate of a semantic cache by threshold, on the questions of the cookbook."""
    sys.path.insert(0, str(COOKBOOK))
    import matplotlib as mpl

    mpl.use("Agg")
    import semantic_cache
    from matplotlib import pyplot as plt

    from valkey_vector.cache import SemanticCache

    questions = semantic_cache.QUESTIONS
    texts = [passage.page_content for passage in semantic_cache.passages()]
    lsa = semantic_cache.LsaEmbeddings([*texts, *(text for line in questions for text in line)])
    with SemanticCache(lsa.embed_query, name="site_images", url="embedded://") as cache:
        found = cache.calibrate(semantic_cache.labeled(questions), precision=0.95)
    thresholds = [row.threshold for row in found.table]
    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    axes.plot(thresholds, [row.precision for row in found.table], marker="o", label="precision")
    axes.plot(thresholds, [row.hit_rate for row in found.table], marker="s", label="hit rate")
    axes.axvline(found.threshold, linestyle=":", color="gray", label="proposed threshold")
    axes.set(xlabel="threshold (cosine similarity)", ylabel="share of pairs", ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """Make every image."""
    (IMAGES / "quickstart.svg").write_text(
        terminal(output("quickstart.py"), "./quickstart"), encoding="utf-8"
    )
    output("hybrid_search.py", "--plot", str(IMAGES / "hybrid-recall.png"))
    calibration_plot(IMAGES / "calibration.png")


if __name__ == "__main__":
    main()
