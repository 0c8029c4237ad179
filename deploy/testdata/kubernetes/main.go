// Kubernetes is a cluster that has no machines: the API server with RBAC and its usual admission, the controller of StatefulSets, and an etcd, as one program.
// Its arguments are a directory for all that it writes, and the address at whose port 6443 it listens. The token "administrator" may do everything;
// apiserver.crt in the directory is the certificate, and its authority's.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"log"
	"net"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/pkg/controller/statefulset"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(directory, address string) error {
	if err := writeFiles(directory, address); err != nil {
		return err
	}
	store := embed.NewConfig() // it listens at localhost:2379
	store.Dir, store.UnsafeNoFsync, store.LogLevel = filepath.Join(directory, "etcd"), true, "error"
	etcd, err := embed.StartEtcd(store)
	if err != nil {
		return err
	}
	defer etcd.Close()
	<-etcd.Server.ReadyNotify()

	if err := runStatefulSets(directory, address); err != nil {
		return err
	}
	server := app.NewAPIServerCommand()
	server.SetArgs([]string{
		"--etcd-servers=http://localhost:2379",
		"--bind-address=" + address,
		"--advertise-address=" + address,
		"--tls-cert-file=" + filepath.Join(directory, "apiserver.crt"),
		"--tls-private-key-file=" + filepath.Join(directory, "apiserver.key"),
		"--token-auth-file=" + filepath.Join(directory, "tokens.csv"),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + filepath.Join(directory, "accounts.key"),
		"--service-account-key-file=" + filepath.Join(directory, "accounts.key"),
		"--service-cluster-ip-range=10.96.0.0/16",
	})
	return server.Execute()
}

// writeFiles writes what the API server reads when it starts.
func writeFiles(directory, address string) error {
	certificate, key, err := cert.GenerateSelfSignedCertKey(address, []net.IP{net.ParseIP(address)}, nil)
	if err != nil {
		return err
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	accounts, err := keyutil.MarshalPrivateKeyToPEM(signer)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"apiserver.crt": certificate,
		"apiserver.key": key,
		"accounts.key":  accounts,
		"tokens.csv":    []byte("administrator,administrator,administrator,system:masters\n"),
	} {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// runStatefulSets starts their controller, which waits for the API server.
func runStatefulSets(directory, address string) error {
	client, err := kubernetes.NewForConfig(&rest.Config{
		Host:            "https://" + net.JoinHostPort(address, "6443"),
		BearerToken:     "administrator",
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(directory, "apiserver.crt")},
	})
	if err != nil {
		return err
	}
	ctx := context.Background()
	all := informers.NewSharedInformerFactory(client, 0)
	controller := statefulset.NewStatefulSetController(ctx, all.Core().V1().Pods(), all.Apps().V1().StatefulSets(),
		all.Core().V1().PersistentVolumeClaims(), all.Apps().V1().ControllerRevisions(), client)
	all.Start(ctx.Done())
	go controller.Run(ctx, 1)
	return nil
}
