"""The dashboard shows every metric that there is, and is what Grafana's own schema describes."""

import json
import subprocess
from itertools import combinations

import pytest
from deployment import CONF, ROOT, metrics_in

from kyros_spark.runs.metrics import HELP

DASHBOARD = json.loads((CONF / "grafana/kyros.json").read_text())
PANELS = DASHBOARD["panels"]
CHECKER = ROOT / "build/grafana"
# The schema's types; JSON holds the values of its enums, as texts.
SCHEMA = """
import type { Dashboard } from '@grafana/schema';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as bargauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
type Written<T> = T extends string ? `${T}` : T extends (infer U)[] ? Written<U>[]
  : T extends object ? { [K in keyof T]: Written<T[K]> } : T;
"""


def test_it_shows_every_metric_that_there_is():
    shown = set().union(*(metrics_in(t["expr"]) for panel in PANELS for t in panel["targets"]))
    assert shown == set(HELP)


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_a_panel_says_what_it_shows_and_of_which_portfolio(panel):
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        assert '{portfolio=~"$portfolio"' in target["expr"]


def test_no_panel_lies_on_another_or_beyond_the_edge():
    places = [panel["gridPos"] for panel in PANELS]
    assert all(p["x"] + p["w"] <= 24 for p in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def program():
    """Return a TypeScript program that is correct if the dashboard is of the schema's types."""
    lines = [SCHEMA, f"export const whole: Written<Dashboard> = {json.dumps(DASHBOARD)};"]
    for n, panel in enumerate(PANELS):
        kind = panel["type"]
        values = {
            f"Written<Partial<{kind}.Options>>": panel["options"],
            f"Written<Partial<{kind}.FieldConfig>>": panel["fieldConfig"]["defaults"].get("custom"),
        }
        for m, (type_, value) in enumerate(values.items()):
            if value is not None:
                lines.append(f"export const part{n}_{m}: {type_} = {json.dumps(value)};")
    return "\n".join(lines)


@pytest.mark.grafana
@pytest.mark.parametrize("fault", [None, "gridPos", "lineInterpolation", "reduceOptions"])
def test_it_is_what_grafanas_schema_describes(fault):
    """A key of each part is misspelled in turn, which the schema has to notice."""
    text = program() if fault is None else program().replace(f'"{fault}"', f'"{fault}s"')
    file = CHECKER / "dashboard.ts"
    file.write_text(text)
    options = "--noEmit --strict --skipLibCheck --module esnext --moduleResolution bundler"
    command = [CHECKER / "node_modules/.bin/tsc", *options.split(), "--target", "es2022", file]
    done = subprocess.run(command, cwd=CHECKER, capture_output=True, text=True)
    if fault is None:
        assert done.returncode == 0, done.stdout
    else:
        assert f"{fault}s" in done.stdout
