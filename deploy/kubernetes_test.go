package deploy

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The chart, the examples and the snippets in a real API server, with RBAC, its usual admission and the controller of StatefulSets. No kubelet runs.
func TestKubernetes(t *testing.T) {
	program := needs(t, "kubernetes", ".cache/tools/kubernetes", "make kubernetes")
	monitors := needs(t, "kubernetes", ".cache/schemas/servicemonitor-0.85.0.yaml", "make kubernetes")
	needs(t, "helm", ".cache/tools/helm", "make helm")
	if !inOwnNamespaces(t, append(discoveryAddresses(), machine)...) {
		return
	}
	t.Setenv("HOME", t.TempDir())
	c := startCluster(t, program)
	c.define(t, monitors)
	for i, values := range valueSets(t) {
		t.Run(fmt.Sprint(filepath.Base(values), i), func(t *testing.T) { c.testRelease(t, fmt.Sprint("chart-", i), values) })
	}
	t.Run("Parts", c.testParts)
	t.Run("Names", c.testNames)
	t.Run("Mended", c.testMended)
	t.Run("Disk", c.testDisk)
	t.Run("Rights", c.testRights)
	t.Run("Istio", c.testIstio)
	t.Run("Discovery", c.testDiscovery)
}

// install does what the README says, first without effect. It is what the release is made of.
func (c *cluster) install(t *testing.T, namespace, release string, args ...string) (resources []object) {
	t.Helper()
	args = append([]string{release, chart, "--namespace", namespace}, args...)
	_, err := c.helm(t, append([]string{"install", "--dry-run=server"}, args...)...)
	require.NoError(t, err)
	_, err = c.helm(t, append([]string{"install"}, args...)...)
	require.NoError(t, err)
	text, err := c.helm(t, "get", "manifest", release, "--namespace", namespace)
	require.NoError(t, err)
	resources = documents(t, text)
	for _, resource := range resources {
		resource["metadata"].(object)["namespace"] = namespace
	}
	return resources
}

func (c *cluster) upgrade(t *testing.T, namespace, release string, args ...string) error {
	t.Helper()
	_, err := c.helm(t, append([]string{"upgrade", release, chart, "--namespace", namespace}, args...)...)
	return err
}

// pod waits for one that is other than the one before, if there was one. That the controller could make it says that admission let it in.
func (c *cluster) pod(t *testing.T, namespace, name string, before object) (pod object) {
	t.Helper()
	require.Eventually(t, func() bool {
		var status int
		status, pod = c.call("GET", "/api/v1/namespaces/"+namespace+"/pods/"+name, administrator, "", nil)
		return status == http.StatusOK && dig(pod, "metadata", "uid") != dig(before, "metadata", "uid")
	}, patience, 100*time.Millisecond, "no pod %s: %v", name, pod)
	return pod
}

// testRelease is the life of one: installed, changed, removed.
func (c *cluster) testRelease(t *testing.T, namespace, values string) {
	c.namespace(t, namespace)
	resources := c.install(t, namespace, "lockkeeper", "--values", values)
	pod := c.pod(t, namespace, "lockkeeper-0", nil)
	claim := "/api/v1/namespaces/" + namespace + "/persistentvolumeclaims/data-lockkeeper-0"
	c.must(t, "GET", claim, nil)
	// The same again changes nothing, another configuration starts the pod anew.
	require.NoError(t, c.upgrade(t, namespace, "lockkeeper", "--values", values))
	require.NoError(t, c.upgrade(t, namespace, "lockkeeper", "--values", values, "--set-string", `files.a\.yaml=a`))
	again := c.pod(t, namespace, "lockkeeper-0", pod)
	const checksum = "checksum/config"
	require.NotEqual(t, dig(pod, "metadata", "annotations", checksum), dig(again, "metadata", "annotations", checksum))
	// Nothing is left but the disk.
	_, err := c.helm(t, "uninstall", "lockkeeper", "--namespace", namespace)
	require.NoError(t, err)
	for _, resource := range resources {
		path := c.path(t, resource)
		require.Eventually(t, func() bool {
			status, _ := c.call("GET", path, administrator, "", nil)
			return status == http.StatusNotFound
		}, patience, 100*time.Millisecond, path)
	}
	c.must(t, "GET", claim, nil)
}

// A release becomes what another set of values says, and back: what Kubernetes does not let change does not change.
func (c *cluster) testParts(t *testing.T) {
	c.namespace(t, "parts")
	minimal, two := []string{"--values", chart + "/ci/minimal.yaml"}, []string{"--values", chart + "/ci/two-idc.yaml"}
	disk := []string{"--set", "persistence.size=50Gi,persistence.storageClassName="} // see testDisk
	c.install(t, "parts", "lockkeeper", minimal...)
	for _, values := range [][]string{
		append(two, disk...),
		append(two, append(disk, "--set", "dns.service.type=ClusterIP,dns.service.loadBalancerIP=,cluster.service.type=NodePort")...),
		append(minimal, "--set", "rbac.scope=none,serviceAccount.create=false,networkPolicy.enabled=false,podDisruptionBudget.enabled=false,ping.enabled=false"),
		append(minimal, "--set", "replicas=2,cluster.enabled=true,cluster.site=a,cluster.keySecret.name=a"),
		minimal,
	} {
		require.NoError(t, c.upgrade(t, "parts", "lockkeeper", values...), values)
	}
	// Another release beside it, and one of the same name in another namespace, both with rights in the whole cluster.
	c.install(t, "parts", "second", append(two, "--set", "dns.service.type=ClusterIP")...)
	c.namespace(t, "others")
	c.install(t, "others", "second", two...)
}

// Names as long, and as much like numbers, as they may be.
func (c *cluster) testNames(t *testing.T) {
	long := strings.Repeat("n", 63)
	for _, name := range []struct{ namespace, release string }{
		{long, strings.Repeat("r", 53)},
		{"2026", "a1"},
		{"null", "true"},
		{"1e3", "e"},
	} {
		c.namespace(t, name.namespace)
		resources := c.install(t, name.namespace, name.release, "--values", chart+"/ci/two-idc.yaml")
		for _, resource := range resources {
			if resource["kind"] == "StatefulSet" {
				c.pod(t, name.namespace, fmt.Sprint(dig(resource, "metadata", "name"), "-0"), nil)
			}
		}
	}
}

// A configuration with which no pod gets ready is mended by the next upgrade; nobody has to remove the pod.
func (c *cluster) testMended(t *testing.T) {
	c.namespace(t, "mended")
	replicas := []string{"--values", chart + "/ci/minimal.yaml", "--set", "replicas=2,cluster.enabled=true,cluster.site=a,cluster.keySecret.name=a"}
	c.install(t, "mended", "lockkeeper", append(replicas, "--set-string", `files.a\.yaml=wrong`)...)
	one, two := c.pod(t, "mended", "lockkeeper-0", nil), c.pod(t, "mended", "lockkeeper-1", nil)
	require.NoError(t, c.upgrade(t, "mended", "lockkeeper", append(replicas, "--set-string", `files.a\.yaml=right`)...))
	// The last one first; the other waits until that is ready.
	two = c.pod(t, "mended", "lockkeeper-1", two)
	require.Equal(t, dig(one, "metadata", "uid"), dig(c.pod(t, "mended", "lockkeeper-0", nil), "metadata", "uid"))
	c.runs(t, two, "10.244.0.99")
	c.pod(t, "mended", "lockkeeper-0", one)
}

// The size of the disk is no matter of an upgrade, unless the StatefulSet is made anew, around the pod that runs.
func (c *cluster) testDisk(t *testing.T) {
	c.namespace(t, "disk")
	minimal := []string{"--values", chart + "/ci/minimal.yaml"}
	larger := append(minimal, "--set", "persistence.size=60Gi")
	c.install(t, "disk", "lockkeeper", minimal...)
	require.ErrorContains(t, c.upgrade(t, "disk", "lockkeeper", larger...), "updates to statefulset spec for fields other than")
	require.NoError(t, c.upgrade(t, "disk", "lockkeeper", minimal...))
	before := c.pod(t, "disk", "lockkeeper-0", nil)

	const set, pod = "/apis/apps/v1/namespaces/disk/statefulsets/lockkeeper", "/api/v1/namespaces/disk/pods/lockkeeper-0"
	c.must(t, "DELETE", set+"?propagationPolicy=Orphan", nil)
	// What the garbage collector does.
	c.must(t, "PATCH", pod, object{"metadata": object{"ownerReferences": nil}})
	c.must(t, "PATCH", set, object{"metadata": object{"finalizers": nil}})
	require.NoError(t, c.upgrade(t, "disk", "lockkeeper", larger...))
	require.Eventually(t, func() bool {
		return dig(c.must(t, "GET", pod, nil), "metadata", "ownerReferences", 0, "uid") == dig(c.must(t, "GET", set, nil), "metadata", "uid")
	}, patience, 100*time.Millisecond, "the pod is adopted")
	require.Equal(t, dig(before, "metadata", "uid"), dig(c.pod(t, "disk", "lockkeeper-0", nil), "metadata", "uid"))
}

// Nothing that a pod's token may do changes anything, and Secrets are for nobody.
func (c *cluster) testRights(t *testing.T) {
	for scope, all := range map[string]int{"none": http.StatusForbidden, "namespace": http.StatusForbidden, "cluster": http.StatusOK} {
		namespace := "rights-" + scope
		c.namespace(t, namespace)
		c.install(t, namespace, "lockkeeper", "--values", chart+"/ci/minimal.yaml", "--set", "rbac.scope="+scope)
		token := c.token(t, namespace, "lockkeeper")
		own := http.StatusOK
		if scope == "none" {
			own = http.StatusForbidden
		}
		f := func(want int, method, path string) {
			t.Helper()
			status, answer := c.call(method, path, token, "application/json", object{})
			require.Equal(t, want, status, "%s: %s %s: %v", scope, method, path, answer["message"])
		}
		// What discovery asks for, of the release's namespace and of all.
		for _, kind := range []string{"/api/v1/%spods", "/api/v1/%sservices", "/api/v1/%sendpoints", "/apis/discovery.k8s.io/v1/%sendpointslices"} {
			f(own, "GET", fmt.Sprintf(kind, "namespaces/"+namespace+"/"))
			f(all, "GET", fmt.Sprintf(kind, ""))
		}
		f(own, "GET", "/api/v1/namespaces/"+namespace+"/pods?watch=1&timeoutSeconds=1")
		f(all, "GET", "/api/v1/nodes")
		f(all, "GET", "/api/v1/namespaces")
		// What nobody asked for.
		for _, kind := range []string{"secrets", "configmaps", "persistentvolumeclaims", "pods/lockkeeper-0/log"} {
			f(http.StatusForbidden, "GET", "/api/v1/namespaces/"+namespace+"/"+kind)
		}
		f(http.StatusForbidden, "GET", "/api/v1/secrets")
		f(http.StatusForbidden, "POST", "/api/v1/namespaces/"+namespace+"/pods")
		f(http.StatusForbidden, "DELETE", "/api/v1/namespaces/"+namespace+"/pods/lockkeeper-0")
		f(http.StatusForbidden, "PUT", "/api/v1/namespaces/"+namespace+"/services/lockkeeper")
		f(http.StatusForbidden, "POST", "/api/v1/namespaces/"+namespace+"/pods/lockkeeper-0/exec")
		f(http.StatusForbidden, "POST", "/api/v1/namespaces/"+namespace+"/serviceaccounts/lockkeeper/token")
		// All rights there are, as the API server itself lists them: beside reading, only to ask for one's own.
		_, answer := c.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", token, "application/json",
			object{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": object{"namespace": namespace}})
		rules, _ := dig(answer, "status", "resourceRules").([]any)
		require.NotEmpty(t, rules, answer)
		for _, rule := range rules {
			for _, verb := range dig(rule, "verbs").([]any) {
				require.True(t, verb == "get" || verb == "list" || verb == "watch" || strings.HasPrefix(fmt.Sprint(dig(rule, "resources", 0)), "selfsubject"), "%s: %v", scope, rule)
			}
		}
	}
}

// The API server takes the snippets, by Istio's definitions of the oldest version that they are for and of the newest.
func (c *cluster) testIstio(t *testing.T) {
	c.namespace(t, "istio-system")
	for _, version := range []string{"1.24.2", "1.31.1"} {
		c.define(t, needs(t, "istio", ".cache/schemas/istio-"+version+".yaml", "make istio"))
		for _, file := range []string{"istio/service.yaml", "istio/external.yaml"} {
			for _, resource := range documents(t, readFile(t, file)) {
				if resource["kind"] != nil { // meshConfig is none of the API server's
					require.NoError(t, c.apply(t, resource), version)
				}
			}
		}
		wrong := documents(t, strings.Replace(readFile(t, "istio/service.yaml"), "- providers:", "- provider:", 1))[1]
		require.ErrorContains(t, c.apply(t, wrong), "accessLogging[0].provider", version)
	}
}
