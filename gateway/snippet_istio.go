package main

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

//go:embed snippet_istio.yaml.tmpl
var istioTemplate string

// istioSnippet is what the templates of snippet_istio.yaml.tmpl are filled with.
type istioSnippet struct {
	Host, Port     string   // the gateway
	Service        string   // its name in Istio's registry
	MetricsAddress string   // HOST:PORT for the bootstrap, which resolves by DNS
	External, IP   bool     // not a Service of the cluster; not even a name
	IDC            string   // name of the data centre, if the proxies are to be told
	UpstreamLog    bool     // an entry for each try
	Contexts       []string // which proxies log each try
}

func newSnippetIstioCommand() *cobra.Command {
	var address string
	s := istioSnippet{Contexts: []string{"SIDECAR_OUTBOUND", "GATEWAY"}}
	cmd := &cobra.Command{
		Use:   "istio",
		Short: "Print what to put into Istio so that its proxies send their access logs and stats here",
		Example: `  lockkeeper snippet istio --address lockkeeper.observability.svc.cluster.local:9001
  lockkeeper snippet istio --address 10.0.0.7:9001 --idc idc1 --upstream-log`,
		Args: cobra.NoArgs,
		RunE: does(func(cmd *cobra.Command) error {
			err := split("address", address, &s.Host, &s.Port)
			if err == nil {
				err = s.place()
			}
			if s.IDC != "" && !isName(s.IDC) {
				err = errors.Join(err, fmt.Errorf("--idc %q: must be letters, digits, - and _", s.IDC))
			}
			if err != nil {
				return usageError{err}
			}
			return writeSnippet(cmd.OutOrStdout(), istioTemplate, "istio", &s)
		}),
	}
	cmd.Flags().StringVar(&address, "address", "lockkeeper.observability.svc.cluster.local:9001", "`HOST:PORT` at which the proxies reach the gateway: a Service, another DNS name or an IP address")
	cmd.Flags().StringVar(&s.IDC, "idc", "", "`NAME` of this cluster's data centre, where the proxies' locality does not tell it")
	cmd.Flags().BoolVar(&s.UpstreamLog, "upstream-log", false, "log each try, too: names the hosts that retries hide, and costs one more entry for each request")
	return cmd
}

// place finds out how Istio's registry knows the host.
func (s *istioSnippet) place() error {
	s.Service, s.MetricsAddress = s.Host, net.JoinHostPort(s.Host, s.Port)
	if _, err := netip.ParseAddr(s.Host); err == nil {
		s.External, s.IP, s.Service = true, true, "lockkeeper.mesh.internal"
		return nil
	}
	labels := strings.Split(s.Host, ".")
	if len(labels) < 2 || slices.ContainsFunc(labels, func(label string) bool { return !isName(label) }) {
		return fmt.Errorf("--address: host %q must be a full name, such as lockkeeper.observability.svc.cluster.local, or an IP address", s.Host)
	}
	s.External = len(labels) < 3 || labels[2] != "svc"
	if len(labels) == 3 && !s.External {
		return fmt.Errorf("--address: host %q lacks the cluster's domain, such as %s.cluster.local", s.Host, s.Host)
	}
	return nil
}

func isName(text string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$`).MatchString(text)
}
