package probes

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// TLSConfig is how a module speaks TLS, in blackbox_exporter's words. Files are read when the receiver starts.
type TLSConfig struct {
	CAFile             string `mapstructure:"ca_file"` // empty: what this machine trusts
	CertFile           string `mapstructure:"cert_file"`
	KeyFile            string `mapstructure:"key_file"`
	ServerName         string `mapstructure:"server_name"` // empty: the target's host
	InsecureSkipVerify bool   `mapstructure:"insecure_skip_verify"`
	MinVersion         string `mapstructure:"min_version"` // TLS12 or TLS13
	MaxVersion         string `mapstructure:"max_version"`
}

// Validate reports all mistakes but those in the files.
func (c TLSConfig) Validate() error {
	var errs []error
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, errors.New("cert_file: goes with key_file: set both or none"))
	}
	for key, version := range map[string]string{"min_version": c.MinVersion, "max_version": c.MaxVersion} {
		if _, ok := tlsVersions()[version]; !ok {
			errs = append(errs, fmt.Errorf("%s: %q is none of %s", key, version, strings.Join(slices.Sorted(maps.Keys(tlsVersions()))[1:], ", ")))
		}
	}
	return errors.Join(errs...)
}

func tlsVersions() map[string]uint16 {
	return map[string]uint16{"": 0, "TLS10": tls.VersionTLS10, "TLS11": tls.VersionTLS11, "TLS12": tls.VersionTLS12, "TLS13": tls.VersionTLS13}
}

// open reads the files.
func (c TLSConfig) open() (*tls.Config, error) {
	versions := tlsVersions()
	config := &tls.Config{
		ServerName: c.ServerName, InsecureSkipVerify: c.InsecureSkipVerify, MinVersion: versions[c.MinVersion], MaxVersion: versions[c.MaxVersion],
	}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls_config: ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls_config: ca_file: %s has no certificate in PEM", c.CAFile)
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("tls_config: cert_file: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// tlsFor returns the configuration of one connection. The attempt gets to know the certificates also if they are not good.
func (a *attempt) tlsFor(base *tls.Config, host string, protocols ...string) *tls.Config {
	config := base.Clone()
	config.NextProtos = protocols
	if config.ServerName == "" {
		config.ServerName = host
	}
	config.InsecureSkipVerify = true // VerifyConnection does it
	config.VerifyConnection = func(state tls.ConnectionState) (err error) {
		if !base.InsecureSkipVerify {
			state.VerifiedChains, err = verify(&state, base.RootCAs, config.ServerName)
		}
		a.secured(&state)
		a.hide(err)
		return err
	}
	return config
}

// verify does what crypto/tls does by itself.
func verify(state *tls.ConnectionState, roots *x509.CertPool, name string) ([][]*x509.Certificate, error) {
	options := x509.VerifyOptions{Roots: roots, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, c := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	chains, err := state.PeerCertificates[0].Verify(options)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return chains, nil
}

// certificates are the values of a TLS connection; none without it.
func certificates(state *tls.ConnectionState) []Value {
	if state == nil || len(state.PeerCertificates) == 0 {
		return nil
	}
	values := []Value{
		{Name: "probe_ssl_earliest_cert_expiry", Number: seconds(earliest(state.PeerCertificates))},
		{Name: "probe_tls_version_info", Label: "version", Is: tls.VersionName(state.Version), Number: 1},
	}
	var last time.Time
	for _, chain := range state.VerifiedChains {
		if end := earliest(chain); end.After(last) {
			last = end
		}
	}
	if !last.IsZero() {
		values = append(values, Value{Name: "probe_ssl_last_chain_expiry_timestamp_seconds", Number: seconds(last)})
	}
	return values
}

func earliest(chain []*x509.Certificate) time.Time {
	return slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }).NotAfter
}

func seconds(t time.Time) float64 { return float64(t.Unix()) }
