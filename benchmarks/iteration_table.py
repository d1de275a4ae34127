"""The iteration benchmark's result as text: medians, and ratios to the peers."""

from statistics import median

from benchmarks.iteration_data import ROWS

PEERS, OURS = ("previous", "pandas", "pyspark"), ("kyros", "session")
BOTH = "years 0-4"


def medians(records):
    """Return the median of each step's numbers: {(times, side, step): {seconds, ...}}."""
    cells = {}
    for record in records:
        cells.setdefault((record["times"], record["side"], record["step"]), []).append(record)
    made = {}
    for key, each in cells.items():
        if any("cannot" in record for record in each):
            made[key] = next(record for record in each if "cannot" in record)
            continue
        numbers = {}
        for name in ("seconds", "processor", "mib"):
            values = [record[name] for record in each if record[name] is not None]
            numbers[name] = median(values) if values else None
        made[key] = numbers
    return made | _sums(made)


def _sums(cells):
    """Return year 0 and years 1 to 4 together, where both are known."""
    made = {}
    for (times, side, step), first in cells.items():
        second = cells.get((times, side, "years 1-4"), {})
        if step == "year 0" and "seconds" in first and "seconds" in second:
            made[times, side, BOTH] = {
                "seconds": first["seconds"] + second["seconds"],
                "processor": first["processor"] + second["processor"],
                "mib": max(first["mib"], second["mib"]),
            }
    return made


def table(result):
    """Return a table a size, with the ratios below."""
    cells = medians(result["records"])
    lines = []
    for times in sorted({key[0] for key in cells}):
        steps = dict.fromkeys(step for size, _, step in cells if size == times)
        lines += ["", f"pg17 x {times}: {times * ROWS:,} policies a year; "
                  "seconds (processor seconds; MiB at most)",
                  f"{'':14}" + "".join(f"{side:>25}" for side in (*OURS, *PEERS))]  # fmt: skip
        for step in steps:
            told = (_cell(cells.get((times, side, step))) for side in (*OURS, *PEERS))
            lines.append(f"{step:14}" + "".join(f"{text:>25}" for text in told))
        lines += [_ratio(cells, times, ours, peer, step)
                  for ours in OURS for peer in PEERS for step in steps]  # fmt: skip
    lines += [f"absent: {name}" for name in result["absent"]]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    lines += ["", f"{versions}; previous is {result['previous']}; {result['machine']['cpu']}, "
              f"{result['machine']['cores']} cores"]  # fmt: skip
    return "\n".join(line for line in lines if line is not None)


def _cell(numbers):
    if numbers is None:
        return "-"
    if "cannot" in numbers:
        return "out of memory"
    spent = "" if numbers["processor"] is None else f"{numbers['processor']:.0f}; "
    return f"{numbers['seconds']:.1f} ({spent}{numbers['mib']:,.0f})"


def _ratio(cells, times, ours, peer, step):
    mine, theirs = cells.get((times, ours, step), {}), cells.get((times, peer, step), {})
    if "seconds" not in mine or "seconds" not in theirs:
        return None
    text = f"  {ours} / {peer}, {step}: {mine['seconds'] / theirs['seconds']:.2f} x"
    if mine["processor"] is not None and theirs["processor"] is not None:
        text += f" ({mine['processor'] / theirs['processor']:.2f} x of processor seconds)"
    return text
