# What a developer needs; `make` alone lists it. Everything runs with Go and a
# shell; what else a target needs it installs itself, and says so.

GO ?= go
FUZZTIME ?= 5s
ROUNDS ?= 20

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/headrace
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/headrace ./cmd/headrace

.PHONY: run
run: build ## start the demo: gateway, admin and simulated systems in one process
	./bin/headrace demo

.PHONY: test
test: ## run all tests, also those against real Redis, Postgres and a real ERP
	sh .ci/install postgresql
	sh .ci/install redis-server redis-sentinel redis-cli=redis-tools
	$(GO) test -timeout 20m ./...
	$(MAKE) e2e-tryton BEGIN=3m

.PHONY: chaos
chaos: ## lose Redis, replicas and networks by chance, and let a judge count (ROUNDS=20)
	sh .ci/install redis-server redis-sentinel redis-cli=redis-tools
	$(GO) test -count=1 -run 'TestChaos' ./gateway/counter -chaos $(ROUNDS) -timeout 30m

.PHONY: check
check: ## formatting, vet, staticcheck, go.mod, race tests, short fuzzing
	sh .ci/check $(FUZZTIME)

.PHONY: bench
bench: build ## measure the request path beside a bare reverse proxy, and decisions of limits in memory and on Redis
	sh .ci/install redis-server redis-sentinel redis-cli=redis-tools
	$(GO) build -o bin/bench ./cmd/bench
	./bin/bench decisions
	./bin/bench -headrace ./bin/headrace

.PHONY: bench-budget
bench-budget: build ## overload every profile's simulator through two gateways that share Redis (installs redis-server)
	sh .ci/install redis-server redis-cli=redis-tools
	$(GO) build -o bin/bench ./cmd/bench
	./bin/bench budget -headrace ./bin/headrace

KILLS ?= 200
COUNTERS ?= memory

.PHONY: torture
torture: build ## kill gateways while writes go through them, and compare promises with effects (KILLS=20 for a short run, COUNTERS=redis; installs postgresql)
	sh .ci/install pg_ctlcluster=postgresql $(if $(filter redis,$(COUNTERS)),redis-server)
	$(GO) build -o bin/torture ./cmd/torture
	./bin/torture -headrace ./bin/headrace -kills $(KILLS) -counters $(COUNTERS)

.PHONY: bench-buffer
bench-buffer: build ## measure the ledger beside bare insert loops, and writes held by the million (installs postgresql)
	sh .ci/install pg_ctlcluster=postgresql
	$(GO) build -o bin/bench ./cmd/bench
	./bin/bench buffer -headrace ./bin/headrace

.PHONY: bench-publish
bench-publish: build ## publish to three gateways on one Postgres under traffic: tables, memory, p99, revocation (installs postgresql)
	sh .ci/install pg_ctlcluster=postgresql
	$(GO) build -o bin/bench ./cmd/bench
	./bin/bench publish -headrace ./bin/headrace

.PHONY: e2e-portal
e2e-portal: ## walk the developer portal with a real browser, axe on every page, pictures into out/portal (installs chromium, npm)
	sh deploy/portal/e2e.sh

BEGIN ?= 15m

.PHONY: e2e-tryton
e2e-tryton: build ## drive a real Tryton server through Headrace (BEGIN=3m for fewer sales; installs Debian's packages)
	sh deploy/tryton/e2e.sh -begin $(BEGIN)
