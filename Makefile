# The README's commands. Everything works on a fresh machine with Go; what else
# is needed is installed on Debian, and named elsewhere.

GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: build test race fuzz lint vuln bench image

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$$(git describe --always --dirty 2>/dev/null || echo dev)" -o bin/riptide-proxy ./cmd/riptide-proxy

# All tests, against a real redis-server (another one: REDIS_SERVER=path).
test:
	./scripts/need redis-server redis-cli redis-benchmark node npm prometheus promtool
	$(GO) vet ./...
	$(GO) test -timeout 18m ./...

# With the race detector: the packages' own tests, and end to end those that
# load a proxy built with it, on two event loops; the longest of both with fewer
# steps. Needs a C compiler.
race:
	./scripts/need redis-server redis-cli redis-benchmark
	$(GO) test -race -short -timeout 14m $$($(GO) list ./... | grep -v -e /tests -e /bench)
	RIPTIDE_TEST_RACE=1 RIPTIDE_TEST_LOOPS=2 RIPTIDE_DIFF_STEPS=800 \
		$(GO) test -timeout 14m -run 'Tenants|Differential|Failure|Clients|Stateful|Pool|Shared' ./tests

# Every fuzz target for FUZZTIME.
FUZZTIME ?= 30s
fuzz:
	./scripts/fuzz $(FUZZTIME)

lint:
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "gofmt would change: $$files"; exit 1; fi
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./netloop ./upstream ./proxy ./admin ./cmd/...
	GOOS=darwin CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/riptide-proxy
	$(GO) run $(STATICCHECK) ./...

# Known vulnerabilities in what is linked. Needs the vulnerability database.
vuln:
	$(GO) run $(GOVULNCHECK) ./...

# Side by side with other proxies; see docs/performance.md.
bench:
	./scripts/need redis-server redis-cli redis-benchmark nutcracker haproxy
	$(GO) run ./bench

image:
	docker build -t riptide-proxy .
