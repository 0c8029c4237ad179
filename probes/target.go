package probes

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"go.opentelemetry.io/collector/confmap"
)

// leastInterval is the shortest time between two probes of a target.
const leastInterval = 100 * time.Millisecond

// Target is what is probed, and of whom it tells. It is comparable: equal targets are one.
type Target struct {
	// Module is how it is probed: a name of the configuration's modules, or a kind for its defaults.
	Module string `mapstructure:"module"`

	// Target is what the module's kind wants: a URL, host:port, or a host.
	Target string `mapstructure:"target"`

	// Address is where to connect instead of the target's own name: IP:port, or an IP for the target's port. Empty: the name is resolved.
	Address string `mapstructure:"address"`

	// Subject is whom the results tell of, see Evidence. Empty: nobody, there are only metrics.
	Subject string `mapstructure:"subject"`

	// IDC is where the subject is. Empty: told by the subject, or not at all.
	IDC string `mapstructure:"idc"`

	Interval time.Duration `mapstructure:"interval"` // from one probe to the next
}

func defaultTarget() Target { return Target{Interval: time.Second} }

// Unmarshal starts from the defaults.
func (t *Target) Unmarshal(conf *confmap.Conf) error {
	*t = defaultTarget()
	return conf.Unmarshal(t)
}

// Validate reports all mistakes that can be told without the module.
func (t Target) Validate() error {
	var errs []error
	if t.Target == "" {
		errs = append(errs, errors.New("target: missing: a URL, host:port or host, as its module wants it"))
	}
	if t.Interval < leastInterval {
		errs = append(errs, fmt.Errorf("interval: %v is too short: use %v or more", t.Interval, leastInterval))
	}
	if t.Address != "" {
		if _, _, err := splitAddress(t.Address); err != nil {
			errs = append(errs, fmt.Errorf("address: %w", err))
		}
	}
	idc, err := idcOf(t.Subject)
	if err != nil {
		errs = append(errs, fmt.Errorf("subject: %w", err))
	}
	if idc != "" && t.IDC != "" && idc != t.IDC {
		errs = append(errs, fmt.Errorf("idc: %q is not that of subject %q: leave it away", t.IDC, t.Subject))
	}
	return errors.Join(errs...)
}

// splitAddress reads IP:port, or an IP alone; then the port is 0.
func splitAddress(address string) (netip.Addr, uint16, error) {
	if ip, err := netip.ParseAddr(address); err == nil {
		return ip, 0, nil
	}
	both, err := netip.ParseAddrPort(address)
	if err != nil || both.Port() == 0 {
		return netip.Addr{}, 0, fmt.Errorf("%q is neither IP:port nor an IP: it is where to connect, and nothing is resolved", address)
	}
	return both.Addr(), both.Port(), nil
}

// idcOf checks a subject, and returns the IDC that it names, if any.
func idcOf(subject string) (string, error) {
	kind, name, _ := strings.Cut(subject, "/")
	switch kind {
	case "":
		if subject == "" {
			return "", nil
		}
	case "machine", "dns":
		if isName(name) {
			return "", nil
		}
	case "endpoint":
		if both, err := netip.ParseAddrPort(name); err == nil && both.Port() != 0 {
			return "", nil
		}
	case "idc":
		idc, side, _ := strings.Cut(name, "/")
		if isName(idc) && (side == "entry" || side == "mesh") {
			return idc, nil
		}
	}
	return "", fmt.Errorf("%q is none of machine/NAME, endpoint/IP:PORT, idc/NAME/entry, idc/NAME/mesh, dns/NAME, with names of letters, digits and any of . _ -", subject)
}

func isName(s string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.", c) {
			return false
		}
	}
	return s != "" && len(s) <= 253
}

// probe tells the subject's probes apart, and is fit to be shown.
func (t *Target) probe() string {
	return strings.TrimSuffix(t.Module+" "+t.Target+" "+t.Address, " ")
}

// next is the time after the start of a probe within which the next result comes, whatever becomes of it.
func (t *Target) next(timeout time.Duration) time.Duration {
	return t.Interval + timeout + max(t.Interval, time.Second)
}
