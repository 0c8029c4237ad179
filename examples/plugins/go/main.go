// Command go is a notification plugin of the Lockkeeper gateway: it POSTs a line of text for each group of alerts to a URL.
// The gateway starts it as a process. With -listen it is a server at an address, which somebody else starts.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/lockkeeper/lockkeeper/sdk"
)

func main() {
	listen := flag.String("listen", "", "be a server at this `host:port`, instead of a process of the gateway")
	var pem tlsFiles
	flag.StringVar(&pem.cert, "tls-cert", "", "`file` with the server's certificate; without it there is no TLS")
	flag.StringVar(&pem.key, "tls-key", "", "`file` with its key")
	flag.StringVar(&pem.clientCA, "client-ca", "", "`file` with who must have signed the gateway's certificate; without it anybody may call")
	flag.Parse()
	if *listen == "" {
		sdk.ServeNotification(open)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *listen, pem); err != nil {
		fmt.Fprintln(os.Stderr, "[ERROR]", err)
		os.Exit(1)
	}
}

// serve serves the plugin at an address until ctx ends.
func serve(ctx context.Context, address string, pem tlsFiles) error {
	security, err := pem.credentials()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer(append(sdk.ServerOptions(), grpc.Creds(security))...)
	closePlugin := sdk.RegisterNotification(server, open)
	defer context.AfterFunc(ctx, server.GracefulStop)()
	fmt.Fprintln(os.Stderr, "[INFO] listens on", listener.Addr())
	err = server.Serve(listener)
	return errors.Join(err, closePlugin(context.Background()))
}

// tlsFiles are the names of PEM files; empty for what is not wanted.
type tlsFiles struct{ cert, key, clientCA string }

// credentials are those of a server that proves who it is and, with a client CA, asks its callers to.
func (f tlsFiles) credentials() (credentials.TransportCredentials, error) {
	if f == (tlsFiles{}) {
		return insecure.NewCredentials(), nil
	}
	cert, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("-tls-cert and -tls-key: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if f.clientCA != "" {
		pem, err := os.ReadFile(f.clientCA)
		if err != nil {
			return nil, fmt.Errorf("-client-ca: %w", err)
		}
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("-client-ca: %s holds no certificate", f.clientCA)
		}
	}
	return credentials.NewTLS(config), nil
}
