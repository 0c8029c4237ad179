package dns

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Config is the configuration of the dns extension.
type Config struct {
	// Endpoints are the addresses to answer at, each by UDP and TCP. One without a host is every address of this machine; each answer comes
	// from the address that was asked.
	Endpoints []string `mapstructure:"endpoint"`

	// Zones are the zones that are delegated to this gateway, by name.
	Zones map[string]ZoneConfig `mapstructure:"zones"`

	// RateLimit bounds what is sent by UDP.
	RateLimit RateLimit `mapstructure:"rate_limit"`
}

// ZoneConfig is one delegated zone.
type ZoneConfig struct {
	// NS are the zone's name servers, by full name, with their addresses. One outside of the zone has none here.
	NS map[string]Addresses `mapstructure:"ns"`

	// Names are the names in the zone, relative to it (api) or full; @ is the zone itself.
	Names map[string]NameConfig `mapstructure:"names"`

	// TTL of the zone's SOA and NS records and of the name servers' addresses. 0: 1h.
	TTL time.Duration `mapstructure:"ttl"`

	// NegativeTTL is how long resolvers remember that there is nothing. 0: 5s.
	NegativeTTL time.Duration `mapstructure:"negative_ttl"`
}

// NameConfig is one name and where it leads to.
type NameConfig struct {
	// TTL of the addresses. 0: 5s.
	TTL time.Duration `mapstructure:"ttl"`

	// Answer is one (an address per answer, by weight; the default) or all (those of all IDCs while their weights are equal).
	Answer string `mapstructure:"answer"`

	// IDCs are the addresses, IPv4 and IPv6, by IDC.
	IDCs map[string]Addresses `mapstructure:"idcs"`
}

// RateLimit bounds what is sent by UDP to one network (IPv4 /24, IPv6 /56) in a second. TCP has no forged senders.
type RateLimit struct {
	// AnswersPerSecond is for records and the lack of them, as long as they are no more than three times as long as their query. 0: any number.
	AnswersPerSecond int `mapstructure:"answers_per_second"`

	// OthersPerSecond is for each kind of all others: names that do not exist, errors, long answers. 0: any number.
	OthersPerSecond int `mapstructure:"others_per_second"`

	// Slip has every so many of the answers over the limit replaced by one that tells to ask by TCP, which honest resolvers do. 0: none.
	Slip int `mapstructure:"slip"`
}

func createDefaultConfig() *Config {
	return &Config{Endpoints: []string{"localhost:8053"}, RateLimit: RateLimit{OthersPerSecond: 200, Slip: 2}}
}

// What a name answers.
const (
	answerOne = "one"
	answerAll = "all"
)

const (
	defaultZoneTTL     = time.Hour
	defaultNegativeTTL = 5 * time.Second
	defaultNameTTL     = 5 * time.Second
)

// Validate reports all mistakes at once.
func (c *Config) Validate() error {
	errs := []error{c.RateLimit.validate()}
	if len(c.Endpoints) == 0 {
		errs = append(errs, errors.New("endpoint: missing: such as localhost:8053"))
	}
	for _, endpoint := range c.Endpoints {
		errs = append(errs, checkEndpoint(endpoint))
	}
	for _, origin := range slices.Sorted(maps.Keys(c.Zones)) {
		for _, name := range slices.Sorted(maps.Keys(c.Zones[origin].Names)) {
			if answer := c.Zones[origin].Names[name].Answer; answer != "" && answer != answerOne && answer != answerAll {
				errs = append(errs, fmt.Errorf("zones::%s::names::%s::answer: must be %s or %s, is %q", origin, name, answerOne, answerAll, answer))
			}
		}
	}
	return errors.Join(append(errs, check(c.zones()))...)
}

func checkEndpoint(endpoint string) error {
	_, port, err := net.SplitHostPort(endpoint)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("endpoint: %q: must be like localhost:8053 or [::1]:53", endpoint)
	}
	return nil
}

func (r RateLimit) validate() error {
	var errs []error
	within := func(key string, n, highest int) {
		if n < 0 || n > highest {
			errs = append(errs, fmt.Errorf("rate_limit::%s: must be 0 (none) to %d, is %d", key, highest, n))
		}
	}
	within("answers_per_second", r.AnswersPerSecond, 1_000_000)
	within("others_per_second", r.OthersPerSecond, 1_000_000)
	within("slip", r.Slip, 10)
	return errors.Join(errs...)
}

// zones are the zones of the configuration, by name, with the defaults.
func (c *Config) zones() (zones []Zone) {
	for _, origin := range slices.Sorted(maps.Keys(c.Zones)) {
		from := c.Zones[origin]
		zone := Zone{
			Origin: origin, NS: map[string][]netip.Addr{}, Names: map[string]Name{},
			TTL: cmp.Or(from.TTL, defaultZoneTTL), NegativeTTL: cmp.Or(from.NegativeTTL, defaultNegativeTTL),
		}
		for server, addresses := range from.NS {
			zone.NS[server] = addresses
		}
		for name, from := range from.Names {
			idcs := map[string][]netip.Addr{}
			for idc, addresses := range from.IDCs {
				idcs[idc] = addresses
			}
			zone.Names[name] = Name{TTL: cmp.Or(from.TTL, defaultNameTTL), All: from.Answer == answerAll, IDCs: idcs}
		}
		zones = append(zones, zone)
	}
	return zones
}

// Addresses are IPv4 and IPv6 addresses: a list, or one by itself.
type Addresses []netip.Addr

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Addresses) UnmarshalText(text []byte) error {
	address, err := netip.ParseAddr(string(text))
	*a = Addresses{address}
	return err
}
