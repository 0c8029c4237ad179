package main

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func TestSnippetIstioIsInDeploy(t *testing.T) {
	f := func(file string, args ...string) {
		t.Helper()
		code, got, stderr := call(t, append([]string{"snippet", "istio"}, args...)...)
		if code != 0 {
			t.Fatal(stderr)
		}
		file = filepath.Join("../deploy/istio", file)
		if *update {
			rewrite(t, file, got)
		}
		if diff := cmp.Diff(readFile(t, file), got); diff != "" {
			t.Errorf("%s is not what the command prints (go test ./gateway -run Snippet -update writes it):\n%s", file, diff)
		}
		istioParts(t, got)
	}
	f("service.yaml")
	f("external.yaml", "--address", "192.0.2.10:9001", "--idc", "idc1", "--upstream-log")
}

// The fields that the snippet uses, by the names that Istio's API has (mesh/v1alpha1, telemetry/v1, networking/v1, v1alpha3).
type (
	meshConfig struct {
		MeshConfig struct {
			ExtensionProviders []struct {
				Name         string
				EnvoyHTTPALS *struct {
					Service                         string
					Port                            uint32
					FilterStateObjectsToLog         []string `yaml:"filterStateObjectsToLog"`
					AdditionalRequestHeadersToLog   []string `yaml:"additionalRequestHeadersToLog"`
					AdditionalResponseHeadersToLog  []string `yaml:"additionalResponseHeadersToLog"`
					AdditionalResponseTrailersToLog []string `yaml:"additionalResponseTrailersToLog"`
				} `yaml:"envoyHttpAls"`
				EnvoyTCPALS *struct {
					Service                 string
					Port                    uint32
					FilterStateObjectsToLog []string `yaml:"filterStateObjectsToLog"`
				} `yaml:"envoyTcpAls"`
			} `yaml:"extensionProviders"`
			DefaultConfig struct {
				EnvoyMetricsService struct{ Address string } `yaml:"envoyMetricsService"`
				ProxyStatsMatcher   struct {
					InclusionPrefixes []string `yaml:"inclusionPrefixes"`
					InclusionRegexps  []string `yaml:"inclusionRegexps"`
				} `yaml:"proxyStatsMatcher"`
				ProxyMetadata map[string]string `yaml:"proxyMetadata"`
			} `yaml:"defaultConfig"`
		} `yaml:"meshConfig"`
	}
	resource struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   struct{ Name, Namespace string }
	}
	telemetry struct {
		resource `yaml:",inline"`
		Spec     struct {
			AccessLogging []struct{ Providers []struct{ Name string } } `yaml:"accessLogging"`
		}
	}
	serviceEntry struct {
		resource `yaml:",inline"`
		Spec     struct {
			Hosts                []string
			Location, Resolution string
			Ports                []struct {
				Number         uint32
				Name, Protocol string
			}
			Endpoints []struct{ Address string }
		}
	}
	envoyFilter struct {
		resource `yaml:",inline"`
		Spec     struct {
			ConfigPatches []struct {
				ApplyTo string `yaml:"applyTo"`
				Match   struct {
					Context  string
					Listener struct {
						FilterChain struct {
							Filter struct {
								Name      string
								SubFilter struct{ Name string } `yaml:"subFilter"`
							}
						} `yaml:"filterChain"`
					}
				}
				Patch struct {
					Operation string
					Value     struct {
						Name        string
						TypedConfig any `yaml:"typed_config"`
					}
				}
			} `yaml:"configPatches"`
		}
	}
)

// istioParts reads a snippet strictly, and holds its parts to one another.
func istioParts(t *testing.T, snippet string) (mesh meshConfig, filter *envoyFilter) {
	t.Helper()
	strictly := func(text string, v any) {
		t.Helper()
		decoder := yaml.NewDecoder(strings.NewReader(text))
		decoder.KnownFields(true)
		if err := decoder.Decode(v); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	var logging telemetry
	var service serviceEntry
	var kinds []string
	for decoder := yaml.NewDecoder(strings.NewReader(snippet)); ; {
		var part yaml.Node
		if err := decoder.Decode(&part); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		var what resource
		text, err := yaml.Marshal(&part)
		if err = errors.Join(err, part.Decode(&what)); err != nil {
			t.Fatal(err)
		}
		switch kinds = append(kinds, what.Kind); what.APIVersion + " " + what.Kind {
		case " ":
			strictly(string(text), &mesh)
		case "telemetry.istio.io/v1 Telemetry":
			strictly(string(text), &logging)
		case "networking.istio.io/v1 ServiceEntry":
			strictly(string(text), &service)
		case "networking.istio.io/v1alpha3 EnvoyFilter":
			filter = new(envoyFilter)
			strictly(string(text), filter)
		default:
			t.Fatalf("%+v", what)
		}
	}
	providers := mesh.MeshConfig.ExtensionProviders
	if len(providers) != 2 || len(logging.Spec.AccessLogging) != 1 || len(logging.Spec.AccessLogging[0].Providers) != 2 {
		t.Fatalf("%v: %+v %+v", kinds, mesh, logging)
	}
	for i, used := range logging.Spec.AccessLogging[0].Providers {
		if used.Name != providers[i].Name {
			t.Errorf("%s is not %s", used.Name, providers[i].Name)
		}
	}
	http, tcp := providers[0].EnvoyHTTPALS, providers[1].EnvoyTCPALS
	if http == nil || tcp == nil || http.Service != tcp.Service || http.Port != tcp.Port {
		t.Errorf("%+v %+v", http, tcp)
	} else if len(service.Spec.Hosts) > 0 && (service.Spec.Hosts[0] != http.Service || service.Spec.Ports[0].Number != http.Port) {
		t.Errorf("%+v", service)
	}
	return mesh, filter
}

func TestSnippetIstioAddress(t *testing.T) {
	f := func(service, resolution, metrics, address string) {
		t.Helper()
		code, got, stderr := call(t, "snippet", "istio", "--address", address)
		if code != 0 {
			t.Fatal(stderr)
		}
		mesh, _ := istioParts(t, got)
		if s := mesh.MeshConfig.ExtensionProviders[0].EnvoyHTTPALS.Service; s != service {
			t.Errorf("%s: service %s", address, s)
		}
		if s := mesh.MeshConfig.DefaultConfig.EnvoyMetricsService.Address; s != metrics {
			t.Errorf("%s: metrics to %s", address, s)
		}
		if strings.Contains(got, "kind: ServiceEntry") != (resolution != "") || !strings.Contains(got, "resolution: "+resolution) && resolution != "" {
			t.Errorf("%s: not resolved by %q\n%s", address, resolution, got)
		}
	}
	f("lk.obs.svc.cluster.local", "", "lk.obs.svc.cluster.local:9001", "lk.obs.svc.cluster.local:9001")
	f("lk.example.com", "DNS", "lk.example.com:9001", "lk.example.com:9001")
	f("lockkeeper.mesh.internal", "STATIC", "192.0.2.10:9001", "192.0.2.10:9001")
	f("lockkeeper.mesh.internal", "STATIC", "[2001:db8::1]:9001", "[2001:db8::1]:9001")

	// A name that YAML would take for something else stays a name.
	_, got, _ := call(t, "snippet", "istio", "--idc", "no")
	if mesh, _ := istioParts(t, got); !strings.Contains(got, `"no"`) || mesh.MeshConfig.DefaultConfig.ProxyMetadata["ISTIO_META_IDC"] != "no" {
		t.Error(got)
	}

	mistake := func(want string, args ...string) {
		t.Helper()
		if code, _, stderr := call(t, append([]string{"snippet", "istio"}, args...)...); code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit %d %s", args, code, stderr)
		}
	}
	mistake("must be HOST:PORT", "--address", "lockkeeper")
	mistake("must be a full name", "--address", "lockkeeper:9001")
	mistake("lacks the cluster's domain", "--address", "lockkeeper.observability.svc:9001")
	mistake("must be a full name", "--address", "a b.example.com:9001")
	mistake("must be letters", "--idc", "a: b")
}
