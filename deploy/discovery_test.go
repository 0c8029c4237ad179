package deploy

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// Addresses of pods.
const (
	ordersIP = "10.244.0.21"
	stockIP  = "10.244.0.22"
	pricesIP = "fd00:10:244::23"
	otherIP  = "10.244.0.24"
)

func discoveryAddresses() []string { return []string{ordersIP, stockIP, pricesIP, otherIP} }

// testDiscovery has a gateway, started as its pod would be, find and scrape what examples/layers/kubernetes.yaml names.
func (c *cluster) testDiscovery(t *testing.T) {
	exporter := needs(t, "exporters", ".cache/tools/prometheus-node-exporter", "make exporters")
	cadvisor := needs(t, "exporters", ".cache/tools/cadvisor", "make exporters")
	needs(t, "plugins", "bin/plugins/storage-victoriametrics", "make build")
	start(t, exec.Command(exporter, "--web.listen-address="+ordersIP+":9100"), os.Kill)
	start(t, exec.Command(cadvisor, machine+":8080"), os.Kill)
	c.kubelet(t, "machine-1", machine+":8080")
	const metrics = "# TYPE shop_orders counter\nshop_orders{version=\"its own\"} 7\n"
	serve(t, stockIP+":8080", "/actuator/prometheus", metrics)
	serve(t, "["+pricesIP+"]:2112", "/metrics", metrics)
	serve(t, otherIP+":80", "/metrics", metrics)

	c.namespace(t, "shop")
	port := func(n int) object { return object{"containerPort": n} }
	c.workload(t, "orders", ordersIP, object{"port": "9100"}, port(8080), port(8443))
	c.workload(t, "stock", stockIP, object{"port": "8080", "path": "/actuator/prometheus"})
	c.workload(t, "prices", pricesIP, object{"port": "2112"})
	c.workload(t, "quiet", otherIP, object{"scrape": "false"}, port(80))
	c.must(t, "PATCH", "/api/v1/namespaces/shop/pods/quiet/status", object{"status": object{"podIP": otherIP}})
	c.workload(t, "ended", otherIP, object{"port": "80"})
	c.must(t, "PATCH", "/api/v1/namespaces/shop/pods/ended/status", object{"status": object{"phase": "Succeeded"}})
	c.gateway(t)

	up := func(pod, instance string) object {
		return object{"__name__": "up", "job": "pods", "namespace": "shop", "host": "machine-1", "idc": "idc1", "version": "v2", "app": pod, "pod": pod, "instance": instance}
	}
	orders, stock, prices := up("orders", ordersIP+":9100"), up("stock", stockIP+":8080"), up("prices", "["+pricesIP+"]:2112")
	arrives(t, `up{job="pods"} == 1`, orders, prices, stock)
	arrives(t, `up{job="cadvisor"} == 1`, object{"__name__": "up", "job": "cadvisor", "instance": "machine-1", "host": "machine-1", "idc": "idc1"})
	arrives(t, `count by (host, idc) (container_cpu_usage_seconds_total{id="/"})`, object{"host": "machine-1", "idc": "idc1"})
	arrives(t, `count by (app, idc, host) (node_cpu_seconds_total)`, object{"app": "orders", "idc": "idc1", "host": "machine-1"})
	arrives(t, `count by (app, version, exported_version) (shop_orders)`,
		object{"app": "prices", "version": "v2", "exported_version": "its own"}, object{"app": "stock", "version": "v2", "exported_version": "its own"})

	// A pod that went is asked no more, and one that came is.
	began := time.Now()
	c.must(t, "DELETE", "/api/v1/namespaces/shop/pods/orders?gracePeriodSeconds=0", nil)
	arrives(t, `up{job="pods"}`, prices, stock)
	t.Logf("not scraped %v after it went", time.Since(began).Round(time.Second/10))
	arrives(t, `count by (app) (node_cpu_seconds_total)`)
	c.workload(t, "later", ordersIP, object{"port": "9100"})
	arrives(t, `up{job="pods"} == 1`, up("later", ordersIP+":9100"), prices, stock)
}

// workload is a pod that runs, and tells by annotations where it is scraped.
func (c *cluster) workload(t *testing.T, name, ip string, scraped object, ports ...any) {
	t.Helper()
	annotations := object{"prometheus.io/scrape": "true"}
	for key, value := range scraped {
		annotations["prometheus.io/"+key] = value
	}
	security := object{"allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": object{"drop": []string{"ALL"}}, "seccompProfile": object{"type": "RuntimeDefault"}}
	pod := c.must(t, "POST", "/api/v1/namespaces/shop/pods", object{
		"metadata": object{"name": name, "namespace": "shop", "annotations": annotations, "labels": object{"app": name, "version": "v2"}},
		"spec":     object{"containers": []object{{"name": "main", "image": name, "ports": ports, "securityContext": security}}},
	})
	c.runs(t, pod, ip)
}

// runs is what the scheduler and the kubelet say of a pod.
func (c *cluster) runs(t *testing.T, pod object, ip string) {
	t.Helper()
	path := fmt.Sprintf("/api/v1/namespaces/%v/pods/%v", dig(pod, "metadata", "namespace"), dig(pod, "metadata", "name"))
	c.must(t, "POST", path+"/binding", object{"metadata": object{"name": dig(pod, "metadata", "name")}, "target": object{"kind": "Node", "name": "machine-1"}})
	c.must(t, "PATCH", path+"/status", object{"status": object{
		"phase": "Running", "podIP": ip, "podIPs": []object{{"ip": ip}},
		"conditions": []object{{"type": "Ready", "status": "True"}},
	}})
}

// kubelet makes the cluster's machine, which answers with the metrics of cAdvisor whom the API server says may have them.
func (c *cluster) kubelet(t *testing.T, name, cadvisor string) {
	t.Helper()
	labels := object{"topology.kubernetes.io/region": "idc1", "topology.kubernetes.io/zone": "idc1-a"}
	c.must(t, "POST", "/api/v1/nodes", object{"metadata": object{"name": name, "labels": labels}})
	c.must(t, "PATCH", "/api/v1/nodes/"+name+"/status", object{"status": object{
		"addresses":       []object{{"type": "InternalIP", "address": machine}},
		"daemonEndpoints": object{"kubeletEndpoint": object{"Port": 10250}},
	}})
	metrics := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: cadvisor})
	handler := http.NewServeMux()
	handler.HandleFunc("/metrics/cadvisor", func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		_, answer := c.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", administrator, "application/json",
			object{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": object{"token": token}})
		user := dig(answer, "status", "user")
		_, answer = c.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", administrator, "application/json",
			object{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": object{
				"user": dig(user, "username"), "groups": dig(user, "groups"),
				"resourceAttributes": object{"verb": "get", "resource": "nodes", "subresource": "metrics", "name": name},
			}})
		if dig(answer, "status", "allowed") != true {
			http.Error(w, fmt.Sprint(answer), http.StatusForbidden)
			return
		}
		metrics.ServeHTTP(w, r)
	})
	listener, err := net.Listen("tcp", machine+":10250")
	require.NoError(t, err)
	server := &http.Server{Handler: handler}
	t.Cleanup(func() { server.Close() })
	go server.ServeTLS(listener, filepath.Join(c.directory, "apiserver.crt"), filepath.Join(c.directory, "apiserver.key"))
}

// serve answers with a text at an address and a path.
func serve(t *testing.T, address, path, text string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	handler := http.NewServeMux()
	handler.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
	server := &http.Server{Handler: handler}
	t.Cleanup(func() { server.Close() })
	go server.Serve(listener)
}

// gateway installs a release that scrapes the cluster, and runs what its pod would, with what a pod is given.
func (c *cluster) gateway(t *testing.T) {
	t.Helper()
	text := readFile(t, "../examples/layers/kubernetes.yaml")
	hasty := strings.ReplaceAll(text, "scrape_interval: 15s", "scrape_interval: 2s")
	require.NotEqual(t, text, hasty)
	values, err := yaml.Marshal(object{
		"image":  object{"repository": "registry.example.com/lockkeeper", "tag": "1"},
		"config": documents(t, hasty)[0],
		"rbac":   object{"scope": "cluster"},
		"rules":  object{"enabled": false}, // they are in the image
	})
	require.NoError(t, err)
	resources := map[string]object{}
	_, err = c.helm(t, "install", "lockkeeper", chart, "--namespace", "observability", "--create-namespace", "--values", writeFile(t, "my-values.yaml", string(values)))
	require.NoError(t, err)
	manifest, err := c.helm(t, "get", "manifest", "lockkeeper", "--namespace", "observability")
	require.NoError(t, err)
	for _, resource := range documents(t, manifest) {
		resources[fmt.Sprintf("%v/%v", resource["kind"], dig(resource, "metadata", "name"))] = resource
	}
	const account = "/var/run/secrets/kubernetes.io/serviceaccount"
	require.NoError(t, os.MkdirAll(account, 0o755))
	for name, content := range map[string]string{
		"token": c.token(t, "observability", "lockkeeper"), "namespace": "observability", "ca.crt": readFile(t, filepath.Join(c.directory, "apiserver.crt")),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(account, name), []byte(content), 0o600))
	}
	cmd := podCommand(t, resources, "127.0.0.1")
	cmd.Env = append(cmd.Env, "KUBERNETES_SERVICE_HOST="+machine, "KUBERNETES_SERVICE_PORT=6443")
	start(t, cmd, syscall.SIGTERM) // so that its plugins end before their directories do
	require.Eventually(t, func() bool {
		response, err := http.Get("http://127.0.0.1:7070/-/ready")
		if err == nil {
			response.Body.Close()
		}
		return err == nil && response.StatusCode == http.StatusOK
	}, patience, 100*time.Millisecond)
}

// arrives waits until the storage answers a query with series of just these labels.
func arrives(t *testing.T, query string, want ...object) {
	t.Helper()
	var got []object
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if got = series(t, query); slices.Equal(texts(want), texts(got)) {
			return
		}
	}
	t.Fatalf("%s: want\n%s\ngot\n%s", query, strings.Join(texts(want), "\n"), strings.Join(texts(got), "\n"))
}

// texts are sorted.
func texts(all []object) (texts []string) {
	for _, one := range all {
		texts = append(texts, fmt.Sprint(one))
	}
	slices.Sort(texts)
	return texts
}

// series are the labels of a query's answer.
func series(t *testing.T, query string) (all []object) {
	t.Helper()
	response, err := http.Get("http://127.0.0.1:7070/prometheus/api/v1/query?nocache=1&query=" + url.QueryEscape(query))
	require.NoError(t, err)
	defer response.Body.Close()
	var answer struct {
		Data struct{ Result []struct{ Metric object } }
	}
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &answer), string(text))
	for _, result := range answer.Data.Result {
		all = append(all, result.Metric)
	}
	return all
}
