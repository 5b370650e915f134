# What a developer needs; `make` alone lists it. Everything runs with Go and a
# shell; what else a target needs it installs itself, and says so.

GO ?= go
FUZZTIME ?= 5s

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/headrace
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/headrace ./cmd/headrace

.PHONY: run
run: build ## start the demo: gateway, admin and simulated systems in one process
	./bin/headrace demo

.PHONY: test
test: ## run all tests, also those against a real ERP (installs postgresql)
	sh .ci/install postgresql
	$(GO) test ./...
	$(MAKE) e2e-tryton

.PHONY: check
check: ## formatting, vet, staticcheck, go.mod, race tests, short fuzzing
	sh .ci/check $(FUZZTIME)

.PHONY: bench
bench: build ## measure the request path beside a bare reverse proxy
	$(GO) build -o bin/bench ./cmd/bench
	./bin/bench -headrace ./bin/headrace

KILLS ?= 200

.PHONY: torture
torture: build ## kill gateways while writes go through them, and compare promises with effects (KILLS=20 for a short run; installs postgresql)
	sh .ci/install pg_ctlcluster=postgresql
	$(GO) build -o bin/torture ./cmd/torture
	./bin/torture -headrace ./bin/headrace -kills $(KILLS)

.PHONY: bench-buffer
bench-buffer: build ## measure the ledger beside bare insert loops, and writes held by the million (installs postgresql)
	sh .ci/install pg_ctlcluster=postgresql
	$(GO) build -o bin/bench ./cmd/bench
	./bin/bench buffer -headrace ./bin/headrace

.PHONY: e2e-tryton
e2e-tryton: build ## drive a real Tryton server through Headrace (installs Debian's packages)
	sh deploy/tryton/e2e.sh
