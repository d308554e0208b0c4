# One place for every chore. Needs make and Python 3.11 or newer; neither Redis nor Docker.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements-dev.lock
PURE := crawler.parse crawler.policy crawler.url crawler.record crawler.settings

.DEFAULT_GOAL := help
.PHONY: help dev compiled demo test test-slow test-all coverage lint docs chaos bench bench-frontier bench-wide bench-export bench-bucket bench-content bench-memory targets check-real bench-cluster check-skim bench-hostile bench-schedule bench-similarity bench-documents bench-language bench-rules bench-places bench-import bench-visits bench-unchanged bench-hosts bench-sweep bench-states bench-check-graph bench-check lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dev: $(VENV)/.dev ## make .venv with the crawler and all tools (quick the second time)

# Where PYTHONDONTWRITEBYTECODE is set, each command would compile the crawler anew.
compiled: $(VENV)/.dev ## compile the crawler to bytecode (the others do it by themselves)
	@$(BIN)/python -m compileall -q crawler

demo: $(VENV)/.run ## crawl a small site that the crawler serves by itself: works offline
	@$(BIN)/python -m compileall -q crawler
	$(BIN)/crawler demo

test: lint compiled ## lint, then the tests that a developer waits for (three minutes)
	$(BIN)/python -m pytest -m "not slow"

test-slow: compiled ## the long ones: stories, faults, properties (a quarter of an hour)
	$(BIN)/python -m pytest -m slow

test-all: test test-slow ## every test, the quick ones and the long ones

coverage: $(VENV)/.dev ## the coverage of the pure modules by their own tests
	$(BIN)/python -m pytest tests/parse tests/policy tests/test_*.py $(PURE:%=--cov=%) --cov-report=term

lint: $(VENV)/.dev ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.dev ## write the tables of docs/ that come from the code anew
	$(BIN)/python -m tools.docs

chaos: compiled ## kill workers, pools and Redis under a crawl, then prove that nothing is lost (ARGS="--minutes 10 --seed 7")
	$(BIN)/python -m tests.chaos $(ARGS)

bench: compiled ## measure the crawler beside its peers, a quarter of an hour (ARGS=--help; needs nginx)
	$(BIN)/python -m benchmarks.peers $(ARGS)

bench-frontier: compiled ## measure Redis alone up to 10 million URLs: rates of a core, bytes a URL
	$(BIN)/python -m benchmarks.frontier $(ARGS)

bench-wide: compiled ## measure leases at 100,000 hosts, and 200 workers that wait or ask at once
	$(BIN)/python -m benchmarks.wide $(ARGS)

bench-export: compiled ## measure the export of real records in each form (needs nginx)
	$(BIN)/python -m benchmarks.export $(ARGS)

bench-bucket: compiled ## measure the export into a bucket of a server on this machine (needs nginx)
	$(BIN)/python -m benchmarks.export_s3 $(ARGS)

bench-content: compiled ## measure text, main content and Markdown: quality, CPU, bytes (ARGS="--pages FILE"; needs nginx)
	$(BIN)/python -m benchmarks.content $(ARGS)

bench-memory: compiled ## look whether a worker grows over 200,000 pages (needs nginx)
	$(BIN)/python -m benchmarks.memory $(ARGS)

targets: $(VENV)/.dev ## hold the latest results of all benchmarks against what is to be reached
	$(BIN)/python -m benchmarks.targets

check-real: compiled ## crawl real sites in every setting, each must find what an independent walk finds (needs nginx)
	$(BIN)/python -m benchmarks.real $(ARGS)

bench-cluster: compiled ## crawl over a Redis Cluster: the same result, also when a node dies; evenly spread (needs nginx)
	$(BIN)/python -m benchmarks.cluster $(ARGS)

check-skim: $(VENV)/.dev ## read real pages and damaged ones whole and skimmed, no link may be lost (ARGS="--times 50 --seed 7")
	$(BIN)/python -m benchmarks.skim $(ARGS)

bench-hostile: compiled ## measure good hosts beside hostile ones of all kinds
	$(BIN)/python -m benchmarks.hostile $(ARGS)

bench-schedule: $(VENV)/.dev ## simulate a year of visits: freshness and requests of the schedule beside others
	$(BIN)/python -m benchmarks.schedule $(ARGS)

bench-similarity: $(VENV)/.dev ## measure how near duplicates are found, on real pages that are changed, and what that costs
	$(BIN)/python -m benchmarks.similarity $(ARGS)

bench-documents: compiled ## read and crawl 200 PDF and DOCX files, half of them damaged (needs nginx)
	$(BIN)/python -m benchmarks.documents $(ARGS)

bench-language: compiled ## score how often the language of a text is found
	$(BIN)/python -m benchmarks.language $(ARGS)

bench-rules: $(VENV)/.dev ## measure rules and structured data: milliseconds a page
	$(BIN)/python -m benchmarks.rules $(ARGS)

bench-places: $(VENV)/.dev ## measure the places of a page, and hold their lines against html.parser
	$(BIN)/python -m benchmarks.places $(ARGS)

bench-import: $(VENV)/.dev ## measure the import of a crawl of scrapy-redis, and what it costs workers
	$(BIN)/python -m benchmarks.imports $(ARGS)

bench-visits: compiled ## crawl sites that change twice: each change must be reported once; what the second visit costs
	$(BIN)/python -m benchmarks.visits $(ARGS)

bench-unchanged: compiled ## measure a second visit to a site that has not changed, beside Scrapy's HTTP cache (needs nginx)
	$(BIN)/python -m benchmarks.unchanged $(ARGS)

bench-hosts: compiled ## measure 300 fast hosts with and without a slow one beside them
	$(BIN)/python -m benchmarks.hosts $(ARGS)

bench-sweep: compiled ## measure the sweep of a recrawl over a million URLs, and a crawl beside it
	$(BIN)/python -m benchmarks.sweep $(ARGS)

bench-states: compiled ## measure what stays of a URL that has ended, in bytes of Redis
	$(BIN)/python -m benchmarks.states $(ARGS)

bench-check-graph: compiled ## measure the link graph of a check: bytes of Redis a link, time and memory of the report
	$(BIN)/python -m benchmarks.check_graph $(ARGS)

bench-check: compiled ## check three documentations beside LinkChecker and linkinator: findings one by one, time, memory (needs nginx, npm)
	$(BIN)/python -m benchmarks.check $(ARGS)

lock: $(BIN)/pip ## write requirements-dev.lock anew, with today's versions
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --upgrade setuptools '.[dev]'
	{ echo "# Every version that make dev installs. Made by make lock; for Python 3.11 to 3.13."; \
	  build/lock/bin/pip freeze --all --exclude crawler --exclude pip; } > build/lock.txt
	mv build/lock.txt $(LOCK) && rm -rf build/lock

clean: ## remove .venv, caches and what builds leave (the data in .crawler stay)
	rm -rf $(VENV) build dist .coverage htmlcov .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find crawler tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps say what .venv holds: .run the crawler, .dev the tools as well. They are older than what they depend on
# exactly when something has to be installed.
$(VENV)/.dev: $(BIN)/pip pyproject.toml $(LOCK)
	$(BIN)/pip install --quiet --constraint $(LOCK) --editable '.[dev]'
	@touch $(VENV)/.run $@

$(VENV)/.run: $(BIN)/pip pyproject.toml $(LOCK)
	$(BIN)/pip install --quiet --constraint $(LOCK) --editable .
	@touch $@

# pip is the last thing that venv puts there, so an interrupted venv is made again.
$(BIN)/pip:
	@command -v $(PYTHON) > /dev/null || { echo "make: $(PYTHON) is not there: name another, make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: the crawler needs Python 3.11 or newer, $(PYTHON) is older: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || \
	  { echo "make: $(PYTHON) cannot make a venv with pip: install its venv package (Debian: apt install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch -d '2000-01-01' $@ 2> /dev/null || touch -t 200001010000 $@
