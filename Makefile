# Short names for what CONTRIBUTING.md describes. Everything works without make.
GO ?= go

.PHONY: build test race lint cross engines clients bench bench-library soak ci cover

build:
	$(GO) build -o bin/ ./cmd/tidings

test:
	$(GO) test ./...

race:
	$(GO) test -race ./...

lint:
	test -z "$$(git ls-files '*.go' | xargs gofmt -l)"
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

cross:
	for t in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64; do \
		GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0 $(GO) build ./... || exit 1; done

engines:
	bash .ci/engines

clients:
	cd tests/clients && $(GO) test -count=1 -timeout 20m ./...

bench: bench-library
	cd bench && $(GO) run ./kafka
	cd bench && $(GO) run ./amqp
	cd bench && $(GO) run ./sqs

# The library beside Watermill: under eight minutes.
bench-library:
	cd bench && $(GO) run ./library

# The long runs; docs/soak.md keeps their results.
SEEDS ?= 1000000
soak:
	GOGC=800 $(GO) test ./storage -count=1 -timeout 0 -run EveryCrash -sim.seeds=$(SEEDS)
	$(GO) test ./transport/kafka -count=1 -timeout 0 -run WhateverHappens -kafka.histories=200
	$(GO) test ./store/embedded -count=1 -timeout 0 -run EveryCrash -crash.seeds=5000
	cd tests/clients && $(GO) test ./crash -count=1 -timeout 0 -v -run SIGKILL -kills=200
	cd tests/clients && $(GO) test ./amqp -count=1 -timeout 0 -v -run SIGKILL -kills=200
	cd tests/clients && $(GO) test ./aws -count=1 -timeout 0 -v -run SIGKILL -kills=200
	cd tests/clients && $(GO) test ./guarantees -count=1 -timeout 0 -v -parallel 4 -kills=100
	cd tests/clients && $(GO) test ./soak -count=1 -timeout 0 -v -records=10000000 -strict

ci:
	bash .ci/run

cover:
	$(GO) test -coverprofile=cover.out ./... && $(GO) tool cover -func=cover.out | tail -1
