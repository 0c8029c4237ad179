package deploy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long a test waits on a busy machine.
const patience = time.Minute

// The only machine of the cluster, and its API server.
const machine = "10.244.0.1"

// administrator is the token that may do everything.
const administrator = "administrator"

// cluster is a Kubernetes without kubelets: what they would do, tests do.
type cluster struct {
	directory string
	client    *http.Client
	plurals   map[string]resourceKind
}

// resourceKind is how the API calls the resources of a kind.
type resourceKind struct {
	name       string
	namespaced bool
}

// inOwnNamespaces runs the test again, in namespaces of its own, and false is the answer here. There, the answer is true: it has a network with
// the addresses, processes that end with it, and a directory /run that is empty.
func inOwnNamespaces(t *testing.T, addresses ...string) bool {
	t.Helper()
	const env = "LOCKKEEPER_TEST_IN_NAMESPACES"
	if os.Getenv(env) == t.Name() {
		return true
	}
	if out, err := exec.Command("unshare", "--net", "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		lacks(t, "network", "needs unshare and ip, and to be root: "+string(out))
	}
	const enter = `
ip link set lo up
mount -t tmpfs tmpfs /run
while [ "$1" != -- ]; do ip address add "$1" dev lo nodad 2>/dev/null || ip address add "$1" dev lo; shift; done
shift
exec "$@"
`
	args := append([]string{"--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-ceu", enter, "sh"}, addresses...)
	args = append(args, "--", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=10m")
	again := exec.CommandContext(t.Context(), "unshare", args...)
	again.Env = append(os.Environ(), env+"="+t.Name())
	out, err := again.CombinedOutput()
	require.NoError(t, err, string(out))
	t.Logf("in namespaces of its own:\n%s", out)
	return false
}

// start starts a program that the test ends by a signal. If the test failed it tells what the program wrote.
func start(t *testing.T, cmd *exec.Cmd, end os.Signal) {
	t.Helper()
	name := filepath.Base(cmd.Path)
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = file, file
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(end)
		stubborn := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		cmd.Wait()
		stubborn.Stop()
		file.Close()
		if text := readFile(t, file.Name()); t.Failed() {
			t.Logf("%s wrote:\n%s", name, text[max(0, len(text)-8000):])
		}
	})
}

func startCluster(t *testing.T, program string) *cluster {
	t.Helper()
	c := &cluster{directory: t.TempDir(), plurals: map[string]resourceKind{}}
	start(t, exec.Command(program, c.directory, machine), os.Kill)
	ca := filepath.Join(c.directory, "apiserver.crt")
	require.Eventually(t, func() bool { _, err := os.Stat(ca); return err == nil }, patience, 50*time.Millisecond)
	authorities := x509.NewCertPool()
	require.Eventually(t, func() bool { return authorities.AppendCertsFromPEM([]byte(readFile(t, ca))) }, patience, 50*time.Millisecond)
	c.client = &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities}}}
	t.Cleanup(c.client.CloseIdleConnections)
	began := time.Now()
	require.Eventually(t, func() bool {
		status, _ := c.call("GET", "/readyz", administrator, "", nil)
		return status == http.StatusOK
	}, 3*patience, 100*time.Millisecond)
	t.Logf("the API server is ready after %v", time.Since(began).Round(time.Second/10))
	return c
}

// call is a request to the API server with a token. A request that had no answer has the status 0.
func (c *cluster) call(method, path, token, kind string, body any) (status int, answer object) {
	var text []byte
	if body != nil {
		text, _ = json.Marshal(body)
	}
	request, err := http.NewRequestWithContext(context.Background(), method, "https://"+machine+":6443"+path, bytes.NewReader(text))
	if err != nil {
		return 0, object{"message": err.Error()}
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", kind)
	response, err := c.client.Do(request)
	if err != nil {
		return 0, object{"message": err.Error()}
	}
	defer response.Body.Close()
	text, _ = io.ReadAll(response.Body)
	if json.Unmarshal(text, &answer) != nil {
		answer = object{"message": string(text)}
	}
	return response.StatusCode, answer
}

// must is a call of the administrator's that succeeds.
func (c *cluster) must(t *testing.T, method, path string, body any) object {
	t.Helper()
	kind := "application/json"
	if method == "PATCH" {
		kind = "application/merge-patch+json"
	}
	status, answer := c.call(method, path, administrator, kind, body)
	require.Less(t, status, 300, "%s %s: %v", method, path, answer["message"])
	require.NotZero(t, status, "%s %s: %v", method, path, answer["message"])
	return answer
}

// apply has the API server take a resource as kubectl apply --server-side does, but that a field which it does not know is a mistake.
func (c *cluster) apply(t *testing.T, resource object) error {
	t.Helper()
	path := c.path(t, resource)
	status, answer := c.call("PATCH", path+"?fieldManager=test&force=true&fieldValidation=Strict", administrator, "application/apply-patch+yaml", resource)
	if status != http.StatusOK && status != http.StatusCreated {
		return fmt.Errorf("apply %s: %d: %v", path, status, answer["message"])
	}
	return nil
}

// path is where a resource is.
func (c *cluster) path(t *testing.T, resource object) string {
	t.Helper()
	version, kind := resource["apiVersion"].(string), resource["kind"].(string)
	prefix := "/apis/" + version
	if !strings.Contains(version, "/") {
		prefix = "/api/" + version
	}
	if c.plurals[version+"/"+kind].name == "" {
		for _, one := range c.must(t, "GET", prefix, nil)["resources"].([]any) {
			if name := dig(one, "name").(string); !strings.Contains(name, "/") {
				c.plurals[fmt.Sprint(version, "/", dig(one, "kind"))] = resourceKind{name, dig(one, "namespaced").(bool)}
			}
		}
	}
	known := c.plurals[version+"/"+kind]
	require.NotEmpty(t, known.name, "%s/%s is unknown", version, kind)
	if known.namespaced {
		prefix += fmt.Sprint("/namespaces/", dig(resource, "metadata", "namespace"))
	}
	return fmt.Sprint(prefix, "/", known.name, "/", dig(resource, "metadata", "name"))
}

// define has the API server know the kinds of a file of CustomResourceDefinitions.
func (c *cluster) define(t *testing.T, file string) {
	t.Helper()
	for _, definition := range documents(t, readFile(t, file)) {
		require.NoError(t, c.apply(t, definition))
		path := c.path(t, definition)
		require.Eventually(t, func() bool {
			conditions, _ := dig(c.must(t, "GET", path, nil), "status", "conditions").([]any)
			for _, condition := range conditions {
				if dig(condition, "type") == "Established" && dig(condition, "status") == "True" {
					return true
				}
			}
			return false
		}, patience, 50*time.Millisecond, path)
	}
}

// namespace makes one in which pods must meet the pod security standard "restricted".
func (c *cluster) namespace(t *testing.T, name string) {
	t.Helper()
	labels := object{"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest"}
	require.NoError(t, c.apply(t, object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": name, "labels": labels}}))
	// What the controller of service accounts does.
	require.NoError(t, c.apply(t, object{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": object{"name": "default", "namespace": name}}))
}

// token is one for a service account, as pods get it.
func (c *cluster) token(t *testing.T, namespace, account string) string {
	t.Helper()
	path := "/api/v1/namespaces/" + namespace + "/serviceaccounts/" + account + "/token"
	answer := c.must(t, "POST", path, object{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": object{}})
	return dig(answer, "status", "token").(string)
}

// helm runs a command of Helm against the cluster.
func (c *cluster) helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	tool := needs(t, "helm", ".cache/tools/helm", "make helm")
	return output(t, tool, append(args, "--kube-apiserver", "https://"+machine+":6443", "--kube-token", administrator,
		"--kube-ca-file", filepath.Join(c.directory, "apiserver.crt"))...)
}
