"""The colours and marks of all charts: Okabe and Ito's, which colour-blind readers tell apart.

A model has the colour and mark of its number among the models of its target, in every chart.
"""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKS = ("o", "s", "^", "D", "v", "P")
INK, FAINT, BAR = "#1b1b1b", "#8a8a8a", "#e3e6ea"
FAINT_TEXT = "#5f6570"  # as the pages have it: lighter grey is too faint to read on white
