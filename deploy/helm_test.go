package deploy

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const chart = "helm/lockkeeper"

// helm runs a command of Helm on the chart, as for the newest Kubernetes that it is tested with.
func helm(t *testing.T, command string, args ...string) (string, error) {
	t.Helper()
	tool := needs(t, "helm", ".cache/tools/helm", "make helm")
	if command == "template" {
		args = append([]string{"lockkeeper", "--namespace", "observability"}, args...)
	}
	return output(t, tool, append(append([]string{command}, args...), chart, "--kube-version", "1.36.3")...)
}

// rendered are the chart's resources by kind and name.
func rendered(t *testing.T, args ...string) map[string]object {
	t.Helper()
	text, err := helm(t, "template", args...)
	require.NoError(t, err)
	all := map[string]object{}
	for _, resource := range documents(t, text) {
		all[fmt.Sprintf("%v/%v", resource["kind"], dig(resource, "metadata", "name"))] = resource
	}
	return all
}

func valueSets(t *testing.T) []string {
	t.Helper()
	sets, err := filepath.Glob(chart + "/ci/*.yaml")
	require.NoError(t, err)
	require.Len(t, sets, 3)
	for _, block := range blocks(t, "helm/README.md", "yaml") {
		sets = append(sets, writeFile(t, "values.yaml", block))
	}
	return sets
}

// Of each set of values, and of those in the README: Helm's lint, Kubernetes' schemas, what a restricted namespace takes, and the gateway's own check.
func TestChart(t *testing.T) {
	kubernetes := kubernetesSchemas(t)
	for _, values := range valueSets(t) {
		t.Run(filepath.Base(values), func(t *testing.T) {
			_, err := helm(t, "lint", "--strict", "--values", values)
			require.NoError(t, err)
			resources := rendered(t, "--values", values)
			for name, resource := range resources {
				if resource["kind"] != "ServiceMonitor" { // not Kubernetes' own
					require.Empty(t, kubernetes.check(resource), name)
				}
				require.NotEqual(t, "Secret", resource["kind"], "secrets are the user's, by reference")
			}
			checkRestricted(t, resources["StatefulSet/lockkeeper"])
			checkReadOnly(t, resources)
			checkPorts(t, resources)
			checkConfiguration(t, resources)
		})
	}
}

// checkRestricted is the pod security standard "restricted", and a read-only root.
func checkRestricted(t *testing.T, set object) {
	t.Helper()
	pod := dig(set, "spec", "template", "spec")
	require.Equal(t, true, dig(pod, "securityContext", "runAsNonRoot"))
	require.Equal(t, "RuntimeDefault", dig(pod, "securityContext", "seccompProfile", "type"))
	for _, key := range []string{"hostNetwork", "hostPID", "hostIPC"} {
		require.Nil(t, dig(pod, key))
	}
	for _, volume := range dig(pod, "volumes").([]any) {
		require.Nil(t, dig(volume, "hostPath"))
	}
	if sysctls, _ := dig(pod, "securityContext", "sysctls").([]any); len(sysctls) > 0 {
		require.Equal(t, []any{object{"name": "net.ipv4.ping_group_range", "value": "65532 65532"}}, sysctls)
	}
	container := dig(pod, "containers", 0)
	require.Equal(t, object{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": object{"drop": []any{"ALL"}}}, dig(container, "securityContext"))
	image := fmt.Sprint(dig(container, "image"))
	require.False(t, strings.HasSuffix(image, ":latest") || strings.HasSuffix(image, ":"), image)
}

// checkReadOnly: nothing that the pod is allowed changes anything.
func checkReadOnly(t *testing.T, resources map[string]object) {
	t.Helper()
	for name, resource := range resources {
		rules, _ := resource["rules"].([]any)
		for _, rule := range rules {
			for _, verb := range dig(rule, "verbs").([]any) {
				require.Contains(t, []any{"get", "list", "watch"}, verb, name)
			}
			require.NotContains(t, dig(rule, "resources"), "secrets", name)
			require.NotContains(t, dig(rule, "resources"), "*", name)
		}
	}
}

// checkPorts: each Service leads to a port of the pod, and the policy lets in what Services lead to.
func checkPorts(t *testing.T, resources map[string]object) {
	t.Helper()
	port := func(number, protocol any) string {
		if protocol == nil {
			protocol = "TCP"
		}
		return fmt.Sprint(number, "/", protocol)
	}
	var open, allowed []string
	for _, p := range dig(resources["StatefulSet/lockkeeper"], "spec", "template", "spec", "containers", 0, "ports").([]any) {
		open = append(open, port(dig(p, "containerPort"), dig(p, "protocol")))
	}
	for _, rule := range dig(resources["NetworkPolicy/lockkeeper"], "spec", "ingress").([]any) {
		for _, p := range dig(rule, "ports").([]any) {
			allowed = append(allowed, port(dig(p, "port"), dig(p, "protocol")))
		}
	}
	require.ElementsMatch(t, open, allowed)
	for name, resource := range resources {
		if resource["kind"] != "Service" {
			continue
		}
		require.Equal(t, dig(resources["StatefulSet/lockkeeper"], "spec", "selector", "matchLabels"), dig(resource, "spec", "selector"), name)
		for _, p := range dig(resource, "spec", "ports").([]any) {
			require.Contains(t, open, port(dig(p, "targetPort"), dig(p, "protocol")), name)
		}
	}
}

// checkConfiguration has the gateway validate what the pod would be started with.
func checkConfiguration(t *testing.T, resources map[string]object) {
	t.Helper()
	cmd := podCommand(t, resources, "192.0.2.77")
	cmd.Args[1] = "validate"
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, string(text))
}

// podCommand is the pod's command in a directory like its own. What it gets by reference is there.
func podCommand(t *testing.T, resources map[string]object, ip string) *exec.Cmd {
	t.Helper()
	container := dig(resources["StatefulSet/lockkeeper"], "spec", "template", "spec", "containers", 0)
	cmd := exec.Command(lockkeeper(t))
	for _, arg := range dig(container, "args").([]any) {
		cmd.Args = append(cmd.Args, arg.(string))
	}
	cmd.Dir = t.TempDir()
	for name, text := range resources["ConfigMap/lockkeeper"]["data"].(object) {
		require.NoError(t, os.WriteFile(filepath.Join(cmd.Dir, name), []byte(text.(string)), 0o644))
	}
	known := map[string]string{"POD_IP": ip, "POD_NAME": "lockkeeper-0", "LOCKKEEPER_DATA": t.TempDir()}
	cmd.Env = os.Environ()
	for _, variable := range dig(container, "env").([]any) {
		name := dig(variable, "name").(string)
		value, ok := known[name]
		if !ok {
			value = base64.StdEncoding.EncodeToString(make([]byte, 32))
		}
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// A witness has none of what the gateway's default configuration is made of. (TestImage starts a gateway.)
func TestChartWitnessStarts(t *testing.T) {
	if os.Geteuid() != 0 {
		lacks(t, "network", "needs root: a namespace")
	}
	resources := rendered(t, "--values", chart+"/ci/witness.yaml", "--set", "cluster.advertise=")
	pod := podCommand(t, resources, "127.0.0.1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const run = `ip link set lo up
"$@" & gateway=$!
until "$1" cluster; do kill -0 $gateway; sleep 0.3; done
kill -TERM $gateway
wait $gateway
`
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"--net", "--pid", "--fork", "--kill-child", "sh", "-ceu", run, "sh"}, pod.Args...)...)
	cmd.Dir, cmd.Env = pod.Dir, pod.Env
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, string(text))
	require.Contains(t, string(text), "Lockkeeper is ready.")
	require.Contains(t, string(text), "lockkeeper-0.outside")
}

func TestChartRefuses(t *testing.T) {
	f := func(want string, set ...string) {
		t.Helper()
		args := []string{"--set", "image.repository=registry.example.com/lockkeeper"}
		for _, value := range set {
			args = append(args, "--set", value)
		}
		_, err := helm(t, "template", args...)
		require.ErrorContains(t, err, want)
	}
	// An image that nobody named.
	f("image.repository is missing", "image.repository=")
	// A key that there is not, at the top and below.
	f("additional properties 'imag' not allowed", "imag.tag=1")
	f("additional properties 'prot' not allowed", "xds.prot=1")
	// A value that is none.
	f("value must be one of 'gateway', 'witness'", "role=leader")
	f("does not match pattern", "image.digest=sha256:1")
	// A witness that nobody hears, and gateways that do not know of each other.
	f("/cluster/enabled", "role=witness")
	f("/cluster/enabled", "replicas=2")
	// A cluster without what it needs.
	f("cluster.site is missing", "cluster.enabled=true", "cluster.keySecret.name=a")
	f("cluster.keySecret.name is missing", "cluster.enabled=true", "cluster.site=a")
	// One address for two.
	f("cluster.advertise is one pod's address", "replicas=2", "cluster.enabled=true", "cluster.site=a", "cluster.keySecret.name=a", "cluster.advertise=a:1")
	// A file of the user's in the place of one of the chart's.
	f("files: chart.yaml is the chart's own", `files.chart\.yaml=a`)
	// Secrets in a ConfigMap.
	f("tokens: that of oncall is in plain text", "config.extensions.console.tokens[0].name=oncall", "config.extensions.console.tokens[0].token=0123456789abcdef")
	f("cluster.keys: one is in plain text", "config.extensions.cluster.keys[0]=c2VjcmV0")
}

// Names that YAML would take for numbers stay names, here and in the cluster.
func TestChartNames(t *testing.T) {
	kubernetes := kubernetesSchemas(t)
	resources := rendered(t, "--values", chart+"/ci/two-idc.yaml", "--namespace", "2026", "--set-string", "nameOverride=1e3,fullnameOverride=7,serviceAccount.name=8")
	for name, resource := range resources {
		if resource["kind"] != "ServiceMonitor" {
			require.Empty(t, kubernetes.check(resource), name)
		}
	}
	require.Equal(t, []any{"2026"}, dig(resources["ServiceMonitor/7"], "spec", "namespaceSelector", "matchNames"))
}

// A pod is started anew when, and only when, its configuration changes.
func TestChartChecksum(t *testing.T) {
	checksum := func(args ...string) any {
		resources := rendered(t, append([]string{"--values", chart + "/ci/minimal.yaml"}, args...)...)
		return dig(resources["StatefulSet/lockkeeper"], "spec", "template", "metadata", "annotations", "checksum/config")
	}
	before := checksum()
	require.NotNil(t, before)
	require.Equal(t, before, checksum("--set", "resources.limits.memory=3Gi"))
	require.NotEqual(t, before, checksum("--set", "config.receivers.envoy.flush_interval=1s"))
	require.NotEqual(t, before, checksum("--set-string", `files.a\.yaml=a`))
}

// What can be left out is left out, and the sum of the parts is what a policy allows.
func TestChartParts(t *testing.T) {
	kinds := func(set ...string) (names []string) {
		args := []string{"--values", chart + "/ci/minimal.yaml"}
		for _, value := range set {
			args = append(args, "--set", value)
		}
		for name := range rendered(t, args...) {
			names = append(names, name)
		}
		slices.Sort(names)
		return names
	}
	all := []string{
		"ConfigMap/lockkeeper", "NetworkPolicy/lockkeeper", "PodDisruptionBudget/lockkeeper", "Role/lockkeeper", "RoleBinding/lockkeeper",
		"Service/lockkeeper", "Service/lockkeeper-pods", "ServiceAccount/lockkeeper", "StatefulSet/lockkeeper",
	}
	require.Equal(t, all, kinds())
	require.Equal(t, []string{"ConfigMap/lockkeeper", "Service/lockkeeper", "Service/lockkeeper-pods", "StatefulSet/lockkeeper"},
		kinds("networkPolicy.enabled=false", "podDisruptionBudget.enabled=false", "serviceAccount.create=false", "rbac.scope=none"))
	require.Contains(t, kinds("dns.enabled=true"), "Service/lockkeeper-dns")
	require.Contains(t, kinds("serviceMonitor.enabled=true"), "ServiceMonitor/lockkeeper")
}
