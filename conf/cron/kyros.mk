# One month from extract to predictions, for cron on a machine of one's own (see crontab beside it):
#
#   make -f kyros.mk month                 the month that ended last
#   make -f kyros.mk month BATCH=2026-10   any month, again if need be: what is done is skipped
#
# Exit code 1 (a lost disk, a killed process) is tried again, ATTEMPTS times in all. 2, 3 and 4 are
# settings, data and gates: a person has to look.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

KYROS ?= /opt/kyros/bin/kyros
CONFIG ?= /opt/kyros/settings.yaml
# Beside the settings, where nobody else can put a file of this name first.
LOCK ?= $(dir $(CONFIG)).kyros-month.lock
# The day before the first of this month: `last month` alone is wrong on the 31st.
BATCH ?= $(shell date -u -d "$$(date -u +%Y-%m-01) - 1 day" +%Y-%m)
ATTEMPTS ?= 3
PAUSE ?= 300

.PHONY: month
month:  ## Run the chain; a second start waits for the first to end
	@exec 9>"$(LOCK)"; flock 9; \
	for attempt in $$(seq $(ATTEMPTS)); do \
	  code=0; "$(KYROS)" run --config "$(CONFIG)" --batch "$(BATCH)" 9>&- || code=$$?; \
	  if [ $$code -ne 1 ]; then exit $$code; fi; \
	  if [ $$attempt -lt $(ATTEMPTS) ]; then sleep $(PAUSE); fi; \
	done; exit 1
