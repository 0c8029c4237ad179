package sdktest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/lockkeeper/lockkeeper/sdk"
	"github.com/lockkeeper/lockkeeper/sdk/sdktest"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	sdktest.Address(t, served(t), nil, map[string]any{"channel": "#ops"})
}

func TestAddressWithTLS(t *testing.T) {
	t.Parallel()
	certificate, roots := certified(t)
	address := served(t, grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
	sdktest.Address(t, address, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, map[string]any{"channel": "#ops"})

	// without TLS, and with roots that don't know it
	for _, config := range []*tls.Config{nil, {RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}} {
		err := sdktest.Check(t.Context(), sdktest.Target{Address: address, TLS: config}, func(sdktest.Result) { t.Error("a check was made") })
		if err == nil || !strings.Contains(err.Error(), address) {
			t.Errorf("%v", err)
		}
	}
}

// A server that is in use can be checked, too, with the settings that it has.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	address := served(t)
	f := func(channel string, want error, skipped, failed string) {
		t.Helper()
		var skips, fails []string
		err := sdktest.Check(t.Context(), sdktest.Target{Address: address, Config: map[string]any{"channel": channel}}, func(r sdktest.Result) {
			if r.Skipped != "" {
				skips = append(skips, r.Name)
			}
			if r.Err != nil {
				t.Log(r.Err)
				fails = append(fails, r.Name)
			}
		})
		if !errors.Is(err, want) || strings.Join(skips, ", ") != skipped || strings.Join(fails, ", ") != failed {
			t.Errorf("%v, skipped %v, failed %v", err, skips, fails)
		}
	}
	f("#ops", nil, "handshake, Stop, killed in mid-call, ends on SIGTERM, ends with its host, run by hand", "")
	f("#ops", nil, "handshake, before Configure, wrong configuration, Stop, killed in mid-call, ends on SIGTERM, ends with its host, run by hand", "")
	f("#other", sdktest.ErrFailed, "handshake, before Configure, wrong configuration", "Configure")
}

// served is a notification plugin at an address.
func served(t *testing.T, options ...grpc.ServerOption) (address string) {
	t.Helper()
	server := grpc.NewServer(append(sdk.ServerOptions(), options...)...)
	stop := sdk.RegisterNotification(server, func(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
		return &sdk.Notification{Notify: func(context.Context, *sdk.Group) error { return nil }}, c.Decode(&struct {
			Channel string `yaml:"channel"`
		}{})
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// certified is a certificate for 127.0.0.1 and the roots that know it.
func certified(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
